// Reads variables for a handler while its client is connected. nginx evaluates
// them into the request's pool, which lives as long as the client, so each call
// would use more memory there.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// The reader of one request. It must be destroyed before or with the request,
// but after the access log line. It holds the values of the last `max_values`
// names, and at most one more pool per variable of the configuration.
class variable_reader {
public:
    static constexpr std::size_t max_values = 64;

    // `name` is case-insensitive. Returns nothing if the variable is unknown or
    // not set, or without memory. The text is valid until the name is read
    // again, or `max_values` other names.
    std::optional<std::string_view> read(ngx_http_request_t *r,
                                         std::string_view name) noexcept;

private:
    struct free_pool {
        void operator()(ngx_pool_t *pool) const noexcept
        {
            ngx_destroy_pool(pool);
        }
    };
    using pool = std::unique_ptr<ngx_pool_t, free_pool>;

    struct value {
        std::string name; // lower case
        pool memory;
    };

    value &slot_for(std::string name);

    std::vector<value> values_;
    std::vector<pool> kept_; // the request references their memory
    std::size_t oldest_ = 0;
};

} // namespace websocket::nginx
