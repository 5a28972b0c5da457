// Copies unread entries out of the logs.
#include "broker/broker.hpp"
#include "broker/copying.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

namespace {

// Moves the cursor to `position`; reading continues with the first of `unread`.
void move_cursor(zone &z, subscription_record &reader, std::uint64_t position,
                 const entries_in_order &unread, std::uint64_t now,
                 std::size_t passed) noexcept
{
    store_ordered(reader.cursor, position);
    WEBSOCKET_FAULT_POINT("read.moved");
    reader.unread_message = unread.message();
    reader.unread_transient = unread.transient();
    trim(z, reader.log, now, passed + max_extra_removals);
}

// Copies as many entries as fit, after the first one if that is copied already.
read_result copy_unread(zone &z, subscription_record &reader,
                        const read_buffers &to, bool first_is_copied,
                        std::uint64_t now) noexcept
{
    entries_in_order unread(z, reader.unread_message, reader.unread_transient);
    copier copied(z, to);
    read_result result;

    if (first_is_copied) {
        copied.add_copied(unread.first());
        unread.pass_first();
    }

    index at = unread.first();

    for (; at != 0 && copied.leads_to(at) && copied.add(at);
         at = unread.first()) {
        unread.pass_first();
    }

    result.count = copied.count();

    if (result.count > 0) {
        result.lost = copied.first().position != reader.cursor + 1;
        move_cursor(z, reader, copied.last().position, unread, now,
                    result.count);
    } else if (at == 0) {
        result.lost = true;
        move_cursor(z, reader, z.log(reader.log).last_position, unread, now, 0);
    } else {
        result.needed = copied.needed(at);
    }

    return result;
}

} // namespace

read_result broker::read(subscription handle, const read_buffers &to,
                         std::uint64_t now) noexcept
{
    large_copy large;

    for (;;) {
        const locked_zone hold(mutex_, zone_);
        subscription_record *reader = find_subscription(zone_, handle);

        if (reader == nullptr || !has_unread(zone_, *reader)) {
            return {};
        }

        const index first = first_unread(zone_, *reader);
        const bool is_large = large_copy::suits(zone_, first, to);

        if (is_large && !large.step(zone_, first, to.bytes)) {
            continue; // others have the lock in between
        }

        read_result result = copy_unread(zone_, *reader, to, is_large, now);

        result.position = reader->cursor;
        result.more = has_unread(zone_, *reader);
        result.more ? queue_unread(zone_, handle.index)
                    : dequeue_unread(zone_, handle.index);
        return result;
    }
}

} // namespace websocket::broker
