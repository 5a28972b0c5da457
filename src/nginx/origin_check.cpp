// Compares the origin that a browser tells with what the location allows.
#include "nginx/origin_check.hpp"

#include "protocol/origin.hpp"
#include "protocol/tokens.hpp"

namespace websocket::nginx {

bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    std::string_view origin) noexcept
{
    if (conf.any_origin) {
        return true;
    }

    if (conf.same_origin && r->headers_in.host != nullptr &&
        protocol::is_same_origin(origin, view(r->headers_in.host->value))) {
        return true;
    }

    if (conf.origins == nullptr) {
        return false;
    }

    const std::span patterns{
        static_cast<protocol::origin_pattern *>(conf.origins->elts),
        conf.origins->nelts};

    for (const protocol::origin_pattern &pattern : patterns) {
        if (pattern.matches(origin)) {
            return true;
        }
    }

    return false;
}

bool origin_allowed(ngx_http_request_t *r,
                    const location_configuration &conf) noexcept
{
    const ngx_table_elt_t *found = nullptr;
    bool repeated = false;

    each_header(r, [&](const ngx_table_elt_t &header) {
        if (protocol::equals_ignoring_case(view(header.key), "Origin")) {
            repeated = found != nullptr;
            found = &header;
        }
    });

    if (repeated) {
        return conf.any_origin != 0;
    }

    return found == nullptr || origin_allowed(r, conf, view(found->value));
}

} // namespace websocket::nginx
