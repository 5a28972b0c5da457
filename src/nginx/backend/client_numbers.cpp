// Begins the numbers of connections.
#include "nginx/backend/client_numbers.hpp"

#include "nginx/core/configuration.hpp"

#include <algorithm>
#include <span>

namespace websocket::nginx::backend {

namespace {

// A program has opened fewer connections in a second. The numbers stay below
// 2^53, up to which JSON and JavaScript are exact.
constexpr unsigned second_bits = 20;

bool has_backends(const main_configuration &conf) noexcept
{
    const ngx_array_t *all = conf.locations;

    return all != nullptr &&
           std::ranges::any_of(
               std::span{static_cast<const handler_location *>(all->elts),
                         all->nelts},
               [](const handler_location &each) {
                   return each.conf->backend != nullptr;
               });
}

} // namespace

void begin_client_numbers(const ngx_cycle_t &cycle) noexcept
{
    const main_configuration &conf = main_conf_of(cycle);
    constexpr bool fits = sizeof(ngx_atomic_uint_t) >= sizeof(std::uint64_t);

    if (!fits || ngx_inherited == 0 || conf.redis != nullptr ||
        !has_backends(conf)) {
        return;
    }

    // 1: no connection yet
    (void)ngx_atomic_cmp_set(ngx_connection_counter, 1,
                             static_cast<ngx_atomic_uint_t>(ngx_time())
                                 << second_bits);
}

} // namespace websocket::nginx::backend
