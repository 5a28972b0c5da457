// What the broker is told and what it answers.
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

// The lock that all processes share. The owner may die with it.
struct mutex {
    virtual void lock() noexcept = 0;
    virtual void unlock() noexcept = 0;

protected:
    ~mutex() = default;
};

constexpr std::size_t max_slots = 512;
constexpr std::size_t max_name_size = 4096; // bytes

// How long a log without subscriptions and messages is remembered.
constexpr std::uint64_t unused_log_ttl = 300'000;

using slot_set = std::bitset<max_slots>;

enum class outcome {
    done,
    no_memory,     // nothing more to drop, or more than half the memory or
                   // than one log may have wanted
    name_too_long, // over longest_name
    full,          // as many clients as there may be
    gone,          // no such slot, subscription or log (any more)
    duplicate,     // relayed: the log has that message already
    out_of_order   // relayed: not the message that follows in the log
};

// How much of a log is kept as its history: the last `messages`, none older
// than `milliseconds` (0: however old).
struct limits {
    std::uint64_t messages = 0;
    std::uint64_t milliseconds = 0;
};

// Sequences of a log grow by one with each message, from 1. The epoch is
// another, and a greater one, each time a log is made under a name. Those of a
// log that was aligned are somebody else's, who numbers its messages.
struct message_id {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;

    bool operator==(const message_id &) const noexcept = default;
};

// Formats an id as "EPOCH-SEQUENCE". Throws std::bad_alloc.
inline std::string to_string(message_id id)
{
    return websocket::detail::format_id({id.epoch, id.sequence});
}

// What is to be appended.
struct publication {
    std::span<const std::byte> payload;
    std::uint64_t from = 0; // a client's id, below 2^55
    std::uint64_t time = 0; // when it was published
    std::uint8_t kind = 0;  // the publishers' and readers' own

    // Takes no sequence number, has that of the message before it, and is
    // never history: for news of the moment, as who joined.
    bool transient = false;
};

// What was read. The payload lies in the bytes that were lent for it.
struct message {
    message_id id;
    std::uint64_t position = 0; // grows by one with each entry of the log
    std::uint64_t time = 0;
    std::uint64_t from = 0;
    std::uint8_t kind = 0;
    bool transient = false;
    std::span<const std::byte> payload;
};

// A subscription, named by its own process. Stays safe to use when it is gone.
struct subscription {
    std::uint32_t index = 0;
    std::uint32_t check = 0;

    explicit operator bool() const noexcept { return index != 0; }
    bool operator==(const subscription &) const noexcept = default;
};

// What claim() and reclaim_dead() have to know, and report. Called without the
// lock; the functions of the broker may be called in clients_lost.
struct process_monitor {
    // Whether there still is a process of that id.
    virtual bool alive(std::int32_t pid) noexcept = 0;

    // A dead process had `clients` (1 at least) of the log `name`, which are
    // no longer counted. The name is lent for the call.
    virtual void clients_lost(std::string_view name,
                              std::uint32_t clients) noexcept = 0;

    // The slot of a dead process is free. Another process may have taken it
    // already.
    virtual void slot_freed(unsigned /*slot*/, std::int32_t /*pid*/) noexcept {}

protected:
    ~process_monitor() = default;
};

// Memory lent to a read: payloads go to `bytes` one behind the other, what
// there is to say of them to `messages`.
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

    // Of the log's last entry: what comes after it is to be read.
    std::uint64_t position = 0;

    limits history{}; // what the log keeps
};

struct append_result {
    outcome result = outcome::gone;

    // The message's own id; that of the message before it if transient.
    message_id id;

    // Of the entry in the log; unchanged where it is not stored.
    std::uint64_t position = 0;

    // Clients of the log in all processes of all hosts.
    std::uint32_t clients = 0;

    // Entries that were still wanted and went for this one, because the log
    // has more than broker::limit_logs allows.
    std::uint32_t dropped = 0;

    // Slots that have news and whose process may be asleep: to be woken by
    // the caller, each once. May hold the caller's own slot, which has to
    // look for news as the others do. A slot is not named again before its
    // process has found that there is no more news.
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

    // Of the last entry that the subscription has passed.
    std::uint64_t position = 0;

    // Before the first of them (or now, if there are none) messages are
    // missing that should have been read. Said once.
    bool lost = false;

    // Not 0: the next payload is of so many bytes and did not fit. Nothing
    // was read or said: to be called again with more room.
    std::size_t needed = 0;
};

struct description {
    bool exists = false;
    bool external = false;            // somebody else numbers its messages
    std::uint32_t clients = 0;        // the local and the remote ones
    std::uint32_t local_clients = 0;  // in all processes of this host
    std::uint32_t remote_clients = 0; // in other hosts
    std::uint64_t messages = 0;       // in its history
    message_id last;         // of the last message; sequence 0: none yet
    bool subscribed = false; // some process has a subscription
    bool synced = false;     // see mark_linked
    std::uint32_t run = 0;   // see mark_term
    limits history;
};

// How far a survey has come.
struct scan_cursor {
    std::uint32_t bucket = 0;
    std::uint64_t below = UINT64_MAX; // the epochs in it that are left
};

// A log as a survey has found it. The name lies in the bytes that were lent.
struct scanned_log {
    std::string_view name;
    std::uint32_t clients = 0;        // the local and the remote ones
    std::uint32_t remote_clients = 0; // in other hosts
    std::uint64_t messages = 0; // in its history, some perhaps too old for it
    message_id last;
    bool subscribed = false; // some process has a subscription
};

// Memory lent to a survey: at least longest_name bytes and one log.
struct scan_buffers {
    std::span<std::byte> names;
    std::span<scanned_log> logs;
};

struct scan_result {
    std::size_t count = 0; // logs told of
    bool more = false;     // the survey is not over
};

struct usage {
    std::size_t size = 0; // bytes there are for logs and messages
    std::size_t used = 0; // bytes of them that are in use
    std::uint64_t logs = 0;
    std::uint64_t subscriptions = 0;
    std::uint64_t entries = 0; // messages and transient ones

    // Since the memory was made.
    std::uint64_t dropped_unread = 0;  // for want of room, before all had read
    std::uint64_t dropped_history = 0; // for want of room, from the history
    std::uint64_t dropped_over_limit = 0; // wanted, in logs over limit_logs
    std::uint64_t refused = 0;            // had no room
    std::uint64_t repairs = 0;            // after a process died in here
};

} // namespace websocket::broker
