// External logs: a sequencer outside of this host numbers their messages.
//
// An external log has the sequencer's epoch and its last sequence. Between the
// stores of a change its external epoch is 0, so that nothing can be appended
// before the position has been set.
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

// Others take the lock between two holds.
constexpr std::size_t entries_cleared_per_hold = 64;

// The value of header::leader for the present owner of the slot.
std::uint64_t owner_of(const zone &z, unsigned slot) noexcept
{
    return std::uint64_t{z.slots[slot].generation} << 32 | (slot + 1);
}

// The slot that leads, unless it has been released since.
std::optional<unsigned> leader_of(const zone &z) noexcept
{
    const auto slot = static_cast<std::uint32_t>(z.head->leader) - 1;

    if (z.head->leader == 0 || z.slots[slot].pid == 0 ||
        z.head->leader != owner_of(z, slot)) {
        return {};
    }

    return slot;
}

// Whether the process has led, and another one or none leads since.
bool lost_lead(const zone &z) noexcept
{
    return z.lead != 0 && z.lead != z.head->leader;
}

// Whether the leader has been silent for too long. Its clock may be ahead of
// that of this worker, or may have wrapped.
bool lead_expired(const zone &z, std::uint64_t now) noexcept
{
    const std::uint64_t since = z.head->led_at;

    return now > since ? now - since >= lead_timeout
                       : since - now >= lead_timeout;
}

append_result state_of(const log_record &log, outcome result) noexcept
{
    return {.result = result,
            .id = last_message(log),
            .position = log.last_position,
            .clients = all_clients(log),
            .wake = {}};
}

// Whether the message is the next one of the log.
outcome order_of(const log_record &log, message_id id) noexcept
{
    if (id.epoch == 0 || id.epoch != log.external_epoch) {
        return outcome::out_of_order;
    }

    if (id.sequence <= log.last_sequence) {
        return outcome::duplicate;
    }

    return id.sequence == log.last_sequence + 1 ? outcome::done
                                                : outcome::out_of_order;
}

// Whether the entries of the log have wrong ids in a log that ends with `last`.
bool renumbers(const log_record &log, message_id last) noexcept
{
    return last.epoch != log.external_epoch ||
           last.sequence < log.last_sequence;
}

// Requires a log without entries.
void renumber(log_record &log, message_id last) noexcept
{
    store_ordered(log.external_epoch, 0);
    WEBSOCKET_FAULT_POINT("position.left");
    store_ordered(log.last_sequence, last.sequence);
    WEBSOCKET_FAULT_POINT("position.numbered");
    store_ordered(log.external_epoch, last.epoch);
    WEBSOCKET_FAULT_POINT("position.entered");
}

// Does one hold of work. False: to be called again. Records the gap before the
// numbers: if the process dies in between, too much is reported as missing, not
// too little.
bool reset_position_step(zone &z, index at, message_id last, bool lost,
                         append_result &result, std::uint64_t now) noexcept
{
    const pin keep(z, at, now);
    log_record &log = z.log(at);
    const bool renumbering = renumbers(log, last);

    if (renumbering && !clear(z, at, entries_cleared_per_hold)) {
        return false;
    }

    if (lost) {
        record_gap(log);
    }

    renumbering ? renumber(log, last)
                : store_ordered(log.last_sequence, last.sequence);
    WEBSOCKET_FAULT_POINT("position.done");
    result = state_of(log, outcome::done);
    result.wake = lost ? announce(z, at, 0) : slot_set{};
    return true;
}

// Does one hold of work. False: to be called again.
bool append_external_step(zone &z, index at, const publication &what,
                          message_id id, append_operation &work) noexcept
{
    log_record &log = z.log(at);
    const outcome order = lost_lead(z)     ? outcome::not_leading
                          : what.transient ? outcome::done
                                           : order_of(log, id);

    if (order != outcome::done) {
        work.cancel();
        work.result = state_of(log, order);
        return true;
    }

    // Before the message: its run has confirmed those before it
    if (what.run != 0) {
        store_ordered(log.run, what.run);
    }

    const std::uint64_t sequence = log.last_sequence + (what.transient ? 0 : 1);

    if (!work.step(at)) {
        return false;
    }

    if (work.result.result == outcome::no_memory) {
        record_gap(log);
        store_ordered(log.last_sequence, sequence);
        WEBSOCKET_FAULT_POINT("external.left_out");
        work.result.id = last_message(log);
        work.result.wake = announce(z, at, 0);
    }

    return true;
}

// Applies `change` to the log of that name, if it exists.
template <class function>
outcome update_log(mutex &shared, zone &z, std::string_view name,
                   function change) noexcept
{
    if (name.size() > max_name_size) {
        return outcome::gone;
    }

    const log_name wanted(z, name);
    locked_zone hold(shared, z);
    const index at = find_log(z, wanted);

    if (at == 0) {
        return outcome::gone;
    }

    if (lost_lead(z)) {
        return outcome::not_leading;
    }

    change(z.log(at));
    return outcome::done;
}

} // namespace

outcome broker::set_link_generation(std::uint32_t generation) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (lost_lead(zone_)) {
        return outcome::not_leading;
    }

    store_ordered(zone_.head->link_generation, generation);
    return outcome::done;
}

std::uint32_t broker::link_generation() const noexcept
{
    return load_relaxed(zone_.head->link_generation);
}

append_result broker::append_external(std::string_view name,
                                      const publication &what, message_id id,
                                      std::uint64_t now) noexcept
{
    if (name.size() > max_name_size) {
        return {};
    }

    const log_name wanted(zone_, name);
    append_operation work(zone_, what, now);

    return run_append(mutex_, zone_, work, [&] {
        const index at = find_log(zone_, wanted);

        if (at == 0) {
            work.cancel();
            work.result = {};
            return true;
        }

        return append_external_step(zone_, at, what, id, work);
    });
}

append_result broker::reset_position(std::string_view name, message_id last,
                                     bool lost, std::uint64_t now) noexcept
{
    if (name.size() > max_name_size) {
        return {};
    }

    const log_name wanted(zone_, name);
    append_result result;

    for (bool done = false; !done;) {
        locked_zone hold(mutex_, zone_);
        const index at = find_log(zone_, wanted);

        if (at == 0) {
            return {};
        }

        if (lost_lead(zone_)) {
            return state_of(zone_.log(at), outcome::not_leading);
        }

        if (last.epoch == 0) {
            return state_of(zone_.log(at), outcome::out_of_order);
        }

        done = reset_position_step(zone_, at, last, lost, result, now);
    }

    return result;
}

outcome broker::mark_synced(std::string_view name,
                            std::uint32_t generation) noexcept
{
    return update_log(mutex_, zone_, name, [generation](log_record &log) {
        store_ordered(log.synced_link, generation);
    });
}

outcome broker::mark_run(std::string_view name, std::uint32_t run) noexcept
{
    return update_log(mutex_, zone_, name,
                      [run](log_record &log) { store_ordered(log.run, run); });
}

outcome broker::store_cursor(std::size_t at, const log_cursor &cursor) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (lost_lead(zone_)) {
        return outcome::not_leading;
    }

    header::cursor &stored = zone_.head->cursors[at];

    if (stored.epoch == cursor.last.epoch && stored.run == cursor.run) {
        store_ordered(stored.sequence, cursor.last.sequence);
        return outcome::done;
    }

    store_ordered(stored.epoch, 0);
    WEBSOCKET_FAULT_POINT("cursor.left");
    store_ordered(stored.sequence, cursor.last.sequence);
    WEBSOCKET_FAULT_POINT("cursor.numbered");
    store_ordered(stored.run, cursor.run);
    store_ordered(stored.epoch, cursor.last.epoch);
    WEBSOCKET_FAULT_POINT("cursor.entered");
    return outcome::done;
}

log_cursor broker::cursor(std::size_t at) noexcept
{
    locked_zone hold(mutex_, zone_);
    const header::cursor &stored = zone_.head->cursors[at];

    return stored.epoch == 0
               ? log_cursor{}
               : log_cursor{{stored.epoch, stored.sequence}, stored.run};
}

outcome broker::set_remote_clients(std::string_view name,
                                   std::uint32_t clients) noexcept
{
    return update_log(mutex_, zone_, name, [clients](log_record &log) {
        store_ordered(log.remote_clients, clients);
    });
}

bool broker::synced(subscription handle) const noexcept
{
    const subscription_record *found = find_subscription(zone_, handle);

    return found != nullptr && is_synced(zone_, zone_.log(found->log));
}

bool broker::lead(unsigned slot, std::uint64_t now) noexcept
{
    if (slot >= zone_.head->slot_count) {
        return false;
    }

    locked_zone hold(mutex_, zone_);
    const std::optional<unsigned> leading = leader_of(zone_);

    if (zone_.slots[slot].pid == 0 ||
        (leading.has_value() && leading != slot && !lead_expired(zone_, now))) {
        return false;
    }

    zone_.lead = owner_of(zone_, slot);
    store_ordered(zone_.head->led_at, now);
    WEBSOCKET_FAULT_POINT("leader.dated");
    store_ordered(zone_.head->leader, zone_.lead);
    WEBSOCKET_FAULT_POINT("leader.taken");
    return true;
}

bool broker::keep_lead(std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (!leads()) {
        return false;
    }

    store_ordered(zone_.head->led_at, now);
    return true;
}

bool broker::leads() const noexcept
{
    return zone_.lead != 0 && zone_.lead == load_relaxed(zone_.head->leader);
}

void broker::resign(unsigned slot) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (leader_of(zone_) == slot) {
        store_ordered(zone_.head->leader, 0);
        WEBSOCKET_FAULT_POINT("leader.resigned");
    }
}

std::optional<unsigned> broker::leader() noexcept
{
    locked_zone hold(mutex_, zone_);

    return leader_of(zone_);
}

} // namespace websocket::broker
