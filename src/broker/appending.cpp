// An entry is written, linked, and made news for those who are subscribed.
#include "broker/appending.hpp"
#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/locked.hpp"
#include "broker/logs.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker::detail {

namespace {

// There are as many free blocks as it needs.
index make_entry(zone &z, index log_at, const publication &what,
                 std::size_t blocks) noexcept
{
    const log_record &log = z.log(log_at);
    const index at = take_blocks(z, blocks);

    ::new (z.block(at))
        entry_record{.position = log.last_position + 1,
                     .sequence = log.last_sequence + (what.transient ? 0 : 1),
                     .time = what.time,
                     .from = what.from,
                     .size = static_cast<std::uint32_t>(what.payload.size()),
                     .log = log_at,
                     .kind = what.kind,
                     .transient = what.transient,
                     .behind_hole = log.last_hole != 0 &&
                                    log.last_hole == log.last_position};
    write_bytes(z, at, sizeof(entry_record), what.payload);
    return at;
}

} // namespace

bool append_to(zone &z, index log_at, const publication &what,
               std::uint64_t now, appended &result) noexcept
{
    const pin keep(z, log_at, now);
    log_record &log = z.log(log_at);
    const std::size_t blocks =
        blocks_for(sizeof(entry_record), what.payload.size());
    std::size_t budget = z.hold.entries;

    result = {.result = outcome::done,
              .id = last_message(log),
              .position = log.last_position,
              .clients = all_clients(log),
              .dropped = result.dropped,
              .wake = {}};

    if (log.subscriptions == 0 &&
        (what.transient || log.history_messages == 0)) {
        result.id.sequence += what.transient ? 0 : 1;
        put(log.last_sequence, result.id.sequence);
        return true;
    }

    switch (make_entry_room(z, log_at, blocks, now, budget, result.dropped)) {
    case room::later:
        return false;
    case room::never:
        z.head->refused++;
        result.result = outcome::no_room;
        return true;
    case room::made:
        break;
    }

    const index at = make_entry(z, log_at, what, blocks);

    link_entry(z, at);
    result.id.sequence = z.entry(at).sequence;
    result.position = z.entry(at).position;
    result.wake = announce(z, log_at, at);
    WEBSOCKET_FAULT_POINT("append.announced");
    trim(z, log_at, now, few);
    return true;
}

} // namespace websocket::broker::detail
