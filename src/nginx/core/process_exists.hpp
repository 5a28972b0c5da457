// Asks the kernel for processes.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <csignal>

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace websocket::nginx {

// False for 0, and for a process that has ended, even if its parent has not
// waited for it yet. A process that may not be signalled exists.
inline bool process_exists(ngx_pid_t pid) noexcept
{
    if (pid == 0 || (kill(pid, 0) == -1 && ngx_errno == ESRCH)) {
        return false;
    }

#ifdef SYS_pidfd_open
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));

    if (fd != -1) {
        pollfd end{.fd = fd, .events = POLLIN, .revents = 0};
        const bool ended = poll(&end, 1, 0) == 1;

        close(fd);
        return !ended;
    }

    // The id is of a thread, or its process has gone meanwhile
    return ngx_errno != ESRCH && ngx_errno != ENOENT && ngx_errno != EINVAL;
#else
    return true;
#endif
}

} // namespace websocket::nginx
