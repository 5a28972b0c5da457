// Guards: the lock held, and a log pinned, for the lifetime of an object.
#pragma once

#include "broker/fault_point.hpp"
#include "broker/log_table.hpp"
#include "broker/repair.hpp"
#include "broker/types.hpp"

namespace websocket::broker::detail {

// If at_work is set, the previous owner died in the critical section: repair
// before use.
class locked_zone {
public:
    locked_zone(mutex &shared, zone &z) noexcept : mutex_{shared}, zone_{z}
    {
        mutex_.lock();
        WEBSOCKET_FAULT_POINT("lock.taken");

        if (zone_.head->at_work != 0) {
            repair(zone_);
        }

        store_ordered(zone_.head->at_work, 1);
    }
    ~locked_zone()
    {
        WEBSOCKET_FAULT_POINT("lock.done");
        store_ordered(zone_.head->at_work, 0);
        WEBSOCKET_FAULT_POINT("lock.left");
        mutex_.unlock();
    }
    locked_zone(const locked_zone &) = delete;
    locked_zone &operator=(const locked_zone &) = delete;

private:
    mutex &mutex_;
    zone &zone_;
};

// Keeps a log from being removed while memory is reclaimed. Afterwards it
// counts as just used.
class pin {
public:
    pin(zone &z, index log, std::uint64_t now) noexcept
        : zone_{z}, log_{log}, now_{now}
    {
        zone_.pinned = log_;
        update_unused_list(zone_, log_, now_);
    }
    ~pin()
    {
        zone_.pinned = 0;
        update_unused_list(zone_, log_, now_);
    }
    pin(const pin &) = delete;
    pin &operator=(const pin &) = delete;

private:
    zone &zone_;
    index log_;
    std::uint64_t now_;
};

} // namespace websocket::broker::detail
