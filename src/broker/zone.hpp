// The layout of the broker's shared memory, and the rule by which it survives
// the death of a process in the middle of a change.
//
//     header | slots | buckets of logs, scopes, members | marks | next | blocks
//
// A record is a log, a subscription, an entry, a note, a scope or a member. It
// is a chain of blocks, which the table `next` links as a file system's
// allocation table links sectors. Blocks are numbered from 1; 0 is none.
//
// *Primary* words are authoritative. store_ordered() alone changes them, in
// single words, each of which leaves the whole valid. A record is written first
// and then made reachable by one store. It is made unreachable by one store
// before its blocks are reused. All other words are *derived*: repair()
// rebuilds them from the primary ones. So a process may die between any two
// instructions. The next owner of the lock finds `at_work` set and repairs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "broker/name_hash.hpp"
#include "broker/types.hpp"

namespace websocket::broker::detail {

using index = std::uint32_t;

constexpr std::size_t block_size = 128;

// A store of one word that the compiler neither splits nor moves: earlier
// statements stay before it, later ones after it. The processor needs no fence,
// because its own stores stay in order for a process that takes over after its
// death.
template <class word>
void store_ordered(word &to, std::type_identity_t<word> value) noexcept
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::atomic_ref<word>(to).store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Loads a word that another process may be changing, for readers without the
// lock. atomic_ref requires a non-const object.
template <class word>
word load_relaxed(const word &at) noexcept
{
    return std::atomic_ref<word>(const_cast<word &>(at))
        .load(std::memory_order_relaxed);
}

struct header {
    // Written once, by create().
    std::uint64_t magic = 0;
    std::uint64_t layout = 0;
    std::uint64_t memory_size = 0;
    std::uint32_t slot_count = 0;
    std::uint32_t bucket_count = 0; // of each kind, a power of two
    index block_count = 0;
    hash_key key = {};

    // Set while the owner of the lock works. If it is set when the lock is
    // taken, the previous owner died.
    std::uint32_t at_work = 0;

    // Primary. The list of all entries in the order in which they were
    // appended.
    index oldest = 0;
    std::uint32_t last_check = 0; // of the last subscription
    std::uint64_t last_epoch = 0; // of the last log

    // Primary. The first note whose process is gone, and the note that is on
    // its way from one list to another.
    index orphans = 0;
    index moving = 0;

    // Primary. The leader's slot + 1 and, in the upper half, the slot's
    // generation: a slot with another generation leads no more. 0: there was no
    // leader yet.
    std::uint64_t leader = 0;

    // Primary. While a cursor gets another epoch or run, its epoch is 0.
    struct cursor {
        std::uint64_t epoch = 0;
        std::uint64_t sequence = 0;
        std::uint32_t run = 0;
    };
    std::array<cursor, max_cursors> cursors{};

    // Any value is right.
    std::uint64_t led_at = 0;          // see broker::keep_lead
    std::uint32_t sweep = 0;           // the bucket where expire() continues
    std::uint32_t link_generation = 0; // see broker::set_link_generation
    index max_log_blocks = 0;          // see broker::limit_logs; 0: no limit
    std::uint64_t dropped_unread = 0;
    std::uint64_t dropped_history = 0;
    std::uint64_t dropped_over_limit = 0;
    std::uint64_t refused = 0;
    std::uint64_t repairs = 0;

    // Derived.
    index newest = 0;
    index free = 0; // the top chain of free blocks
    index free_count = 0;
    index unused_first = 0; // unused for longest
    index unused_last = 0;
    std::uint32_t logs = 0;
    std::uint32_t subscriptions = 0;
    std::uint32_t entries = 0;
    index note_blocks = 0;     // of all notes
    index member_blocks = 0;   // of all scopes and members
    std::uint32_t members = 0; // with clients
    index lost_first = 0;      // members without a process, longest first
    index lost_last = 0;
};

struct slot_record {
    // Primary. The pid is stored last when the slot is claimed; 0: it is free.
    std::int32_t pid = 0;
    std::int32_t process_slot = 0;
    std::uint32_t generation = 0; // a new number for each owner

    // Set when a process is about to wake the owner. If that process dies
    // first, the one that reclaims its slot wakes the owner: see claim().
    std::uint32_t notified = 0;

    // Blocks that the owner writes without the lock before they become an
    // entry; 0: none. Valid only while the slot is claimed.
    index reserved = 0;

    // The first note of the owner. Nothing else keeps the slot of a dead one.
    index notes = 0;

    // Derived: the number of reserved blocks, and the queue of subscriptions
    // with something to read, longest waiting first.
    index reserved_count = 0;
    index queue_first = 0;
    index queue_last = 0;

    std::uint32_t seats = 0; // derived: its members, also those that linger
};

struct log_record {
    // Primary.
    std::uint64_t epoch = 0;
    std::uint64_t last_sequence = 0; // lower bound: an entry may be ahead
    std::uint64_t last_position = 0; // until repair() has seen it

    // The sequencer's epoch; 0: the log numbers its own messages. While it or
    // the last sequence changes it is 0, and the log has no entries. So no
    // entry is ever seen under a wrong id.
    std::uint64_t external_epoch = 0;

    // The last position without an entry, by which all readers see that
    // something is missing. May be last_position + 1.
    std::uint64_t last_gap = 0;
    std::uint64_t history_milliseconds = 0;
    std::uint64_t unused_since = 0; // valid if it is in the list of unused logs
    std::uint32_t history_messages = 0;
    std::uint32_t name_hash = 0;
    std::uint16_t name_size = 0;

    std::uint8_t unused = 0; // derived: it is in the list of unused logs
    bool unlimited = false;  // see broker::limit_logs
    index next_in_bucket = 0;
    index subscriptions = 0;

    // Any value is right.
    std::uint32_t synced_link = 0; // the link over which it is synchronized
    std::uint32_t run = 0;         // see broker::mark_run
    std::uint32_t remote_clients = 0;

    // Derived. Messages and transient entries have a list each, by position.
    index first_message = 0;
    index last_message = 0;
    index first_transient = 0;
    index last_transient = 0;
    std::uint32_t message_count = 0;
    index entry_blocks = 0;    // of its entries
    std::uint32_t clients = 0; // of all subscriptions
    index older_unused = 0;
    index newer_unused = 0;
};

// The part of a log's record that does not fit into its first block: it begins
// the second. The name follows it in the chain.
struct log_extension {
    // Primary. The sources that have requested a history, in the order of their
    // requests; 0 ends the list. The last one may be any_source.
    std::array<std::uint32_t, 4> sources{};
    std::uint32_t configuration = 0;
};

struct subscription_record {
    // Primary.
    std::uint64_t cursor = 0; // position of the last entry that was passed
    void *owner = nullptr;
    std::uint32_t check = 0;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0; // of the slot
    std::uint32_t clients = 0;
    index log = 0;
    index next_in_log = 0;

    // Derived. The first entries after the cursor.
    index unread_message = 0;
    index unread_transient = 0;
    std::uint32_t queued = 0;
    index next_queued = 0;
    index previous_queued = 0;
};

struct entry_record {
    // Primary. The payload follows the record in its chain.
    std::uint64_t position = 0;
    std::uint64_t sequence = 0;
    std::uint64_t time = 0;
    std::uint64_t from = 0;
    std::uint32_t size = 0;
    index log = 0;
    index newer = 0; // in the list of all entries
    std::uint8_t kind = 0;
    bool transient = false;
    bool after_gap = false; // the position before it has no entry

    // Derived. next_in_log links messages to messages and transient entries to
    // transient entries. Only messages link back.
    index older = 0;
    index next_in_log = 0;
    index previous_message = 0;
    index earlier_message = 0; // see entries.hpp
};

// The text follows the record in its chain.
struct note_record {
    // Primary. One process changes the sequence and the code, without the lock.
    std::uint64_t sequence = 0;
    std::uint32_t kind = 0;
    std::uint32_t size = 0;
    std::uint64_t orphaned_at = 0;
    index state = 0; // 0: it is empty
    index next = 0;  // in the list of its slot, or of the orphans
    std::uint16_t code = 0;
    std::uint16_t adoptions = 0;

    // Derived.
    std::uint32_t slot = 0; // no_slot: it is an orphan
    index previous = 0;
};

// The state of a note: a chain of its own, which replaces the one before.
struct state_record {
    std::uint32_t size = 0;
};

static_assert(sizeof(log_record) <= block_size);
static_assert(sizeof(note_record) <= block_size);
static_assert(sizeof(log_extension) <= block_size);
static_assert(sizeof(subscription_record) <= block_size);
static_assert(sizeof(entry_record) == 64,
              "a message of 64 bytes is to fill one block");

// The record at the beginning of a chain of free blocks.
struct free_record {
    index below = 0; // derived: the next chain of the stack
};

// The most that one hold of the lock does. Longer work releases the lock in
// between. Each entry costs the cache lines of itself and of its neighbours in
// two lists.
struct hold_budget {
    std::size_t entries = 64;
    std::size_t blocks = 256;

    std::size_t bytes() const noexcept { return blocks * block_size; }
};

// A process's view of the memory.
struct zone {
    header *head = nullptr;
    slot_record *slots = nullptr;
    index *buckets = nullptr;        // of logs
    index *scope_buckets = nullptr;  // see members.hpp
    index *member_buckets = nullptr; // derived
    std::uint64_t *marks = nullptr;  // a bit for each block
    index *next = nullptr;
    std::byte *blocks = nullptr;

    // The slot that was claimed last, and its generation then.
    std::uint32_t slot = UINT32_MAX;
    std::uint32_t slot_generation = 0;

    // The value of header::leader when this process took the lead last; 0: it
    // has never led.
    std::uint64_t lead = 0;

    // A log that must not be removed while memory is reclaimed.
    index pinned = 0;

    hold_budget hold;

    std::byte *block(index at) const noexcept
    {
        return blocks + (at - std::size_t{1}) * block_size;
    }
    template <class record>
    record &get(index at) const noexcept
    {
        return *std::launder(reinterpret_cast<record *>(block(at)));
    }
    log_record &log(index at) const noexcept { return get<log_record>(at); }
    log_extension &extension_of(index at) const noexcept
    {
        return get<log_extension>(next[at]);
    }
    free_record &free_chain(index at) const noexcept
    {
        return get<free_record>(at);
    }
    entry_record &entry(index at) const noexcept
    {
        return get<entry_record>(at);
    }
    note_record &note(index at) const noexcept { return get<note_record>(at); }
    subscription_record &subscription(index at) const noexcept
    {
        return get<subscription_record>(at);
    }
    index &bucket_of(std::uint32_t hash) const noexcept
    {
        return buckets[hash & (head->bucket_count - 1)];
    }
    index &scope_bucket_of(std::uint32_t hash) const noexcept
    {
        return scope_buckets[hash & (head->bucket_count - 1)];
    }
    index &member_bucket_of(std::uint32_t hash) const noexcept
    {
        return member_buckets[hash & (head->bucket_count - 1)];
    }
};

// The size in bytes for so many slots and the fewest blocks.
std::size_t min_zone_size(std::size_t slots) noexcept;

// Creates an empty zone in the memory. False: it does not fit.
bool create_zone(zone &created, std::span<std::byte> memory, std::size_t slots,
                 const hash_key &key) noexcept;

// Attaches to a zone in the memory. False: there is none.
bool attach_zone(zone &attached, std::span<std::byte> memory) noexcept;

} // namespace websocket::broker::detail
