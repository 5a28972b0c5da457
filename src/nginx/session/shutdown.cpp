// Ends sessions when their worker shuts down: spread over the configured time
// after a reload or a graceful shutdown, otherwise at once.
#include "nginx/session/session.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/drain_time.hpp"
#include "nginx/core/shutdown_timeout.hpp"
#include "nginx/output/transport.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"

#include <algorithm>
#include <cstdint>

namespace websocket::nginx {

namespace {

// The schedule by which a worker that shuts down closes its clients. There is
// one shutdown per worker.
struct drain_plan {
    ngx_msec_t began = 0;
    ngx_msec_t time = 0;
    std::uint64_t clients = 0; // 0: not started
    std::uint64_t assigned = 0;
};

drain_plan plan;

std::uint64_t count_open_sessions() noexcept
{
    ngx_queue_t *all = &this_worker().sessions;
    std::uint64_t count = 0;

    for (ngx_queue_t *at = ngx_queue_head(all); at != ngx_queue_sentinel(all);
         at = ngx_queue_next(at)) {
        count += session::from_link(at)->open() ? 1 : 0;
    }

    return count;
}

// Returns the time, by ngx_current_msec, at which the next session is closed:
// the first one at once, the others evenly over the drain time. Each open
// session asks once.
ngx_msec_t next_close_time() noexcept
{
    if (plan.clients == 0) {
        plan.began = ngx_current_msec;
        plan.time = drain_time();
        plan.clients = std::max<std::uint64_t>(count_open_sessions(), 1);
    }

    const std::uint64_t turn = std::min(plan.assigned++, plan.clients);

    return plan.began +
           static_cast<ngx_msec_t>(turn * plan.time / plan.clients);
}

// Clients that reconnect find the rooms of another Redis: to them the service
// has restarted.
std::uint16_t shutdown_code() noexcept
{
    if (const ngx_uint_t code = main_conf_of(*ngx_cycle).drain_code;
        code != 0) {
        return static_cast<std::uint16_t>(code);
    }

    return worker_bus::running() && worker_bus::zone().replaced.load()
               ? protocol::close_code::service_restart
               : protocol::close_code::going_away;
}

} // namespace

// nginx calls this once for each session at a graceful shutdown. An open
// session continues until its scheduled time. After worker_shutdown_timeout
// nginx calls it again, with the connection marked as failed. It has not
// failed, so TLS still sends close_notify.
void session::on_shutdown() noexcept
{
    ngx_connection_t *c = connection_;
    const bool again = shutting_down_;

    c->close = 0;
    c->idle = 0;
    shutting_down_ = true;
    counters::set_draining();

    if (c->error) {
        shutdown_timed_out = shutdown_timed_out || again;
        c->error = 0;
        send_close_and_abort();
        return;
    }

    if (phase_ != phase::open && phase_ != phase::joining) {
        return;
    }

    end_at_ = next_close_time();

    if (phase_ == phase::joining) {
        return; // begin_reading() checks the time
    }

    if (c->read->timer_set) {
        // nginx does not move a timer by less than 300 ms
        ngx_del_timer(c->read);
    }

    check_idle();
}

void session::close_for_shutdown() noexcept
{
    close(shutdown_code(), "server is shutting down", close_initiator::server);
    flush();
}

void session::terminate() noexcept
{
    send_close_and_abort();
    rearm_or_finish();
}

// Sends a Close frame as far as the connection accepts it now, and ends the
// session.
void session::send_close_and_abort() noexcept
{
    send_all_postponed();
    close_for_shutdown();
    send_all_postponed(); // including a postponed Close
    flush();

    if (phase_ != phase::ended) {
        (void)writer_.flush(SIZE_MAX);
    }

    if (!writer_.empty()) {
        // TLS cannot send close_notify after an incomplete record
        connection_->error = 1;
    }

    if (writer_.body() == nullptr &&
        (phase_ == phase::closing || phase_ == phase::flushing)) {
        // Closing a socket with unread input would discard the Close frame
        (void)half_close();
        discard_input();
    }

    phase_ = phase::ended;
}

} // namespace websocket::nginx
