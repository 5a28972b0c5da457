// What the workers have done, counted in shared memory: for each slot of the
// broker's a block, which only the worker that has the slot writes and all may
// read at any time.
//
// The counts of a slot go on from one of its workers to the next, so that
// whatever has become of a worker is counted, and their sum over the slots
// never goes down. What the worker that has the slot now has done is what was
// added to them since it came.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace websocket::nginx::counters {

// One process writes it, so no locked instruction is needed.
template <class number>
class single_writer {
public:
    void add(number more) noexcept { set(get() + more); }
    void set(number value) noexcept
    {
        value_.store(value, std::memory_order_relaxed);
    }
    number get() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<number> value_{0};
};

using counter = single_writer<std::uint64_t>;

// The counts that have no code beside their name.
enum counter_id : std::size_t {
    messages_in,
    bytes_in, // payload of messages
    messages_out,
    bytes_out,
    dropped,     // messages that a full queue did not take, or forgot
    slow_closes, // for a full queue, or since nothing could be sent
    accepted,    // opening handshakes
    published,   // messages over HTTP
    lost,        // times that a resource's clients missed messages
    id_count
};

// Counts by a code: the usual codes have their places; others get one of a few
// when they first come, or are counted together as the rest.
inline constexpr std::size_t extra_statuses = 8;
inline constexpr std::size_t extra_close_codes = 16;

// RFC 6455 7.4.1
inline constexpr std::uint16_t first_close_code = 1000;
inline constexpr std::size_t known_close_codes = 16;

inline constexpr std::array<std::uint16_t, 6> known_statuses{400, 403, 405,
                                                             426, 500, 503};

// How the counts of a slot lie one behind the other.
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

// All zero when the memory is made.
struct alignas(64) slot_counters {
    std::array<counter, counter_count> totals;

    // The worker that has the slot. The pid is stored last when it comes; 0:
    // none has it.
    std::atomic<std::int32_t> pid{0};
    single_writer<std::uint16_t>
        generations; // how many have had it, up to 65535
    single_writer<std::uint8_t> draining;
    single_writer<std::uint32_t> clients;
    std::array<counter, counter_count> baseline; // by the workers before it

    // What waits for Redis to take it
    single_writer<std::uint32_t> queued;
    counter queued_bytes;

    std::array<single_writer<std::uint16_t>, extra_statuses> statuses;
    std::array<single_writer<std::uint16_t>, extra_close_codes> close_codes;
};

// The block of this worker; one that nobody reads where it has no slot.
extern slot_counters *current;

// Called when the worker has got its slot, and before it gives it back.
void start(slot_counters &block) noexcept;
void stop() noexcept;

inline void add(counter_id id, std::uint64_t number = 1) noexcept
{
    current->totals[id].add(number);
}

// What one read has brought.
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

// A handshake was refused with the status.
void handshake_refused(ngx_uint_t status) noexcept;

// A session has come to its end. Codes that clients choose get no more than
// half of the table, so that they cannot take the entries of the server's own.
void session_closed(std::uint16_t code, bool by_client) noexcept;

// The worker takes no more clients and waits for the last to leave.
void set_draining() noexcept;

} // namespace websocket::nginx::counters
