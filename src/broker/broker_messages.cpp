// Appends messages, and finds the subscriptions that have unread ones.
#include "broker/append.hpp"
#include "broker/broker.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

append_result broker::append(subscription handle, const publication &what,
                             std::uint64_t now) noexcept
{
    append_operation work(zone_, what, now);

    return run_append(mutex_, zone_, work, [&] {
        const subscription_record *found = find_subscription(zone_, handle);

        if (found == nullptr) {
            work.cancel();
            work.result = {};
            return true;
        }

        return work.step(found->log);
    });
}

append_result broker::append(std::string_view name, const publication &what,
                             const history_request &history,
                             std::uint64_t now) noexcept
{
    if (name.size() > max_name_size) {
        return {.result = outcome::name_too_long, .id = {}, .wake = {}};
    }

    const log_name wanted(zone_, name);
    append_operation work(zone_, what, now);

    return run_append(mutex_, zone_, work, [&] {
        const index found = find_log(zone_, wanted);
        const index log =
            found != 0 ? found : get_or_create_log(zone_, wanted, now);

        if (log == 0) {
            zone_.head->refused++;
            work.cancel();
            work.result = {.result = outcome::no_memory, .id = {}, .wake = {}};
            return true;
        }

        if (found == 0 || history.rules != nullptr) {
            detail::ask_history(zone_, log, history, false);
        }

        return work.step(log);
    });
}

unread_subscription broker::next_unread(unsigned slot_number) noexcept
{
    if (slot_number >= zone_.head->slot_count) {
        return {};
    }

    locked_zone hold(mutex_, zone_);
    slot_record &slot = zone_.slots[slot_number];

    while (slot.queue_first != 0) {
        const index at = slot.queue_first;
        const subscription_record &first = zone_.subscription(at);

        dequeue_unread(zone_, at);

        if (has_unread(zone_, first)) {
            return {{at, first.check}, first.owner};
        }
    }

    store_ordered(slot.notified, 0);
    return {};
}

} // namespace websocket::broker
