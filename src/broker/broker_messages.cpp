// Messages on their way from one process to the others.
#include "broker/append.hpp"
#include "broker/broker.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

appended broker::append(subscription handle, const publication &what,
                        std::uint64_t now) noexcept
{
    appending work(zone_, what, now);

    return append_in_holds(mutex_, zone_, work, [&] {
        const subscription_record *found = find_subscription(zone_, handle);

        if (found == nullptr) {
            work.cancel();
            work.result = {};
            return true;
        }

        return work.step(found->log);
    });
}

appended broker::append(std::string_view name, const publication &what,
                        const history_request &history,
                        std::uint64_t now) noexcept
{
    if (name.size() > longest_name) {
        return {.result = outcome::name_too_long, .id = {}, .wake = {}};
    }

    const log_name wanted(zone_, name);
    appending work(zone_, what, now);

    return append_in_holds(mutex_, zone_, work, [&] {
        const index found = find_log(zone_, wanted);
        const index log =
            found != 0 ? found : find_or_make_log(zone_, wanted, now);

        if (log == 0) {
            zone_.head->refused++;
            work.cancel();
            work.result = {.result = outcome::no_room, .id = {}, .wake = {}};
            return true;
        }

        if (found == 0 || history.rules != nullptr) {
            detail::ask_history(zone_, log, history, false);
        }

        return work.step(log);
    });
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
