// Opens the eventfds and counts the configurations that use them. A reload
// creates the new configuration before it frees the old one; a reload that
// fails frees the new one.
#include "nginx/workers/wakeup_fds.hpp"

#include "nginx/core/log_line.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

namespace websocket::nginx {

struct wakeup_fd_set {
    std::vector<int> fds;
    std::size_t users = 0;
};

namespace {

// The limit of the master and of workers, which inherit what it opens.
std::size_t open_file_limit(const ngx_cycle_t &cycle) noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(cycle.conf_ctx, ngx_core_module));
    rlimit limit{};

    const std::size_t limit_of_process =
        getrlimit(RLIMIT_NOFILE, &limit) == -1
            ? std::numeric_limits<std::size_t>::max()
            : limit.rlim_cur;

    return core->rlimit_nofile == NGX_CONF_UNSET
               ? limit_of_process
               : std::min(limit_of_process,
                          static_cast<std::size_t>(core->rlimit_nofile));
}

// Returns -1 with EMFILE also if less than `files_left` files could be opened
// then: nginx starts no worker without a pair of sockets.
int open_eventfd(const ngx_cycle_t &cycle, std::size_t files_left) noexcept
{
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd == -1 ||
        static_cast<std::size_t>(fd) + files_left < open_file_limit(cycle)) {
        return fd;
    }

    ::close(fd);
    ngx_set_errno(EMFILE);
    return -1;
}

// Closes the master's copies; a worker has its own.
void release_fds(void *data)
{
    auto *set = static_cast<wakeup_fd_set *>(data);

    if (--set->users != 0) {
        return;
    }

    for (const int fd : set->fds) {
        ::close(fd);
    }

    delete set;
}

} // namespace

bool retain_fds(ngx_cycle_t &cycle, wakeup_fd_set &set) noexcept
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cycle.pool, 0);

    if (cleanup == nullptr) {
        return false;
    }

    cleanup->handler = release_fds;
    cleanup->data = &set;
    set.users++;
    return true;
}

bool add_wakeup_fds(ngx_cycle_t &cycle, wakeup_fd_set &set, std::size_t count,
                    std::size_t files_left) noexcept
try {
    set.fds.reserve(count);

    while (set.fds.size() < count) {
        const int fd = open_eventfd(cycle, files_left);

        if (fd == -1) {
            write_log(NGX_LOG_WARN, cycle.log, ngx_errno,
                      "websocket: eventfd() failed after %uz of %uz: workers "
                      "without an eventfd poll every 20 ms; raise the limit "
                      "of open files",
                      set.fds.size(), count);
            return true;
        }

        set.fds.push_back(fd);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

std::span<const int> fds_of(const wakeup_fd_set &set) noexcept
{
    return set.fds;
}

wakeup_fd_set *create_wakeup_fds(ngx_cycle_t &cycle, std::size_t count,
                                 std::size_t files_left) noexcept
try {
    auto set = std::make_unique<wakeup_fd_set>();

    if (!retain_fds(cycle, *set)) {
        return nullptr;
    }

    wakeup_fd_set &owned = *set.release(); // by the cycle

    if (!add_wakeup_fds(cycle, owned, count, files_left)) {
        return nullptr;
    }

    return &owned;

} catch (const std::bad_alloc &) {
    return nullptr;
}

} // namespace websocket::nginx
