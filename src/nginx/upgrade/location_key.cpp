// Evaluates the key of a location.
#include "nginx/upgrade/location_key.hpp"

#include "nginx/request/refusal.hpp"

namespace websocket::nginx {

ngx_int_t resource_key(ngx_http_request_t *r,
                       const location_configuration &conf,
                       ngx_str_t &key) noexcept
{
    if (conf.key == nullptr) {
        key = static_cast<ngx_http_core_loc_conf_t *>(
                  ngx_http_get_module_loc_conf(r, ngx_http_core_module))
                  ->name;
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, conf.key, &key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    // All clients without a key would share one resource
    return key.len == 0
               ? reject_handshake(r, NGX_HTTP_BAD_REQUEST, "the key is empty")
               : NGX_OK;
}

} // namespace websocket::nginx
