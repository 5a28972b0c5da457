// The eventfds by which workers wake each other: made by the master, inherited
// by its workers, and closed in it when no configuration uses them any more.
#pragma once

#include "nginx/nginx_headers.hpp"

#include <span>

namespace websocket::nginx {

struct wakers; // what the configurations of one shared memory have together

// Makes as many as there is room for, for the configuration of a cycle. Null:
// it has been said why.
wakers *make_wakers(ngx_cycle_t &cycle, std::span<int> files) noexcept;

// Lets another configuration use them too. False when there is no memory.
bool share_wakers(ngx_cycle_t &cycle, wakers &made) noexcept;

} // namespace websocket::nginx
