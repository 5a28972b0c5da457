// The settings of the directive websocket_jwt.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "tokens/verifier.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

// Lives as long as the configuration.
struct token_settings {
    ngx_http_complex_value_t *source = nullptr; // null: a subprotocol
    tokens::verifier verifier;
    bool required = true;

    bool from_subprotocol() const noexcept { return source == nullptr; }

    // Verifies a token at the current time.
    tokens::verified verify(std::string_view text) const noexcept;
};

// The time in ms since 1970, as tokens have it.
std::uint64_t wall_clock() noexcept;

} // namespace websocket::nginx
