// The eventfds by which workers wake each other. The master creates them, its
// workers inherit them, and the master closes them with the last configuration
// that uses them.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <span>

namespace websocket::nginx {

// Shared by the configurations of one shared memory.
struct wakeup_fd_set;

// Creates `count` eventfds for the configuration of a cycle. They are fewer,
// and that is logged, if the process could not open `files_left` more files
// then: workers without an eventfd poll. Null without memory.
wakeup_fd_set *create_wakeup_fds(ngx_cycle_t &cycle, std::size_t count,
                                 std::size_t files_left) noexcept;

// Opens more, up to `count`, or fewer in the same case. Only workers that are
// forked later inherit the new ones. False without memory.
bool add_wakeup_fds(ngx_cycle_t &cycle, wakeup_fd_set &set, std::size_t count,
                    std::size_t files_left) noexcept;

// The eventfds by slot; in a worker, those that it has inherited.
std::span<const int> fds_of(const wakeup_fd_set &set) noexcept;

// Keeps them open until the cycle's configuration ends. False without memory.
bool retain_fds(ngx_cycle_t &cycle, wakeup_fd_set &set) noexcept;

} // namespace websocket::nginx
