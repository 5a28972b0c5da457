// The eventfds by which workers wake each other: made by the master, inherited
// by its workers, and closed in it when no configuration uses them any more.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <span>

namespace websocket::nginx {

struct wakeup_fd_set; // what the configurations of one shared memory have
                      // together

// Creates so many for the configuration of a cycle, or fewer where the process
// could not open `files_left` files more: workers can do without, which is
// logged. Null: there is no memory.
wakeup_fd_set *create_wakeup_fds(ngx_cycle_t &cycle, std::size_t count,
                                 std::size_t files_left) noexcept;

// Has at least so many from now on, or fewer in the same case. For workers that
// are forked later, those that run do not have the new ones. False: there is no
// memory.
bool add_wakeup_fds(ngx_cycle_t &cycle, wakeup_fd_set &made, std::size_t count,
                    std::size_t files_left) noexcept;

// By slot. What a worker sees are those that it has inherited.
std::span<const int> fds_of(const wakeup_fd_set &made) noexcept;

// Lets another configuration use them too. False when there is no memory.
bool retain_fds(ngx_cycle_t &cycle, wakeup_fd_set &made) noexcept;

} // namespace websocket::nginx
