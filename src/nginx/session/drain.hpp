// Spreads over the configured time the closing of clients whose worker leaves
// in order: each session gets a time of its own, at which its timer closes it.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstdint>

namespace websocket::nginx::drain {

// When the next session shall be closed, by ngx_current_msec. To be asked once
// by each session that is open when nginx tells the worker to leave: the first
// is closed at once, the others follow evenly.
ngx_msec_t next_close_time() noexcept;

// What clients are told when their worker leaves, however that comes.
std::uint16_t close_code() noexcept;

} // namespace websocket::nginx::drain
