// Which further resources a client may be subscribed to: those whose names fit
// a pattern of `websocket_rooms`.
#pragma once

#include "nginx/core/room_pattern.hpp"
#include "nginx/session/session.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The values of patterns with variables, by index; null: none has variables.
// Throws std::bad_alloc.
std::unique_ptr<std::optional<std::string>[]>
values_of(std::span<const room_pattern> patterns, ngx_http_request_t *r);

// Evaluates the variables of the patterns for a client whose handshake is
// accepted. False: no memory.
bool evaluate_patterns(session &client, ngx_http_request_t *r) noexcept;

// The first pattern that the name fits; null: none.
const room_pattern *pattern_of(std::span<const room_pattern> patterns,
                               const std::optional<std::string> *values,
                               std::string_view name) noexcept;

// The same for a client.
const room_pattern *pattern_of(const session &client,
                               std::string_view name) noexcept;

} // namespace websocket::nginx
