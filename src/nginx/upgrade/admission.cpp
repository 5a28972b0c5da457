// Admits the client of a handshake to its resource.
#include "nginx/upgrade/admission.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <array>
#include <cstddef>

namespace websocket::nginx {

namespace {

ngx_int_t reject_for_max_clients(ngx_http_request_t *r) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    std::array<u_char, 64> text;
    const u_char *end =
        ngx_snprintf(text.data(), text.size(),
                     "websocket_max_clients (%ui) reached", conf.max_clients);

    return reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                            {reinterpret_cast<const char *>(text.data()),
                             static_cast<std::size_t>(end - text.data())});
}

} // namespace

ngx_int_t reject_admission(ngx_http_request_t *r, broker::outcome why) noexcept
{
    switch (why) {
    case broker::outcome::full:
        return reject_for_max_clients(r);
    case broker::outcome::no_memory:
        return reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "websocket_shared_memory is full");
    case broker::outcome::name_too_long:
        return reject_handshake(r, NGX_HTTP_BAD_REQUEST, "the key is too long");
    default:
        return reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                worker_bus::no_slot);
    }
}

ngx_int_t reserve_client(ngx_http_request_t *r, resource &target,
                         std::uint64_t &position) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    const broker::outcome result = target.reserve_client(
        *conf.terms, static_cast<std::uint32_t>(conf.max_clients), position);

    return result == broker::outcome::done ? NGX_OK
                                           : reject_admission(r, result);
}

ngx_int_t begin_waiting(ngx_http_request_t *r, resource &target) noexcept
{
    // Some are left for connections to Redis. nginx reuses idle ones from 1/16.
    if (ngx_cycle->free_connection_n < ngx_cycle->connection_n / 8) {
        return reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "too many clients wait for Redis");
    }

    static log_throttle line;
    const broker::outcome result =
        target.begin_waiting(*location_conf<location_configuration>(r)->terms);

    if (result != broker::outcome::done) {
        return reject_admission(r, result);
    }

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_NOTICE, r->connection->log,
                  "websocket: the client is accepted and waits for Redis, %M "
                  "ms at most%V",
                  backplane::accepted_timeout(), permit.suppressed());
    }

    return NGX_OK;
}

} // namespace websocket::nginx
