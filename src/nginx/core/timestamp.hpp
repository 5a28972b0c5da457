// A time of nginx's clock in four bytes, as each client has several.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstdint>

namespace websocket::nginx {

class timestamp {
public:
    timestamp() = default;
    explicit timestamp(ngx_msec_t at) noexcept
        : at_{static_cast<std::uint32_t>(at)}
    {}

    // Milliseconds since then; wraps after 49 days.
    ngx_msec_t elapsed(ngx_msec_t now) const noexcept
    {
        return static_cast<std::uint32_t>(now) - at_;
    }

private:
    std::uint32_t at_ = 0;
};

} // namespace websocket::nginx
