// Which web pages may come to a location: the directive websocket_origins.
#pragma once

#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <array>
#include <cstddef>
#include <string_view>

namespace websocket::nginx {

// The field Origin of a request (RFC 6454 7).
struct request_origin {
    std::string_view text; // in the request's memory
    bool given = false;
    bool repeated = false; // no browser does that
};

request_origin find_origin(const ngx_http_request_t *r) noexcept;

// Whether a request with this origin may go on. One without the field does not
// come from a page of another site; with several it is refused, unless any
// origin is allowed.
bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    const request_origin &origin) noexcept;

// Why the origin is refused, for the log.
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
