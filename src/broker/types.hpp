// Parameters and results of the broker.
#pragma once

#include "sdk/websocket_text.hpp"
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::broker {

// The lock that all processes share. A process may die while it owns the lock.
struct mutex {
    virtual void lock() noexcept = 0;
    virtual void unlock() noexcept = 0;

protected:
    ~mutex() = default;
};

constexpr std::size_t max_slots = 512;
constexpr std::size_t max_name_size = 4096; // bytes

// Lifetime, in milliseconds, of a log without subscriptions and messages.
constexpr std::uint64_t unused_log_ttl = 300'000;

// A leader that has not called keep_lead for so long, in milliseconds, can be
// replaced.
constexpr std::uint64_t lead_timeout = 1200;

// Logs of the sequencer, each with a cursor of this host.
constexpr std::size_t max_cursors = 16;

using slot_set = std::bitset<max_slots>;

enum class outcome {
    done,
    no_memory,     // nothing left to remove, or the entry exceeds half
                   // the memory or the limit of a log
    name_too_long, // over max_name_size
    full,          // the maximum of clients is reached
    gone,          // no such slot, subscription or log
    duplicate,     // append_external: the log has the message
    out_of_order,  // append_external: not the next message
    not_leading    // an external log: this process has lost the lead
};

// The history of a log: the last `messages`, none older than `milliseconds`; 0:
// of any age.
struct limits {
    std::uint64_t messages = 0;
    std::uint64_t milliseconds = 0;
};

// The sequence grows by one with each message of a log, from 1. Each time a log
// is created under a name it gets a new, greater epoch. External logs have the
// ids of their sequencer.
struct message_id {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;

    bool operator==(const message_id &) const noexcept = default;
};

// The last entry of a sequencer's log that the host has applied, and the run of
// the sequencer that it is from. Epoch 0: the log is not read.
struct log_cursor {
    message_id last;
    std::uint32_t run = 0;

    bool operator==(const log_cursor &) const noexcept = default;
};

// Formats an id as "EPOCH-SEQUENCE". Throws std::bad_alloc.
inline std::string to_string(message_id id)
{
    return websocket::detail::format_id({id.epoch, id.sequence});
}

// A message to append.
struct publication {
    std::span<const std::byte> payload;
    std::uint64_t from = 0; // a client's id, below 2^55
    std::uint64_t time = 0; // when it was published
    std::uint8_t kind = 0;  // for publishers and readers

    // Takes no sequence number, has that of the message before it, and is never
    // in the history: for passing events, such as who joined.
    bool transient = false;

    // Of an external log: see broker::mark_run. 0: unchanged.
    std::uint32_t run = 0;
};

// A message that was read. The payload lies in the bytes of read_buffers.
struct message {
    message_id id;
    std::uint64_t position = 0; // grows by one with each entry of the log
    std::uint64_t time = 0;
    std::uint64_t from = 0;
    std::uint8_t kind = 0;
    bool transient = false;
    std::span<const std::byte> payload;
};

// The handle of a subscription, for its own process. It stays safe to use when
// the subscription is gone.
struct subscription {
    std::uint32_t index = 0;
    std::uint32_t check = 0;

    explicit operator bool() const noexcept { return index != 0; }
    bool operator==(const subscription &) const noexcept = default;
};

// Process table for claim() and reclaim_dead(). Called without the lock;
// clients_lost may call functions of the broker.
struct process_monitor {
    // Whether a process of that id exists.
    virtual bool alive(std::int32_t pid) noexcept = 0;

    // A dead process had `clients` (at least 1) of the log `name`, which are no
    // longer counted. The name is valid during the call.
    virtual void clients_lost(std::string_view name,
                              std::uint32_t clients) noexcept = 0;

    // The slot of a dead process is free. Another process may have taken it
    // already.
    virtual void slot_freed(unsigned /*slot*/, std::int32_t /*pid*/) noexcept {}

protected:
    ~process_monitor() = default;
};

// Buffers of the caller for a read: payloads go to `bytes`, one after the
// other, and their descriptions to `messages`.
struct read_buffers {
    std::span<std::byte> bytes;
    std::span<message> messages;
};

struct claim_result {
    std::optional<unsigned> slot; // none: all slots are taken
    slot_set wake;                // see append
};

struct subscribed {
    outcome result = outcome::gone;
    subscription handle; // if done

    // The position of the log's last entry: reading starts after it.
    std::uint64_t position = 0;

    limits history{}; // what the log keeps
};

struct append_result {
    outcome result = outcome::gone;

    // The id of the message; for a transient entry that of the message before
    // it.
    message_id id;

    // The position of the entry; unchanged if it is not stored.
    std::uint64_t position = 0;

    // Clients of the log in all processes of all hosts.
    std::uint32_t clients = 0;

    // Entries of this log that were unread or in the history and were removed
    // for this one, because of broker::limit_logs.
    std::uint32_t dropped = 0;

    // Slots with something unread whose process may be asleep. The caller wakes
    // each once. May include the caller's own slot, which has to read as the
    // others do. A slot is not returned again before next_unread() has found
    // nothing left for it.
    slot_set wake;
};

// A subscription that has something to read.
struct unread_subscription {
    subscription handle;
    void *owner = nullptr; // as given to subscribe

    explicit operator bool() const noexcept { return bool(handle); }
};

struct read_result {
    std::size_t count = 0; // messages read
    bool more = false;     // there is more to be read

    // The position of the last entry that the subscription has passed.
    std::uint64_t position = 0;

    // A gap precedes the first of them, or the present end if there are none.
    // Reported once.
    bool lost = false;

    // Not 0: the next payload has so many bytes and does not fit. Nothing was
    // read or reported: call again with larger buffers.
    std::size_t needed = 0;
};

struct description {
    bool exists = false;
    bool external = false;            // a sequencer numbers its messages
    std::uint32_t clients = 0;        // local and remote
    std::uint32_t local_clients = 0;  // in all processes of this host
    std::uint32_t remote_clients = 0; // in other hosts
    std::uint64_t messages = 0;       // in its history
    message_id last;         // of the last message; sequence 0: none yet
    bool subscribed = false; // some process has a subscription
    bool synced = false;     // see broker::mark_synced
    std::uint32_t run = 0;   // see broker::mark_run
    limits history;
};

// The cursor of a scan.
struct scan_cursor {
    std::uint32_t bucket = 0;
    std::uint64_t below = UINT64_MAX; // epochs of the bucket that are left
};

// A log that a scan found. The name lies in the bytes of scan_buffers.
struct scanned_log {
    std::string_view name;
    std::uint32_t clients = 0;        // local and remote
    std::uint32_t remote_clients = 0; // in other hosts
    std::uint64_t messages = 0; // in its history, some perhaps too old for it
    message_id last;
    bool subscribed = false; // some process has a subscription
};

// Buffers of the caller for a scan: at least max_name_size bytes and one log.
struct scan_buffers {
    std::span<std::byte> names;
    std::span<scanned_log> logs;
};

struct scan_result {
    std::size_t count = 0; // logs returned
    bool more = false;     // the scan is not complete
};

// A note of a process; none: there was no memory.
struct note {
    std::uint32_t index = 0;

    explicit operator bool() const noexcept { return index != 0; }
};

// A note as another process finds it.
struct found_note {
    note handle;
    std::uint32_t kind = 0;
    std::uint64_t sequence = 0;
    std::uint16_t code = 0;
    std::uint16_t adoptions = 0; // so far, with this one
    std::string_view text;       // this and the state lie in the given buffer
    std::string_view state;

    // Not 0: text and state have so many bytes and do not fit. Nothing is
    // done.
    std::size_t needed = 0;
};

struct usage {
    std::size_t size = 0; // bytes for logs and messages
    std::size_t used = 0; // bytes in use
    std::uint64_t logs = 0;
    std::uint64_t subscriptions = 0;
    std::uint64_t entries = 0; // messages and transient ones
    std::uint64_t members = 0; // users with clients, in each scope

    // Since the memory was created.
    std::uint64_t dropped_unread = 0;  // to free memory, unread
    std::uint64_t dropped_history = 0; // to free memory, from a history
    // unread or in the history, over limit_logs
    std::uint64_t dropped_over_limit = 0;
    std::uint64_t refused = 0; // no memory
    std::uint64_t repairs = 0; // after a process died with the lock
};

} // namespace websocket::broker
