// Copies a log's history out, a page at a time. Each page is found in a few
// steps from the log's last message: see entries.hpp.
#include "broker/broker.hpp"
#include "broker/copying.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>

namespace websocket::broker {

using namespace detail;

namespace {

// The sequence of the last message that the subscription has passed.
std::uint64_t passed_sequence(const zone &z,
                              const subscription_record &reader) noexcept
{
    const index unread = first_unread(z, reader);

    if (unread == 0) {
        return z.log(reader.log).last_sequence;
    }

    return z.entry(unread).sequence - (z.entry(unread).transient ? 0 : 1);
}

// Finds the message where the history of a log begins for one reader.
class history_search {
public:
    // Only messages with a sequence of at least `lowest` count.
    history_search(const zone &z, const log_record &log, std::uint64_t lowest,
                   std::uint64_t now) noexcept
        : zone_{z}, log_{log}, lowest_{std::max(
                                   lowest,
                                   z.entry(log.first_message).sequence)},
          now_{now}
    {}

    // The first message from which none is missing up to `last`; 0: `last`
    // itself does not count.
    index run(index last) const noexcept
    {
        if (!wanted(last)) {
            return 0;
        }

        for (index at = last;;) {
            const index earlier = step(zone_.entry(at));

            if (earlier == 0) {
                return at;
            }

            at = earlier;
        }
    }

    bool wanted(index at) const noexcept
    {
        const entry_record &entry = zone_.entry(at);

        return entry.sequence >= lowest_ && is_within_age(log_, entry, now_);
    }

private:
    // The message one step back; 0: the one before is missing or does not
    // count.
    index step(const entry_record &from) const noexcept
    {
        WEBSOCKET_FAULT_POINT("history.step");

        if (from.earlier_message != 0 &&
            earlier_sequence(from.sequence) >= lowest_ &&
            wanted(from.earlier_message)) {
            return from.earlier_message;
        }

        const index previous = from.previous_message;

        return previous != 0 &&
                       zone_.entry(previous).sequence + 1 == from.sequence &&
                       wanted(previous)
                   ? previous
                   : 0;
    }

    const zone &zone_;
    const log_record &log_;
    const std::uint64_t lowest_;
    const std::uint64_t now_;
};

// A page of the history for one subscription, after the sequence `after`.
class history_page {
public:
    history_page(const zone &z, const subscription_record &reader,
                 std::uint64_t after, std::uint64_t now) noexcept
        : zone_{z}, reader_{reader}, log_{z.log(reader.log)}, after_{after},
          now_{now}, first_{find_first()}
    {}

    // 0: nothing of the requested history is left.
    index first() const noexcept { return first_; }

    // Copies as many messages as fit, after the first one if that is copied
    // already.
    read_result copy(const read_buffers &to,
                     bool first_is_copied) const noexcept
    {
        copier copied(zone_, to);
        read_result result;
        index at = first_;

        if (first_is_copied) {
            copied.add_copied(at);
            at = zone_.entry(at).next_in_log;
        }

        // A message that is too old may follow a younger one if its clock was
        // wrong
        for (; at != reader_.unread_message &&
               is_within_age(log_, zone_.entry(at), now_) && copied.add(at);
             at = zone_.entry(at).next_in_log) {}

        result.count = copied.count();
        result.more = at != reader_.unread_message;

        if (result.count == 0) {
            result.needed = copied.needed(at);
        } else {
            result.lost = copied.first().id.sequence != after_ + 1;
        }

        return result;
    }

private:
    // A log has gaps where its limits kept no message for a while. Its history
    // does not reach back over them.
    index find_first() const noexcept
    {
        const index last =
            reader_.unread_message != 0
                ? zone_.entry(reader_.unread_message).previous_message
                : log_.last_message;

        if (last == 0 ||
            zone_.entry(last).sequence != passed_sequence(zone_, reader_)) {
            return 0;
        }

        const std::uint64_t before =
            log_.last_sequence -
            std::min<std::uint64_t>(log_.last_sequence, log_.history_messages);

        return history_search(zone_, log_, std::max(after_, before) + 1, now_)
            .run(last);
    }

    const zone &zone_;
    const subscription_record &reader_;
    const log_record &log_;
    const std::uint64_t after_;
    const std::uint64_t now_;
    const index first_;
};

} // namespace

read_result broker::read_history(subscription handle, std::uint64_t after,
                                 const read_buffers &to,
                                 std::uint64_t now) noexcept
{
    large_copy large;

    for (;;) {
        const locked_zone hold(mutex_, zone_);
        const subscription_record *reader = find_subscription(zone_, handle);

        if (reader == nullptr || passed_sequence(zone_, *reader) <= after) {
            return {};
        }

        const history_page page(zone_, *reader, after, now);

        if (page.first() == 0) {
            return {.lost = true};
        }

        const bool is_large = large_copy::suits(zone_, page.first(), to);

        if (is_large && !large.step(zone_, page.first(), to.bytes)) {
            continue; // others have the lock in between
        }

        return page.copy(to, is_large);
    }
}

message_id broker::last_id(subscription handle) noexcept
{
    const locked_zone hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    return found != nullptr ? last_message(zone_.log(found->log))
                            : message_id{};
}

message_id broker::passed_id(subscription handle) noexcept
{
    const locked_zone hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    if (found == nullptr) {
        return {};
    }

    return {public_epoch(zone_.log(found->log)),
            passed_sequence(zone_, *found)};
}

} // namespace websocket::broker
