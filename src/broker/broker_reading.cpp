// What processes copy out of the logs: their news, and the history.
#include "broker/blocks.hpp"
#include "broker/broker.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/locked.hpp"
#include "broker/logs.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

namespace {

// Fills the place that was lent.
class filling {
public:
    filling(const zone &z, const place &to) noexcept
        : zone_{z}, bytes_{to.bytes}, messages_{to.messages}
    {}

    // False: the entry does not fit.
    bool add(index at) noexcept
    {
        const entry_record &entry = zone_.entry(at);

        if (count_ == messages_.size() || entry.size > bytes_.size()) {
            return false;
        }

        const std::span<std::byte> payload = bytes_.first(entry.size);

        read_bytes(zone_, at, sizeof(entry_record), payload);
        bytes_ = bytes_.subspan(entry.size);
        messages_[count_++] = {
            .id = {shown_epoch(zone_.log(entry.log)), entry.sequence},
            .position = entry.position,
            .time = entry.time,
            .from = entry.from,
            .kind = entry.kind,
            .transient = entry.transient,
            .payload = payload};
        return true;
    }

    // Nothing is missing between what was added and the entry.
    bool leads_to(index at) const noexcept
    {
        return count_ == 0 || last().position + 1 == zone_.entry(at).position;
    }

    std::size_t count() const noexcept { return count_; }
    const message &first() const noexcept { return messages_[0]; }
    const message &last() const noexcept { return messages_[count_ - 1]; }

    // The bytes that the first entry, which was not added, is short of.
    std::size_t needed(index at) const noexcept
    {
        const std::size_t size = zone_.entry(at).size;

        return size > bytes_.size() ? size : 0;
    }

private:
    const zone &zone_;
    std::span<std::byte> bytes_;
    std::span<message> messages_;
    std::size_t count_ = 0;
};

// The sequence of the last message that the subscription has passed.
std::uint64_t passed_sequence(const zone &z,
                              const subscription_record &reader) noexcept
{
    if (reader.unread == 0) {
        return z.log(reader.log).last_sequence;
    }

    const entry_record &unread = z.entry(reader.unread);

    return unread.sequence - (unread.transient ? 0 : 1);
}

bool in_history(const log_record &log, const entry_record &entry,
                std::uint64_t now) noexcept
{
    return log.last_sequence - entry.sequence < log.history_messages &&
           young_enough(log, entry, now);
}

// The first message of the history behind `after`, from which on none is
// missing up to the end that the subscription has reached; 0: there is none.
// A log may have holes where its limits have left nothing of it for a while.
index history_begin(const zone &z, const subscription_record &reader,
                    std::uint64_t after, std::uint64_t now) noexcept
{
    const log_record &log = z.log(reader.log);
    std::uint64_t expected = passed_sequence(z, reader);
    index at =
        reader.unread != 0 ? z.entry(reader.unread).previous_in_log : log.last;
    index begin = 0;

    for (; at != 0 && expected > after; at = z.entry(at).previous_in_log) {
        const entry_record &entry = z.entry(at);

        if (entry.sequence != expected || !in_history(log, entry, now)) {
            break;
        }

        if (!entry.transient) {
            begin = at;
            expected--;
        }
    }

    return begin;
}

// Moves the cursor to `position`; what stands at `unread` is next.
void move_cursor(zone &z, index reader_at, std::uint64_t position, index unread,
                 std::uint64_t now, std::size_t passed) noexcept
{
    subscription_record &reader = z.subscription(reader_at);

    put(reader.cursor, position);
    WEBSOCKET_FAULT_POINT("read.moved");
    reader.unread = unread;
    trim(z, reader.log, now, passed + few);
}

} // namespace

read_result broker::read(subscription handle, const place &to,
                         std::uint64_t now) noexcept
{
    locked hold(mutex_, zone_);
    const subscription_record *reader = find_subscription(zone_, handle);

    if (reader == nullptr || !has_news(zone_, *reader)) {
        return {};
    }

    filling filled(zone_, to);
    read_result result;
    index at = reader->unread;

    while (at != 0 && filled.leads_to(at) && filled.add(at)) {
        at = zone_.entry(at).next_in_log;
    }

    result.count = filled.count();

    if (result.count > 0) {
        result.lost = filled.first().position != reader->cursor + 1;
        move_cursor(zone_, handle.index, filled.last().position, at, now,
                    result.count);
    } else if (at == 0) {
        result.lost = true;
        move_cursor(zone_, handle.index, zone_.log(reader->log).last_position,
                    0, now, 0);
    } else {
        result.needed = filled.needed(at);
    }

    result.position = reader->cursor;
    result.more = has_news(zone_, *reader);
    result.more ? queue_news(zone_, handle.index)
                : unqueue_news(zone_, handle.index);
    return result;
}

read_result broker::read_history(subscription handle, std::uint64_t after,
                                 const place &to, std::uint64_t now) noexcept
{
    locked hold(mutex_, zone_);
    const subscription_record *reader = find_subscription(zone_, handle);

    if (reader == nullptr || passed_sequence(zone_, *reader) <= after) {
        return {};
    }

    filling filled(zone_, to);
    read_result result;
    index at = history_begin(zone_, *reader, after, now);

    if (at == 0) {
        result.lost = true;
        return result;
    }

    while (at != reader->unread &&
           (zone_.entry(at).transient || filled.add(at))) {
        at = zone_.entry(at).next_in_log;
    }

    result.count = filled.count();
    result.more = at != reader->unread;

    if (result.more && result.count == 0) {
        result.needed = filled.needed(at);
        return result;
    }

    result.lost = filled.first().id.sequence != after + 1;
    return result;
}

message_id broker::last_id(subscription handle) noexcept
{
    locked hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    if (found == nullptr) {
        return {};
    }

    return last_message(zone_.log(found->log));
}

message_id broker::passed_id(subscription handle) noexcept
{
    locked hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    if (found == nullptr) {
        return {};
    }

    return {shown_epoch(zone_.log(found->log)), passed_sequence(zone_, *found)};
}

} // namespace websocket::broker
