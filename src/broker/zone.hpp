// What lies where in the broker's shared memory, and the rule by which it
// survives the death of a process in the middle of a change.
//
//     header | slots | buckets | marks | next | blocks
//
// A record - a log, a subscription or an entry - is a chain of blocks, which
// the table `next` links as a file system's allocation table links sectors.
// Blocks are named by an index from 1; 0 is none.
//
// What is called *primary* here is the truth. It is changed by put() alone, in
// single words, each of which leaves the whole valid: a record is written
// first and then made reachable by one store, and made unreachable by one
// store before its blocks are reused. All the rest is *derived*: repair()
// makes it anew from what is primary. So a process may die between any two
// instructions; the next one to take the lock finds `at_work` set and repairs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "broker/name_hash.hpp"

namespace websocket::broker::detail {

using index = std::uint32_t;

constexpr std::size_t block_size = 128;

// A store that is done whole and in its turn: to the compiler what stands
// before it is done before, what stands behind it after. The processor keeps
// the order by itself for all that the process which dies can have done.
template <class word>
void store_ordered(word &to, std::type_identity_t<word> value) noexcept
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::atomic_ref<word>(to).store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

// A word that another process may be changing at the moment, for those who do
// not have the lock. atomic_ref asks for one that may be changed by its user.
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
    std::uint32_t bucket_count = 0; // a power of two
    index block_count = 0;
    hash_key key = {};

    // Whether the lock's owner is at work, or died at it.
    std::uint32_t at_work = 0;

    // Primary. The list of all entries in the order they were appended in.
    index oldest = 0;
    std::uint32_t last_check = 0; // of a subscription
    std::uint64_t last_epoch = 0; // of a log

    // Primary. Its slot + 1 and, in the upper half, the slot's generation: who
    // has another one by now leads no more. 0: nobody has led yet.
    std::uint64_t leader = 0;

    // Any value is right.
    std::uint32_t sweep = 0;           // the bucket where expire() goes on
    std::uint32_t link_generation = 0; // see broker::set_link
    index max_log_blocks = 0;          // see broker::limit_logs; 0: no limit
    std::uint64_t dropped_unread = 0;
    std::uint64_t dropped_history = 0;
    std::uint64_t dropped_over_limit = 0;
    std::uint64_t refused = 0;
    std::uint64_t repairs = 0;

    // Derived.
    index newest = 0;
    index free = 0; // the chain of free blocks on top of the others
    index free_count = 0;
    index unused_first = 0; // the log that has been unused for longest
    index unused_last = 0;
    std::uint32_t logs = 0;
    std::uint32_t subscriptions = 0;
    std::uint32_t entries = 0;
};

struct slot_record {
    // Primary. The pid is stored last when the slot is taken; 0: it is free.
    std::int32_t pid = 0;
    std::int32_t process_slot = 0;
    std::uint32_t generation = 0; // another one for each owner

    // Set when somebody has undertaken to wake the owner. If he dies before
    // he does it, whoever reclaims his slot has it done: see claim().
    std::uint32_t notified = 0;

    // Blocks that the owner writes without the lock, until they are an entry;
    // 0: none. Needs that the slot is taken.
    index reserved = 0;

    // Derived: how many; and subscriptions with something to read, longest
    // waiting first.
    index reserved_count = 0;
    index queue_first = 0;
    index queue_last = 0;
};

struct log_record {
    // Primary.
    std::uint64_t epoch = 0;
    std::uint64_t last_sequence = 0; // at least: an entry may be ahead of them
    std::uint64_t last_position = 0; // until repair() has seen it

    // The epoch of whoever numbers the messages; 0: it is the log's own. While
    // that or the last sequence is being changed it is 0, and there are no
    // entries: so none is ever seen with an id that is not its own.
    std::uint64_t external_epoch = 0;

    // The last position that was given to no entry, for all to see that
    // something is missing. May be one ahead of the last position.
    std::uint64_t last_gap = 0;
    std::uint64_t history_milliseconds = 0;
    std::uint64_t unused_since = 0; // if it is in the list of unused ones
    std::uint32_t history_messages = 0;
    std::uint32_t name_hash = 0;
    std::uint16_t name_size = 0;

    std::uint8_t unused = 0; // derived: it is in the list of unused logs
    bool unlimited = false;  // see broker::limit_logs
    index next_in_bucket = 0;
    index subscriptions = 0;

    // Any value is right.
    std::uint32_t synced_link = 0; // the link for which it has all there is
    std::uint32_t run = 0;         // see broker::mark_term
    std::uint32_t remote_clients = 0;

    // Derived. Messages and transient entries have lists of their own, each
    // by position.
    index first_message = 0;
    index last_message = 0;
    index first_transient = 0;
    index last_transient = 0;
    std::uint32_t message_count = 0;
    index entry_blocks = 0;    // that its entries take
    std::uint32_t clients = 0; // of all subscriptions
    index older_unused = 0;
    index newer_unused = 0;
};

// What of a log's record its first block has no room for: it begins the second.
struct log_extension {
    // Primary. Who has asked for a history, in the order in which they came;
    // 0: nobody more. The last one may be any_source. And the configuration by
    // which the log's limits were found. The name lies behind it, in the chain.
    std::array<std::uint32_t, 4> sources{};
    std::uint32_t configuration = 0;
};

struct subscription_record {
    // Primary.
    std::uint64_t cursor = 0; // position of the last entry that it has passed
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
    // Primary. The payload lies behind the record, in its chain.
    std::uint64_t position = 0;
    std::uint64_t sequence = 0;
    std::uint64_t time = 0;
    std::uint64_t from = 0;
    std::uint32_t size = 0;
    index log = 0;
    index newer = 0; // in the list of all
    std::uint8_t kind = 0;
    bool transient = false;
    bool after_gap = false; // the position before it has no entry

    // Derived. Those of a message's log lead to messages, those of a transient
    // entry's to transient entries, which have no way back.
    index older = 0;
    index next_in_log = 0;
    index previous_message = 0;
    index earlier_message = 0; // see entries.hpp
};

static_assert(sizeof(log_record) <= block_size);
static_assert(sizeof(log_extension) <= block_size);
static_assert(sizeof(subscription_record) <= block_size);
static_assert(sizeof(entry_record) == 64,
              "a message of 64 bytes is to fill one block");

// What a chain of free blocks begins with.
struct free_record {
    index below = 0; // derived: the chain that is used up after this one
};

// What one hold of the lock does at most: whoever has more to do leaves the
// lock to others in between. Each entry costs the lines of cache that it and
// its neighbours in two lists lie in.
struct hold_budget {
    std::size_t entries = 64;
    std::size_t blocks = 256;

    std::size_t bytes() const noexcept { return blocks * block_size; }
};

// A process's view of the memory.
struct zone {
    header *head = nullptr;
    slot_record *slots = nullptr;
    index *buckets = nullptr;
    std::uint64_t *marks = nullptr; // a bit for each block
    index *next = nullptr;
    std::byte *blocks = nullptr;

    // The slot that was claimed last, and its generation then.
    std::uint32_t slot = UINT32_MAX;
    std::uint32_t slot_generation = 0;

    // The log that this process is about to use while it makes room.
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
    subscription_record &subscription(index at) const noexcept
    {
        return get<subscription_record>(at);
    }
    index &bucket_of(std::uint32_t hash) const noexcept
    {
        return buckets[hash & (head->bucket_count - 1)];
    }
};

// The bytes that are needed for so many slots and the fewest blocks.
std::size_t min_zone_size(std::size_t slots) noexcept;

// Lays a zone without any record out in the memory. False: does not fit.
bool create_zone(zone &created, std::span<std::byte> memory, std::size_t slots,
                 const hash_key &key) noexcept;

// Finds the zone that was made in the memory. False: there is none.
bool attach_zone(zone &attached, std::span<std::byte> memory) noexcept;

} // namespace websocket::broker::detail
