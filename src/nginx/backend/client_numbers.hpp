// The numbers of clients, which are those of nginx's connections.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx::backend {

// Called for each configuration. An nginx that replaces another program (USR2)
// begins with higher numbers than those of the other one, which may still have
// clients: a backend must not confuse them. With Redis the numbers of two
// programs differ anyway.
void begin_client_numbers(const ngx_cycle_t &cycle) noexcept;

} // namespace websocket::nginx::backend
