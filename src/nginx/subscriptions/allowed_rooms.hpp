// Which further resources a client may be subscribed to: those whose names fit
// a pattern of `websocket_rooms`.
#pragma once

#include "nginx/core/room_pattern.hpp"
#include "nginx/session/session.hpp"

#include <string_view>

namespace websocket::nginx {

// Evaluates the variables of the patterns for a client whose handshake is
// accepted. False: no memory.
bool evaluate_patterns(session &client, ngx_http_request_t *r) noexcept;

// The first pattern that the name fits; null: none.
const room_pattern *pattern_of(const session &client,
                               std::string_view name) noexcept;

} // namespace websocket::nginx
