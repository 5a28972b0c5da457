// Claims and releases slots, and reclaims those of dead processes.
#include "broker/append.hpp"
#include "broker/broker.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/notes.hpp"
#include "broker/seats.hpp"
#include "broker/subscriptions.hpp"

#include <algorithm>
#include <array>

namespace websocket::broker {

using namespace detail;

namespace {

constexpr std::uint32_t buckets_per_hold = 1024;

// One owner of a slot. It no longer exists if the slot has another generation.
struct owner {
    unsigned slot = 0;
    std::int32_t pid = 0;
    std::int32_t process_slot = 0;
    std::uint32_t generation = 0;
};

struct owner_list {
    std::array<owner, max_slots> owners;
    std::size_t count = 0;

    std::span<const owner> all() const noexcept
    {
        return std::span(owners).first(count);
    }
};

owner_list owners_of_slots(const zone &z) noexcept
{
    owner_list list;

    for (unsigned i = 0; i < z.head->slot_count; i++) {
        const slot_record &slot = z.slots[i];

        if (slot.pid != 0) {
            list.owners[list.count++] = {i, slot.pid, slot.process_slot,
                                         slot.generation};
        }
    }

    return list;
}

bool owns(const owner &which, const subscription_record &what) noexcept
{
    return what.slot == which.slot && what.generation == which.generation;
}

index subscription_in(const zone &z, index log, const owner &which) noexcept
{
    index at = z.log(log).subscriptions;

    while (at != 0 && !owns(which, z.subscription(at))) {
        at = z.subscription(at).next_in_log;
    }

    return at;
}

index subscription_in_bucket(const zone &z, std::uint32_t bucket,
                             const owner &which) noexcept
{
    index found = 0;

    for (index at = z.buckets[bucket]; at != 0 && found == 0;
         at = z.log(at).next_in_bucket) {
        found = subscription_in(z, at, which);
    }

    return found;
}

// Removes the subscriptions of one owner, bucket by bucket. The lock may be
// released between steps, because a dead owner subscribes no more.
class slot_cleanup {
public:
    slot_cleanup(zone &z, const owner &which, std::uint64_t now) noexcept
        : zone_{z}, owner_{which}, now_{now}
    {}

    // Moves the owner's notes to the orphans, takes its members' seats, or
    // removes at most one subscription. True: the slot is free, or has another
    // owner.
    bool step() noexcept
    {
        slot_record &slot = zone_.slots[owner_.slot];

        clients_ = 0;

        if (slot.pid == 0 || slot.generation != owner_.generation) {
            return true;
        }

        free_reserved(zone_, slot);

        for (std::size_t i = 0; slot.notes != 0; i++) {
            if (i == zone_.hold.entries) {
                return false;
            }

            zone_.note(slot.notes).orphaned_at = now_;
            move_note(zone_, slot.notes, no_slot);
        }

        if (!lose_members(zone_, owner_.slot, member_bucket_)) {
            return false;
        }

        for (std::uint32_t i = 0; i < buckets_per_hold; i++) {
            if (bucket_ == zone_.head->bucket_count) {
                WEBSOCKET_FAULT_POINT("slot.emptied");
                store_ordered(slot.pid, 0);
                return true;
            }

            const index at = subscription_in_bucket(zone_, bucket_, owner_);

            if (at != 0) {
                remove(at);
                break;
            }

            bucket_++;
        }

        return false;
    }

    // The clients, and the name of the log, that the last step removed.
    std::uint32_t clients() const noexcept { return clients_; }
    std::string_view name() const noexcept
    {
        return {reinterpret_cast<const char *>(name_.data()), name_size_};
    }

private:
    void remove(index at) noexcept
    {
        const subscription_record &found = zone_.subscription(at);

        clients_ = found.clients;
        name_size_ = copy_name(zone_, found.log, name_).size();
        remove_subscription(zone_, at, now_);
    }

    zone &zone_;
    const owner owner_;
    const std::uint64_t now_;
    std::uint32_t bucket_ = 0;
    std::uint32_t member_bucket_ = 0;
    std::uint32_t clients_ = 0;
    std::size_t name_size_ = 0;
    std::array<std::byte, max_name_size> name_;
};

// All slots with something unread: the process that was to wake them may have
// died before it did so.
slot_set wake_all(zone &z) noexcept
{
    slot_set wake;

    for (unsigned i = 0; i < z.head->slot_count; i++) {
        slot_record &slot = z.slots[i];

        if (slot.pid != 0 && (slot.notified != 0 || slot.queue_first != 0)) {
            store_ordered(slot.notified, 1);
            wake.set(i);
        }
    }

    return wake;
}

std::optional<unsigned> take_slot(zone &z, std::int32_t pid,
                                  std::int32_t process_slot) noexcept
{
    for (unsigned i = 0; i < z.head->slot_count; i++) {
        slot_record &slot = z.slots[i];

        if (slot.pid == 0) {
            store_ordered(slot.generation, slot.generation + 1);
            WEBSOCKET_FAULT_POINT("slot.renewed");
            store_ordered(slot.process_slot, process_slot);
            store_ordered(slot.notified, 0);
            WEBSOCKET_FAULT_POINT("slot.written");
            store_ordered(slot.pid, pid);
            return i;
        }
    }

    return {};
}

// Removes all subscriptions of the owner, and reports lost clients to the
// monitor, if there is one.
void empty_slot(mutex &shared, zone &z, const owner &which,
                process_monitor *watch, std::uint64_t now) noexcept
{
    slot_cleanup way(z, which, now);

    for (bool done = false; !done;) {
        {
            locked_zone hold(shared, z);
            done = way.step();
        }

        if (watch != nullptr && way.clients() > 0) {
            watch->clients_lost(way.name(), way.clients());
        }
    }
}

// Empties the slots of dead processes, and those with that process_slot.
void reclaim(mutex &shared, zone &z, std::optional<std::int32_t> process_slot,
             process_monitor &watch, std::uint64_t now) noexcept
{
    owner_list owners;

    {
        locked_zone hold(shared, z);
        owners = owners_of_slots(z);
    }

    for (const owner &each : owners.all()) {
        if (each.process_slot == process_slot || !watch.alive(each.pid)) {
            empty_slot(shared, z, each, &watch, now);
            watch.slot_freed(each.slot, each.pid);
        }
    }
}

} // namespace

claim_result broker::claim(std::int32_t pid, std::int32_t process_slot,
                           process_monitor &watch, std::uint64_t now) noexcept
{
    reclaim(mutex_, zone_, process_slot, watch, now);

    locked_zone hold(mutex_, zone_);
    const std::optional<unsigned> slot = take_slot(zone_, pid, process_slot);

    if (slot) {
        zone_.slot = *slot;
        zone_.slot_generation = zone_.slots[*slot].generation;
    }

    return {slot, wake_all(zone_)};
}

void broker::release(unsigned slot, std::uint64_t now) noexcept
{
    if (slot >= zone_.head->slot_count) {
        return;
    }

    const slot_record &taken = zone_.slots[slot];

    empty_slot(mutex_, zone_,
               {slot, taken.pid, taken.process_slot, taken.generation}, nullptr,
               now);
}

slot_set broker::reclaim_dead(process_monitor &watch,
                              std::uint64_t now) noexcept
{
    reclaim(mutex_, zone_, {}, watch, now);

    locked_zone hold(mutex_, zone_);

    return wake_all(zone_);
}

} // namespace websocket::broker
