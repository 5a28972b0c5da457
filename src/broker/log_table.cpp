// Finds logs through the hash buckets of their names. The list of unused logs
// is ordered by their last use; repair() does not know that order and rebuilds
// it in any.
#include "broker/log_table.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"

#include <algorithm>
#include <limits>

namespace websocket::broker::detail {

namespace {

void unlist_unused(zone &z, index at) noexcept
{
    log_record &log = z.log(at);

    (log.older_unused != 0 ? z.log(log.older_unused).newer_unused
                           : z.head->unused_first) = log.newer_unused;
    (log.newer_unused != 0 ? z.log(log.newer_unused).older_unused
                           : z.head->unused_last) = log.older_unused;
    log.unused = 0;
}

// If the sources do not fit, the last one becomes any_source.
void add_source(log_extension &rest, history_source added) noexcept
{
    for (std::uint32_t &each : rest.sources) {
        if (each == added || each == any_source) {
            return;
        }

        if (each == no_source) {
            store_ordered(each, added);
            return;
        }
    }

    store_ordered(rest.sources.back(), any_source);
}

bool is_unlimited(std::span<const std::byte> name) noexcept
{
    return !name.empty() && static_cast<char>(name[0]) == ':';
}

std::uint64_t next_epoch(zone &z, std::uint64_t now) noexcept
{
    store_ordered(z.head->last_epoch, std::max(now, z.head->last_epoch + 1));
    return z.head->last_epoch;
}

} // namespace

index find_log(const zone &z, const log_name &name) noexcept
{
    index at = z.bucket_of(name.hash);

    for (; at != 0; at = z.log(at).next_in_bucket) {
        const log_record &log = z.log(at);

        if (log.name_hash == name.hash && log.name_size == name.bytes.size() &&
            same_bytes(z, z.next[at], sizeof(log_extension), name.bytes)) {
            break;
        }
    }

    return at;
}

index get_or_create_log(zone &z, const log_name &name,
                        std::uint64_t now) noexcept
{
    const index found = find_log(z, name);
    const std::size_t needed = log_blocks(name.bytes.size());

    if (found != 0 || !reclaim_blocks(z, needed, now)) {
        return found;
    }

    const index at = take_blocks(z, needed);
    index &bucket = z.bucket_of(name.hash);

    ::new (z.block(at))
        log_record{.epoch = next_epoch(z, now),
                   .name_hash = name.hash,
                   .name_size = static_cast<std::uint16_t>(name.bytes.size()),
                   .unlimited = is_unlimited(name.bytes),
                   .next_in_bucket = bucket};
    ::new (z.block(z.next[at])) log_extension{};
    write_bytes(z, z.next[at], sizeof(log_extension), name.bytes);

    WEBSOCKET_FAULT_POINT("log.written");
    store_ordered(bucket, at);
    WEBSOCKET_FAULT_POINT("log.linked");
    z.head->logs++;
    return at;
}

std::span<std::byte> copy_name(const zone &z, index at,
                               std::span<std::byte> to) noexcept
{
    to = to.first(std::min<std::size_t>(to.size(), z.log(at).name_size));
    read_bytes(z, z.next[at], sizeof(log_extension), to);
    return to;
}

std::uint32_t all_clients(const log_record &log) noexcept
{
    const std::uint32_t here = load_relaxed(log.clients);
    const std::uint32_t others = load_relaxed(log.remote_clients);
    const auto max = std::numeric_limits<std::uint32_t>::max();

    return here < max - others ? here + others : max;
}

std::uint64_t history_count(const log_record &log) noexcept
{
    return std::min<std::uint64_t>(log.message_count, log.history_messages);
}

void update_unused_list(zone &z, index at, std::uint64_t now) noexcept
{
    log_record &log = z.log(at);

    if (log.unused != 0) {
        unlist_unused(z, at);
    }

    if (log.subscriptions == 0 && is_empty(log) && at != z.pinned) {
        log.unused_since = now;
        WEBSOCKET_FAULT_POINT("log.unused");
        list_as_unused(z, at);
    }
}

void list_as_unused(zone &z, index at) noexcept
{
    log_record &log = z.log(at);

    log.unused = 1;
    log.older_unused = z.head->unused_last;
    log.newer_unused = 0;
    (log.older_unused != 0 ? z.log(log.older_unused).newer_unused
                           : z.head->unused_first) = at;
    z.head->unused_last = at;
}

void remove_unused(zone &z) noexcept
{
    const index at = z.head->unused_first;
    const log_record &log = z.log(at);
    index *link = &z.bucket_of(log.name_hash);

    while (*link != at) {
        link = &z.log(*link).next_in_bucket;
    }

    unlist_unused(z, at);
    WEBSOCKET_FAULT_POINT("log.left");
    store_ordered(*link, log.next_in_bucket);
    WEBSOCKET_FAULT_POINT("log.removed");
    z.head->logs--;
    free_blocks(z, at, log_blocks(log.name_size));
}

void limit_history(log_record &log, const limits &kept) noexcept
{
    const std::uint64_t max = std::numeric_limits<std::uint32_t>::max();

    store_ordered(log.history_messages,
                  static_cast<std::uint32_t>(std::min(kept.messages, max)));
    WEBSOCKET_FAULT_POINT("log.limited");
    store_ordered(log.history_milliseconds, kept.milliseconds);
}

void ask_history(zone &z, index at, const history_request &asked,
                 bool joins) noexcept
{
    log_record &log = z.log(at);
    log_extension &rest = z.extension_of(at);

    if (asked.rules == nullptr) {
        limit_history(log, asked.asked);
        return;
    }

    const bool fresh = rest.sources[0] == no_source;
    const bool counts = joins || fresh;

    if (counts) {
        add_source(rest, asked.source);
    }

    // Ignore workers of an earlier configuration
    if (asked.configuration < rest.configuration ||
        (asked.configuration == rest.configuration && !counts)) {
        return;
    }

    limits wanted = asked.asked;

    for (const history_source each : rest.sources) {
        wanted = larger(wanted, asked.rules->of(each));
    }

    if (!fresh && asked.configuration == rest.configuration) {
        wanted = larger(wanted, limits_of(log));
    }

    limit_history(log, wanted);
    WEBSOCKET_FAULT_POINT("log.asked");
    store_ordered(rest.configuration, asked.configuration);
}

} // namespace websocket::broker::detail
