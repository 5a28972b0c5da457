// Counters of all workers, in shared memory: each slot of the broker has a
// block that its worker writes and all workers may read at any time.
//
// The totals of a slot pass from one of its workers to the next, so they never
// go down, even if a worker dies. The counts of the current worker are the
// totals less the baseline that it found.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/http_counters.hpp"
#include "nginx/workers/single_writer.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace websocket::nginx::counters {

// The counters without a code. A row is all that a counter needs. It has the
// name, also in JSON, and the family in Prometheus. Then come the value of the
// label "direction" there, or an empty text, and the family's help text.
// clang-format off
#define WEBSOCKET_COUNTERS(X)                                                  \
    X(messages_in, "messages_total", "in",                                     \
      "Messages received, and accepted for sending.")                          \
    X(messages_out, "messages_total", "out", "")                               \
    X(bytes_in, "payload_bytes_total", "in",                                   \
      "Payload of these messages, in bytes.")                                  \
    X(bytes_out, "payload_bytes_total", "out", "")                             \
    X(dropped, "dropped_messages_total", "",                                   \
      "Messages discarded because a send queue was full.")                     \
    X(slow_closes, "slow_closes_total", "",                                    \
      "Connections closed because the client reads too slowly.")               \
    X(lost, "losses_total", "",                                                \
      "Times that clients of a resource missed messages.")                     \
    X(published, "published_total", "", "Messages published over HTTP.")

enum counter_id : std::size_t {
#define WEBSOCKET_COUNTER_ID(name, family, direction, help) name,
    WEBSOCKET_COUNTERS(WEBSOCKET_COUNTER_ID)
#undef WEBSOCKET_COUNTER_ID
    accepted, // opening handshakes: shown with those that were refused
    id_count
};
// clang-format on

// Counters by status or close code. Known codes have a counter each; other
// codes get one of the extra counters at their first use, or share the last
// one.
inline constexpr std::size_t extra_statuses = 8;
inline constexpr std::size_t extra_close_codes = 16;

// RFC 6455 7.4.1
inline constexpr std::uint16_t first_close_code = 1000;
inline constexpr std::size_t known_close_codes = 16;

inline constexpr std::array<std::uint16_t, 6> known_statuses{400, 403, 405,
                                                             426, 500, 503};

// The positions of these counters in slot_counters::totals.
inline constexpr std::size_t refused_index = id_count;
inline constexpr std::size_t extra_refused_index =
    refused_index + known_statuses.size();
inline constexpr std::size_t other_refused_index =
    extra_refused_index + extra_statuses;
inline constexpr std::size_t closed_index = other_refused_index + 1;
inline constexpr std::size_t extra_closed_index =
    closed_index + known_close_codes;
inline constexpr std::size_t other_closed_index =
    extra_closed_index + extra_close_codes;
inline constexpr std::size_t counter_count = other_closed_index + 1;

// All zero when the memory is created.
struct alignas(64) slot_counters {
    std::array<counter, counter_count> totals;

    // The worker that has the slot. It stores its pid last; 0: none.
    std::atomic<std::int32_t> pid{0};
    single_writer<std::uint16_t> generations; // workers so far, up to 65535
    single_writer<std::uint8_t> draining;
    single_writer<std::uint32_t> clients;
    std::array<counter, counter_count>
        baseline; // totals of the workers before it

    // Clients that were accepted while Redis is away, and wait for it
    single_writer<std::uint32_t> waiting;

    // Without a connection to Redis, or to a part of a cluster
    single_writer<std::uint8_t> disconnected;

    // Messages that wait for Redis
    single_writer<std::uint32_t> queued;
    counter queued_bytes;

    http_counters http;

    std::array<single_writer<std::uint16_t>, extra_statuses> statuses;
    std::array<single_writer<std::uint16_t>, extra_close_codes> close_codes;
};

// The block of this worker; without a slot, a block that no one reads.
extern slot_counters *current;

// Called when the worker has claimed its slot, and before it releases it.
void start(slot_counters &block) noexcept;
void stop() noexcept;

// The worker that had the slot has died: nobody has it, unless another one has
// got it meanwhile.
void clear_dead(slot_counters &block, std::int32_t pid) noexcept;

// Whether a worker that lives has the slot.
bool in_use(const slot_counters &block) noexcept;

inline void add(counter_id id, std::uint64_t number = 1) noexcept
{
    current->totals[id].add(number);
}

// Counts the messages of one read.
inline void received(std::uint64_t messages, std::uint64_t bytes) noexcept
{
    slot_counters &block = *current;

    block.totals[messages_in].add(messages);
    block.totals[bytes_in].add(bytes);
}

inline void message_out(std::size_t size) noexcept
{
    slot_counters &block = *current;

    block.totals[messages_out].add(1);
    block.totals[bytes_out].add(size);
}

inline void client_connected() noexcept
{
    current->clients.add(1);
}

inline void client_disconnected() noexcept
{
    current->clients.add(UINT32_MAX);
}

void handshake_refused(ngx_uint_t status) noexcept;

// Codes that clients choose get at most half of the extra counters, so that
// they leave some for those that the server sends.
void session_closed(std::uint16_t code, bool by_client) noexcept;

// The worker accepts no more clients and waits for the last ones to end.
void set_draining() noexcept;

} // namespace websocket::nginx::counters
