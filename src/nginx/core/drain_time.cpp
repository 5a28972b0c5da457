// Limits websocket_drain by worker_shutdown_timeout.
#include "nginx/core/drain_time.hpp"

#include "nginx/core/configuration.hpp"

#include <algorithm>

namespace websocket::nginx {

// After worker_shutdown_timeout nginx closes all connections. A quarter of that
// time is left for the last clients to answer the Close frame.
ngx_msec_t drain_time() noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module));
    const ngx_msec_t configured = main_conf_of(*ngx_cycle).drain_time;
    const ngx_msec_t limit = core->shutdown_timeout;

    return limit == 0 ? configured : std::min(configured, limit / 4 * 3);
}

} // namespace websocket::nginx
