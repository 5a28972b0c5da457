// The worker's own.
#include "nginx/worker.hpp"

#include "nginx/backplane.hpp"
#include "nginx/exchange.hpp"
#include "nginx/figures.hpp"
#include "nginx/resource.hpp"
#include "nginx/session.hpp"
#include "protocol/inflater.hpp"
#include "protocol/shared_buffer.hpp"

namespace websocket::nginx {

namespace {

worker own;

} // namespace

worker &this_worker() noexcept
{
    return own;
}

ngx_int_t start_worker(ngx_cycle_t *cycle)
{
    return exchange::start(cycle);
}

void exit_worker(ngx_cycle_t *cycle)
{
    ngx_queue_t &sessions = own.sessions;

    (void)cycle;

    while (!ngx_queue_empty(&sessions)) {
        session::from_link(ngx_queue_head(&sessions))->stop_now();
    }

    figures::stop();
    backplane::stop();
    resource::drop_all();
    exchange::stop();
    own.deflaters.clear();
    protocol::inflater::drop_spares();
    protocol::shared_buffer::drop_spares();
}

} // namespace websocket::nginx
