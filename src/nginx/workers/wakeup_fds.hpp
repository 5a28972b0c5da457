// The eventfds by which workers wake each other: made by the master, inherited
// by its workers, and closed in it when no configuration uses them any more.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <span>

namespace websocket::nginx {

struct wakers; // what the configurations of one shared memory have together

// Creates so many for the configuration of a cycle, or fewer where the process
// could not open `files_left` files more: workers can do without, which is
// logged. Null: there is no memory.
wakers *make_wakers(ngx_cycle_t &cycle, std::size_t count,
                    std::size_t files_left) noexcept;

// Has at least so many from now on, or fewer in the same case. For workers that
// are forked later, those that run do not have the new ones. False: there is no
// memory.
bool add_wakers(ngx_cycle_t &cycle, wakers &made, std::size_t count,
                std::size_t files_left) noexcept;

// By slot. What a worker sees are those that it has inherited.
std::span<const int> files_of(const wakers &made) noexcept;

// Lets another configuration use them too. False when there is no memory.
bool share_wakers(ngx_cycle_t &cycle, wakers &made) noexcept;

} // namespace websocket::nginx
