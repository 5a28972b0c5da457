// Logs whose messages somebody else numbers, for several hosts.
//
// A log stands where whoever numbers it says: in his epoch, at his last
// sequence. Between two stores of a change it stands in no epoch of his, so
// that nothing is relayed into it before it has been aligned again.
#include "broker/append.hpp"
#include "broker/broker.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

namespace websocket::broker {

using namespace detail;

namespace {

// How many entries are removed at a time; others have the lock in between.
constexpr std::size_t cleared_at_a_time = 64;

appended standing(const log_record &log, outcome result) noexcept
{
    return {.result = result,
            .id = last_message(log),
            .position = log.last_position,
            .clients = all_clients(log),
            .wake = {}};
}

// Whether the message is the next one of the log.
outcome place_of(const log_record &log, message_id id) noexcept
{
    if (id.epoch == 0 || id.epoch != log.outer_epoch) {
        return outcome::out_of_order;
    }

    if (id.sequence <= log.last_sequence) {
        return outcome::known;
    }

    return id.sequence == log.last_sequence + 1 ? outcome::done
                                                : outcome::out_of_order;
}

// Whether what the log has is numbered differently in a log that ends there.
bool renumbers(const log_record &log, message_id last) noexcept
{
    return last.epoch != log.outer_epoch || last.sequence < log.last_sequence;
}

// The log has no entries.
void renumber(log_record &log, message_id last) noexcept
{
    put(log.outer_epoch, 0);
    WEBSOCKET_FAULT_POINT("align.left");
    put(log.last_sequence, last.sequence);
    WEBSOCKET_FAULT_POINT("align.numbered");
    put(log.outer_epoch, last.epoch);
    WEBSOCKET_FAULT_POINT("align.entered");
}

// Goes as far as one hold of the lock is to reach. False: to be called again.
// The hole comes before the numbers: who dies in between has told too much of
// what is missing, not too little.
bool align_some(zone &z, index at, message_id last, bool lost, appended &result,
                std::uint64_t now) noexcept
{
    const pin keep(z, at, now);
    log_record &log = z.log(at);
    const bool anew = renumbers(log, last);

    if (anew && !clear(z, at, cleared_at_a_time)) {
        return false;
    }

    if (lost) {
        make_hole(log);
    }

    anew ? renumber(log, last) : put(log.last_sequence, last.sequence);
    WEBSOCKET_FAULT_POINT("align.done");
    result = standing(log, outcome::done);
    result.wake = lost ? announce(z, at, 0) : slot_set{};
    return true;
}

// One hold of the lock. False: to be called again.
bool relay_some(zone &z, index at, const publication &what, message_id id,
                appending &work) noexcept
{
    log_record &log = z.log(at);
    const outcome place = what.transient ? outcome::done : place_of(log, id);

    if (place != outcome::done) {
        work.cancel();
        work.result = standing(log, place);
        return true;
    }

    const std::uint64_t sequence = log.last_sequence + (what.transient ? 0 : 1);

    if (!work.step(at)) {
        return false;
    }

    if (work.result.result == outcome::no_room) {
        make_hole(log);
        put(log.last_sequence, sequence);
        WEBSOCKET_FAULT_POINT("relay.left_out");
        work.result.id = last_message(log);
        work.result.wake = announce(z, at, 0);
    }

    return true;
}

// Does something to the log of that name, if there is one.
template <class function>
outcome change_log(mutex &shared, zone &z, std::string_view name,
                   function change) noexcept
{
    if (name.size() > longest_name) {
        return outcome::gone;
    }

    const log_name wanted(z, name);
    locked hold(shared, z);
    const index at = find_log(z, wanted);

    if (at == 0) {
        return outcome::gone;
    }

    change(z.log(at));
    return outcome::done;
}

// How the header names the owner that the slot has now.
std::uint64_t owner_of(const zone &z, unsigned slot) noexcept
{
    return std::uint64_t{z.slots[slot].generation} << 32 | (slot + 1);
}

// Who leads, and has not given back his slot since.
std::optional<unsigned> leader_of(const zone &z) noexcept
{
    const auto slot = static_cast<std::uint32_t>(z.head->leader) - 1;

    if (z.head->leader == 0 || z.slots[slot].pid == 0 ||
        z.head->leader != owner_of(z, slot)) {
        return {};
    }

    return slot;
}

} // namespace

void broker::set_link(std::uint32_t generation) noexcept
{
    put(zone_.head->link, generation);
}

std::uint32_t broker::link() const noexcept
{
    return look_at(zone_.head->link);
}

appended broker::relay(std::string_view name, const publication &what,
                       message_id id, std::uint64_t now) noexcept
{
    if (name.size() > longest_name) {
        return {};
    }

    const log_name wanted(zone_, name);
    appending work(zone_, what, now);

    return append_in_holds(mutex_, zone_, work, [&] {
        const index at = find_log(zone_, wanted);

        if (at == 0) {
            work.cancel();
            work.result = {};
            return true;
        }

        return relay_some(zone_, at, what, id, work);
    });
}

appended broker::align(std::string_view name, message_id last, bool lost,
                       std::uint64_t now) noexcept
{
    if (name.size() > longest_name) {
        return {};
    }

    const log_name wanted(zone_, name);
    appended result;

    for (bool done = false; !done;) {
        locked hold(mutex_, zone_);
        const index at = find_log(zone_, wanted);

        if (at == 0) {
            return {};
        }

        if (last.epoch == 0) {
            return standing(zone_.log(at), outcome::out_of_order);
        }

        done = align_some(zone_, at, last, lost, result, now);
    }

    return result;
}

outcome broker::mark_linked(std::string_view name,
                            std::uint32_t generation) noexcept
{
    return change_log(mutex_, zone_, name, [generation](log_record &log) {
        put(log.linked, generation);
    });
}

outcome broker::mark_term(std::string_view name, std::uint32_t term) noexcept
{
    return change_log(mutex_, zone_, name,
                      [term](log_record &log) { put(log.term, term); });
}

outcome broker::set_remote_clients(std::string_view name,
                                   std::uint32_t clients) noexcept
{
    return change_log(mutex_, zone_, name, [clients](log_record &log) {
        put(log.remote_clients, clients);
    });
}

bool broker::linked(subscription handle) const noexcept
{
    const subscription_record *found = find_subscription(zone_, handle);

    return found != nullptr && is_linked(zone_, zone_.log(found->log));
}

bool broker::lead(unsigned slot) noexcept
{
    if (slot >= zone_.head->slot_count) {
        return false;
    }

    locked hold(mutex_, zone_);
    const std::optional<unsigned> leading = leader_of(zone_);

    if (leading.has_value() || zone_.slots[slot].pid == 0) {
        return leading == slot;
    }

    put(zone_.head->leader, owner_of(zone_, slot));
    WEBSOCKET_FAULT_POINT("leader.taken");
    return true;
}

void broker::resign(unsigned slot) noexcept
{
    locked hold(mutex_, zone_);

    if (leader_of(zone_) == slot) {
        put(zone_.head->leader, 0);
        WEBSOCKET_FAULT_POINT("leader.resigned");
    }
}

std::optional<unsigned> broker::leader() noexcept
{
    locked hold(mutex_, zone_);

    return leader_of(zone_);
}

} // namespace websocket::broker
