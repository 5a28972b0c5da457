// Waits for the leader's report, at most for a given time.
#include "nginx/resource/host_wait.hpp"

#include "nginx/workers/counters.hpp"

#include <utility>

namespace websocket::nginx {

host_wait::host_wait(std::string_view log_name, ngx_log_t *log) noexcept
{
    resource_name = log_name;
    event_.data = this;
    event_.log = log;
    event_.cancelable = 1; // must not delay graceful shutdown
}

bool host_wait::start(ngx_msec_t timeout) noexcept
{
    if (!backplane::wait_for_sync(*this)) {
        return false;
    }

    started_ = true;
    counters::current->waiting.add(1);
    event_.handler = on_timeout;
    ngx_add_timer(&event_, timeout);
    return true;
}

void host_wait::stop() noexcept
{
    if (std::exchange(started_, false)) {
        backplane::cancel_sync(*this);
        counters::current->waiting.add(UINT32_MAX);
    }

    if (event_.timer_set) {
        ngx_del_timer(&event_);
    }

    if (event_.posted) {
        ngx_delete_posted_event(&event_);
    }
}

// Called while messages are delivered.
void host_wait::on_synced() noexcept
{
    stop();
    event_.handler = on_synced_event;
    ngx_post_event(&event_, &ngx_posted_events);
}

void host_wait::on_synced_event(ngx_event_t *event)
{
    static_cast<host_wait *>(event->data)->on_hosts_synced();
}

void host_wait::on_timeout(ngx_event_t *event)
{
    auto &self = *static_cast<host_wait *>(event->data);

    self.stop();
    self.on_hosts_timeout();
}

} // namespace websocket::nginx
