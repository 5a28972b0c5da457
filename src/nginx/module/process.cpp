// Starts and ends a worker: its parts in their order.
#include "nginx/module/process.hpp"

#include "nginx/backend/adoption.hpp"
#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/direct/client_directory.hpp"
#include "nginx/direct/host_asks.hpp"
#include "nginx/direct/host_requests.hpp"
#include "nginx/output/deflaters.hpp"
#include "nginx/resource/background.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/shared_zone.hpp"
#include "nginx/workers/wakeup_fds.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/deflate/inflater.hpp"
#include "protocol/frames/shared_buffer.hpp"

namespace websocket::nginx {

namespace {

// Buffers that a burst of messages needed are kept for the next one so long.
constexpr ngx_msec_t trim_interval = 5000;

ngx_event_t trim_event;

void trim_buffers(ngx_event_t *event)
{
    if (protocol::shared_buffer::trim_cache()) {
        ngx_add_timer(event, trim_interval);
    }
}

void schedule_trim() noexcept
{
    if (!trim_event.timer_set) {
        ngx_add_timer(&trim_event, trim_interval);
    }
}

void clients_lost(std::string_view log_name) noexcept
{
    backplane::clients_changed(log_name, true);
}

} // namespace

ngx_int_t start_worker(ngx_cycle_t *cycle)
{
    init_timer(trim_event, trim_buffers, cycle->log);
    protocol::shared_buffer::enable_cache(schedule_trim);

    background::start(cycle);

    shared_zone *zone = zone_of(cycle);

    if (zone == nullptr || ngx_process == NGX_PROCESS_HELPER) {
        return NGX_OK;
    }

    const main_configuration &conf = main_conf_of(*cycle);

    worker_bus::on_start = backplane::start;
    worker_bus::on_exiting = session::on_worker_exiting;
    worker_bus::on_clients_lost =
        conf.redis != nullptr ? clients_lost : nullptr;
    backplane::on_congestion_end = session::resume_all_reads;

    if (conf.registers_clients() || conf.has_users) {
        client_directory::enable(conf.registers_clients());

        if (conf.redis != nullptr) {
            host_requests::enable();
        }
    }

    backend::start_adoption(cycle, *zone);

    return worker_bus::start(cycle, *zone,
                             {.wakeup_fds = fds_of(*conf.wakeup_fds),
                              .room_memory = conf.room_memory});
}

void end_worker(ngx_cycle_t *cycle)
{
    ngx_queue_t &sessions = this_worker().sessions;

    background::end(cycle);

    while (!ngx_queue_empty(&sessions)) {
        session::from_link(ngx_queue_head(&sessions))->terminate();
    }

    backend::finish_events(cycle);
    backend::flush_kept_clients();
    counters::stop();
    backend::end_adoption();
    backplane::stop();
    host_asks::stop();
    resource::drop_all();
    client_directory::stop();
    worker_bus::stop();
    compression::deflaters.clear();
    protocol::inflater::clear_cache();
    protocol::shared_buffer::enable_cache(nullptr);
    protocol::shared_buffer::clear_cache();
}

void exit_worker(ngx_cycle_t *cycle)
{
    background::restore_pools(cycle);
}

} // namespace websocket::nginx
