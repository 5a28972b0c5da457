// Subscriptions, the clients they count, and the limits of the history.
#include "broker/broker.hpp"
#include "broker/entries.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

subscribed broker::subscribe(unsigned slot, std::string_view name, void *owner,
                             const history_request &history,
                             std::uint64_t now) noexcept
{
    if (name.size() > max_name_size) {
        return {.result = outcome::name_too_long, .handle = {}};
    }

    const log_name wanted(zone_, name);
    locked_zone hold(mutex_, zone_);

    if (slot >= zone_.head->slot_count || zone_.slots[slot].pid == 0) {
        return {.result = outcome::gone, .handle = {}};
    }

    const index log = get_or_create_log(zone_, wanted, now);

    if (log == 0) {
        zone_.head->refused++;
        return {.result = outcome::no_memory, .handle = {}};
    }

    const pin keep(zone_, log, now);
    const index at = create_subscription(zone_, slot, log, owner, now);

    if (at == 0) {
        zone_.head->refused++;
        return {.result = outcome::no_memory, .handle = {}};
    }

    detail::ask_history(zone_, log, history, true);
    return {outcome::done,
            {at, zone_.subscription(at).check},
            zone_.log(log).last_position,
            limits_of(zone_.log(log))};
}

void broker::unsubscribe(subscription handle, std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (find_subscription(zone_, handle) != nullptr) {
        remove_subscription(zone_, handle.index, now);
    }
}

void broker::set_limits(subscription handle, const limits &history,
                        std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    if (found != nullptr) {
        limit_history(zone_.log(found->log), history);
        trim(zone_, found->log, now, max_extra_removals);
    }
}

limits broker::ask_history(subscription handle, const history_request &asked,
                           std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);
    const subscription_record *found = find_subscription(zone_, handle);

    if (found == nullptr) {
        return {};
    }

    detail::ask_history(zone_, found->log, asked, true);
    trim(zone_, found->log, now, max_extra_removals);
    return limits_of(zone_.log(found->log));
}

outcome broker::join(subscription handle, std::uint32_t max,
                     std::uint64_t *position) noexcept
{
    locked_zone hold(mutex_, zone_);
    subscription_record *found = find_subscription(zone_, handle);

    if (found == nullptr) {
        return outcome::gone;
    }

    if (max != 0 && all_clients(zone_.log(found->log)) >= max) {
        return outcome::full;
    }

    count_clients(zone_, *found, found->clients + 1);

    if (position != nullptr) {
        *position = zone_.log(found->log).last_position;
    }

    return outcome::done;
}

void broker::leave(subscription handle) noexcept
{
    locked_zone hold(mutex_, zone_);
    subscription_record *found = find_subscription(zone_, handle);

    if (found != nullptr && found->clients > 0) {
        count_clients(zone_, *found, found->clients - 1);
    }
}

std::uint32_t broker::clients(subscription handle) const noexcept
{
    const subscription_record *found = find_subscription(zone_, handle);

    return found != nullptr ? all_clients(zone_.log(found->log)) : 0;
}

} // namespace websocket::broker
