// Over how long a worker that shuts down closes its clients.
#include "nginx/core/drain_time.hpp"

#include "nginx/core/configuration.hpp"

#include <algorithm>

namespace websocket::nginx {

// At the end of worker_shutdown_timeout nginx ends all that is left. By then
// the last clients shall have been told, and had time to answer.
ngx_msec_t drain_time() noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module));
    const ngx_msec_t wanted = main_conf_of(*ngx_cycle).drain_time;
    const ngx_msec_t limit = core->shutdown_timeout;

    return limit == 0 ? wanted : std::min(wanted, limit / 4 * 3);
}

} // namespace websocket::nginx
