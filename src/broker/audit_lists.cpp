// The checks of what is derived: it must be what follows from the records,
// which have been found right before.
#include "broker/auditor.hpp"
#include "broker/blocks.hpp"

namespace websocket::broker::detail {

std::string_view auditor::check_lists(index log_at) noexcept
{
    const log_record &log = z_.log(log_at);
    std::uint32_t messages = 0;
    index last = 0;

    for (index at = log.first; at != 0; at = z_.entry(at).next_in_log) {
        if (!known(at) || z_.entry(at).log != log_at ||
            z_.entry(at).previous_in_log != last ||
            (last != 0 && z_.entry(at).position <= z_.entry(last).position)) {
            return "a log's list of entries is wrong";
        }
        messages += z_.entry(at).transient ? 0 : 1;
        found_.listed++;
        last = at;
    }

    if (log.last != last || log.message_count != messages) {
        return "a log's end or count is wrong";
    }

    if (last != 0 && (z_.entry(last).position > log.last_position ||
                      z_.entry(last).sequence > log.last_sequence)) {
        return "a log's last position or sequence is wrong";
    }

    if ((log.unused != 0) != (log.subscriptions == 0 && log.first == 0)) {
        return "a log is in the list of unused ones, or not, wrongly";
    }

    found_.unused += log.unused;
    return check_transients(log);
}

std::string_view auditor::check_transients(const log_record &log) noexcept
{
    index next = log.first_transient;
    index last = 0;

    for (index at = log.first; at != 0; at = z_.entry(at).next_in_log) {
        if (z_.entry(at).transient) {
            if (at != next) {
                return "a log's list of transient entries is wrong";
            }
            last = at;
            next = z_.entry(at).next_transient;
        }
    }

    if (next != 0 || log.last_transient != last) {
        return "a log's list of transient entries ends wrongly";
    }

    return {};
}

std::string_view auditor::check_readers(index log_at) noexcept
{
    for (index at = z_.log(log_at).subscriptions; at != 0;
         at = z_.subscription(at).next_in_log) {
        if (const words fault = check_reader(z_.subscription(at));
            !fault.empty()) {
            return fault;
        }
    }

    return {};
}

// Goes on at the first entry behind its cursor; from there on none is missing
// where no hole was made.
std::string_view
auditor::check_reader(const subscription_record &reader) noexcept
{
    const log_record &log = z_.log(reader.log);
    index at = log.first;

    while (at != 0 && z_.entry(at).position <= reader.cursor) {
        at = z_.entry(at).next_in_log;
    }

    if (reader.unread != at) {
        return "a subscription goes on reading at the wrong entry";
    }

    if (at == 0) {
        return {};
    }

    std::uint64_t position = z_.entry(at).position;

    for (; at != 0; at = z_.entry(at).next_in_log) {
        const entry_record &entry = z_.entry(at);

        if (entry.position != position && !entry.behind_hole) {
            return "an entry is missing among the unread ones";
        }
        position = entry.position + 1;
    }

    if (position != log.last_position + 1 &&
        log.last_hole != log.last_position) {
        return "an entry is missing behind the unread ones";
    }

    return {};
}

std::string_view auditor::check_news() noexcept
{
    index queued = 0;

    for (std::uint32_t i = 0; i < z_.head->slot_count; i++) {
        index last = 0;

        for (index at = z_.slots[i].news_first; at != 0;
             at = z_.subscription(at).next_news) {
            const subscription_record &found = z_.subscription(at);

            if (!known(at) || queued++ == found_.queued || found.queued != 1 ||
                found.slot != i || found.previous_news != last) {
                return "a slot's list of news is wrong";
            }
            last = at;
        }

        if (z_.slots[i].news_last != last) {
            return "a slot's list of news ends wrongly";
        }
    }

    if (queued != found_.queued) {
        return "a subscription is queued nowhere";
    }

    return {};
}

std::string_view auditor::check_unused() noexcept
{
    index older = 0;
    index listed = 0;

    for (index at = z_.head->unused_first; at != 0;
         at = z_.log(at).newer_unused) {
        const log_record &log = z_.log(at);

        if (!known(at) || listed++ == found_.unused || log.unused != 1 ||
            log.older_unused != older) {
            return "the list of unused logs is wrong";
        }
        older = at;
    }

    if (z_.head->unused_last != older || listed != found_.unused) {
        return "the list of unused logs ends wrongly";
    }

    return {};
}

std::string_view auditor::check_free() noexcept
{
    index count = 0;

    for (index at = z_.head->free; at != 0; at = z_.next[at]) {
        if (!take(at)) {
            return "a free block is in use, or free twice";
        }
        count++;
    }

    if (count != z_.head->free_count) {
        return "the count of free blocks is wrong";
    }

    return {};
}

std::string_view auditor::check_totals() noexcept
{
    if (found_.blocks != z_.head->block_count) {
        return "a block is neither in use nor free";
    }

    if (z_.head->leader != 0 &&
        static_cast<std::uint32_t>(z_.head->leader) - 1 >=
            z_.head->slot_count) {
        return "the leader has no slot";
    }

    if (found_.logs != z_.head->logs ||
        found_.subscriptions != z_.head->subscriptions ||
        found_.entries != z_.head->entries || found_.entries != found_.listed) {
        return "the counts of the header are wrong";
    }

    return {};
}

} // namespace websocket::broker::detail
