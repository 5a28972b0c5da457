// Variables that a handler asks for while its client is connected. nginx
// evaluates them into the memory of the request, which lasts as long as the
// client: there each call would take some more.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Of one request; to be destroyed before or with it, but after its line of the
// access log. Holds the values of the last `max_values` names that were asked
// for, and at most as many pools more as the configuration has variables.
class variable_reader {
public:
    static constexpr std::size_t max_values = 64;

    // Named in any case. Nothing if the variable is unknown or not set, or
    // there is no memory. The text lasts until the name is asked for again, or
    // `max_values` others.
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
        std::string name; // in lower case
        pool memory;
    };

    value &slot_for(std::string name);

    std::vector<value> values_;
    std::vector<pool> kept_; // the request refers to what is in them
    std::size_t oldest_ = 0;
};

} // namespace websocket::nginx
