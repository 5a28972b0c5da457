// Waits for a free slot. Slots become free as workers that shut down end.
#include "nginx/workers/slot_retry.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/timer.hpp"

#include <optional>

namespace websocket::nginx::worker_bus {

namespace {

constexpr ngx_msec_t retry_interval = 1000;

// The arguments of start().
struct pending_start {
    shared_zone &zone;
    settings options;
};

std::optional<pending_start> pending;
ngx_event_t retry_event;

void on_timer(ngx_event_t *)
{
    auto *cycle = const_cast<ngx_cycle_t *>(ngx_cycle);

    if (ngx_exiting ||
        start(cycle, pending->zone, pending->options) != NGX_OK || !running()) {
        return;
    }

    write_log(NGX_LOG_NOTICE, cycle->log,
              "websocket: this worker has a slot now and serves WebSockets");
}

} // namespace

void retry_start(ngx_cycle_t *cycle, shared_zone &zone,
                 const settings &options) noexcept
{
    pending.emplace(pending_start{zone, options});

    if (retry_event.handler == nullptr) {
        write_log(NGX_LOG_ERR, cycle->log,
                  "websocket: no free worker slot of %uz: too many old workers "
                  "are still shutting down; this worker refuses WebSockets "
                  "until one of them has ended",
                  zone.slots);
        init_timer(retry_event, on_timer, cycle->log);
    }

    ngx_add_timer(&retry_event, retry_interval);
}

} // namespace websocket::nginx::worker_bus
