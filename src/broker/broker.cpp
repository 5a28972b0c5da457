// Creates, attaches, sweeps and measures the broker.
#include "broker/broker.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/lock_guard.hpp"

#include <algorithm>

namespace websocket::broker {

using namespace detail;

namespace {

// Removes logs that have been unused for unused_log_ttl. Returns the rest of
// the budget.
std::size_t expire_unused_logs(zone &z, std::uint64_t now,
                               std::size_t budget) noexcept
{
    while (budget > 0 && z.head->unused_first != 0) {
        const std::uint64_t since = z.log(z.head->unused_first).unused_since;

        if (since > now || now - since < unused_log_ttl) {
            break;
        }

        remove_unused(z);
        budget--;
    }

    return budget;
}

// Removes entries that are too old or over the limit from the logs of one
// bucket, at most `budget` of them. Returns the number.
std::size_t trim_bucket(zone &z, index first, std::uint64_t now,
                        std::size_t budget) noexcept
{
    std::size_t removed = 0;

    for (index at = first; at != 0; at = z.log(at).next_in_bucket) {
        std::size_t here = trim(z, at, now, budget - removed);

        here += trim_to_limit(z, at, now, budget - removed - here);

        if (here > 0) {
            removed += here;
            update_unused_list(z, at, now);
        }
    }

    return removed;
}

// Sweeps as many buckets and entries as the budget allows, from where the last
// call stopped. True: a round over all buckets is complete.
bool sweep_buckets(zone &z, std::uint64_t now, std::size_t budget) noexcept
{
    std::uint32_t &sweep = z.head->sweep;

    while (budget > 0) {
        const std::size_t removed =
            trim_bucket(z, z.buckets[sweep], now, budget);

        if (removed == budget) {
            return false; // there may be more in this bucket
        }

        budget -= removed + 1;
        sweep = (sweep + 1) & (z.head->bucket_count - 1);

        if (sweep == 0) {
            return true;
        }
    }

    return false;
}

} // namespace

std::size_t broker::min_size(std::size_t slots) noexcept
{
    return min_zone_size(slots);
}

bool broker::create(std::span<std::byte> memory, std::size_t slots,
                    std::uint64_t seed) noexcept
{
    const hash_key key{seed * 0x9e3779b97f4a7c15 + 1, seed};

    if (slots == 0 || slots > max_slots ||
        !create_zone(zone_, memory, slots, key)) {
        return false;
    }

    free_unmarked(zone_);
    return true;
}

bool broker::attach(std::span<std::byte> memory) noexcept
{
    return attach_zone(zone_, memory);
}

void broker::limit_logs(std::size_t bytes) noexcept
{
    const std::size_t blocks = bytes / block_size;

    store_ordered(zone_.head->max_log_blocks, blocks < zone_.head->block_count
                                                  ? static_cast<index>(blocks)
                                                  : 0);
}

bool broker::fits(std::size_t size) const noexcept
{
    return blocks_for(sizeof(entry_record), size) <= largest_entry(zone_, true);
}

description broker::describe(std::string_view name, std::uint64_t now) noexcept
{
    const log_name wanted(zone_, name);
    locked_zone hold(mutex_, zone_);
    const index at = find_log(zone_, wanted);

    if (at == 0) {
        return {};
    }

    const log_record &log = zone_.log(at);

    if (trim(zone_, at, now, max_extra_removals) != 0) {
        update_unused_list(zone_, at, now);
    }

    return {.exists = true,
            .external = log.external_epoch != 0,
            .clients = all_clients(log),
            .local_clients = log.clients,
            .remote_clients = log.remote_clients,
            .messages = history_count(log),
            .last = last_message(log),
            .subscribed = log.subscriptions != 0,
            .synced = is_synced(zone_, log),
            .run = log.run,
            .history = {log.history_messages, log.history_milliseconds}};
}

std::size_t broker::count_subscriptions(std::string_view name) noexcept
{
    const log_name wanted(zone_, name);
    locked_zone hold(mutex_, zone_);
    const index at = find_log(zone_, wanted);
    std::size_t count = 0;

    if (at != 0) {
        for (index i = zone_.log(at).subscriptions; i != 0;
             i = zone_.subscription(i).next_in_log) {
            count++;
        }
    }

    return count;
}

bool broker::expire(std::uint64_t now, std::size_t budget) noexcept
{
    while (budget > 0) {
        std::size_t piece = std::min(budget, zone_.hold.entries);

        budget -= piece;
        locked_zone hold(mutex_, zone_);
        piece = expire_unused_logs(zone_, now, piece);

        if (sweep_buckets(zone_, now, piece)) {
            return true;
        }
    }

    return false;
}

usage broker::measure() noexcept
{
    locked_zone hold(mutex_, zone_);
    const header &head = *zone_.head;

    return {.size = std::size_t{head.block_count} * block_size,
            .used =
                std::size_t{head.block_count - head.free_count} * block_size,
            .logs = head.logs,
            .subscriptions = head.subscriptions,
            .entries = head.entries,
            .members = head.members,
            .dropped_unread = head.dropped_unread,
            .dropped_history = head.dropped_history,
            .dropped_over_limit = head.dropped_over_limit,
            .refused = head.refused,
            .repairs = head.repairs};
}

} // namespace websocket::broker
