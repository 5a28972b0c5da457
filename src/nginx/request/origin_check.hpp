// Checks the origin of a web page against the directive websocket_origins.
#pragma once

#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <array>
#include <cstddef>
#include <string_view>

namespace websocket::nginx {

// The header field Origin of a request (RFC 6454 7).
struct request_origin {
    std::string_view text; // in the request's pool
    bool given = false;
    bool repeated = false; // no browser repeats it
};

request_origin find_origin(const ngx_http_request_t *r) noexcept;

// True if a request with this origin is allowed. A request without the field
// does not come from a page of another site. A repeated field is rejected,
// unless any origin is allowed.
bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    const request_origin &origin) noexcept;

// The reason for the log why an origin is rejected.
class origin_refusal {
public:
    origin_refusal(const ngx_http_request_t *r,
                   const request_origin &origin) noexcept;

    operator std::string_view() const noexcept
    {
        return {reinterpret_cast<const char *>(text_.data()), size_};
    }

private:
    std::array<u_char, 1200> text_;
    std::size_t size_;
};

} // namespace websocket::nginx
