// Asks the kernel for processes.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <csignal>

namespace websocket::nginx {

// False for 0, and for a process that its parent has waited for. A process
// that may not be signalled exists.
inline bool process_exists(ngx_pid_t pid) noexcept
{
    return pid != 0 && (kill(pid, 0) == 0 || ngx_errno != ESRCH);
}

} // namespace websocket::nginx
