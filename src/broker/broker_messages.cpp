// Messages on their way from one process to the others.
#include "broker/blocks.hpp"
#include "broker/broker.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/locked.hpp"
#include "broker/logs.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>

namespace websocket::broker {

using namespace detail;

namespace {

// Writes the entry; 0: there is no room for it.
index make_entry(zone &z, index log_at, const publication &what,
                 std::uint64_t now) noexcept
{
    const std::size_t needed =
        blocks_for(sizeof(entry_record), what.payload.size());

    if (!make_room(z, needed, now)) {
        return 0;
    }

    const log_record &log = z.log(log_at);
    const index at = take_blocks(z, needed);

    ::new (z.block(at))
        entry_record{.position = log.last_position + 1,
                     .sequence = log.last_sequence + (what.transient ? 0 : 1),
                     .time = what.time,
                     .from = what.from,
                     .size = static_cast<std::uint32_t>(what.payload.size()),
                     .log = log_at,
                     .kind = what.kind,
                     .transient = what.transient};
    write_bytes(z, at, sizeof(entry_record), what.payload);
    return at;
}

appended append_to(zone &z, index log_at, const publication &what,
                   std::uint64_t now) noexcept
{
    const pin keep(z, log_at, now);
    log_record &log = z.log(log_at);
    appended result{.result = outcome::done,
                    .id = {log.epoch, log.last_sequence},
                    .clients = log.clients,
                    .wake = {}};

    if (log.subscriptions == 0 &&
        (what.transient || log.history_messages == 0)) {
        result.id.sequence += what.transient ? 0 : 1;
        put(log.last_sequence, result.id.sequence);
        return result;
    }

    const index at = make_entry(z, log_at, what, now);

    if (at == 0) {
        z.head->refused++;
        result.result = outcome::no_room;
        return result;
    }

    link_entry(z, at);
    result.id.sequence = z.entry(at).sequence;
    result.wake = announce_entry(z, at);
    WEBSOCKET_FAULT_POINT("append.announced");
    trim(z, log_at, now, few);
    return result;
}

} // namespace

appended broker::append(subscription handle, const publication &what,
                        std::uint64_t now) noexcept
{
    locked hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    return found != nullptr ? append_to(zone_, found->log, what, now)
                            : appended{};
}

appended broker::append(std::string_view name, const publication &what,
                        const limits &history, std::uint64_t now) noexcept
{
    if (name.size() > longest_name) {
        return {.result = outcome::name_too_long, .id = {}, .wake = {}};
    }

    const log_name wanted(zone_, name);
    locked hold(mutex_, zone_);
    index log = find_log(zone_, wanted);

    if (log == 0) {
        log = find_or_make_log(zone_, wanted, now);

        if (log == 0) {
            zone_.head->refused++;
            return {.result = outcome::no_room, .id = {}, .wake = {}};
        }

        limit_history(zone_.log(log), history.messages, history.milliseconds);
    }

    return append_to(zone_, log, what, now);
}

news broker::next_news(unsigned slot_number) noexcept
{
    if (slot_number >= zone_.head->slot_count) {
        return {};
    }

    locked hold(mutex_, zone_);
    slot_record &slot = zone_.slots[slot_number];

    while (slot.news_first != 0) {
        const index at = slot.news_first;
        const subscription_record &first = zone_.subscription(at);

        unqueue_news(zone_, at);

        if (has_news(zone_, first)) {
            return {{at, first.check}, first.owner};
        }
    }

    put(slot.notified, 0);
    return {};
}

} // namespace websocket::broker
