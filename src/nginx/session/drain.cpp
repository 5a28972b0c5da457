// When a leaving worker closes which client.
#include "nginx/session/drain.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/drain_time.hpp"
#include "nginx/session/session.hpp"
#include "nginx/session/worker.hpp"

#include <algorithm>

namespace websocket::nginx::drain {

namespace {

// A worker leaves once.
struct schedule {
    ngx_msec_t began = 0;
    ngx_msec_t time = 0;
    std::uint64_t clients = 0; // none: not begun
    std::uint64_t assigned = 0;
};

schedule plan;

std::uint64_t count_open() noexcept
{
    ngx_queue_t *all = &this_worker().sessions;
    std::uint64_t count = 0;

    for (ngx_queue_t *at = ngx_queue_head(all); at != ngx_queue_sentinel(all);
         at = ngx_queue_next(at)) {
        count += session::from_link(at)->open() ? 1 : 0;
    }

    return count;
}

} // namespace

ngx_msec_t next_close_time() noexcept
{
    if (plan.clients == 0) {
        plan.began = ngx_current_msec;
        plan.time = drain_time();
        plan.clients = std::max<std::uint64_t>(count_open(), 1);
    }

    const std::uint64_t turn = std::min(plan.assigned++, plan.clients);

    return plan.began +
           static_cast<ngx_msec_t>(turn * plan.time / plan.clients);
}

std::uint16_t close_code() noexcept
{
    return static_cast<std::uint16_t>(main_conf_of(*ngx_cycle).drain_code);
}

} // namespace websocket::nginx::drain
