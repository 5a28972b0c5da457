// Counts the configurations that use a set of eventfds. A reload makes the new
// configuration before it gives up the one before; one that fails gives up the
// new one.
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
    std::vector<int> files;
    std::size_t users = 0;
};

namespace {

// Of the master, and of workers, which inherit what it opens.
std::size_t max_files(const ngx_cycle_t &cycle) noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(cycle.conf_ctx, ngx_core_module));
    rlimit limit{};

    const std::size_t most = getrlimit(RLIMIT_NOFILE, &limit) == -1
                                 ? std::numeric_limits<std::size_t>::max()
                                 : limit.rlim_cur;

    return core->rlimit_nofile == NGX_CONF_UNSET
               ? most
               : std::min(most, static_cast<std::size_t>(core->rlimit_nofile));
}

// -1 and EMFILE, also where fewer would be left than nginx needs: without a
// pair of sockets it starts no worker.
int open_eventfd(const ngx_cycle_t &cycle, std::size_t files_left) noexcept
{
    const int file = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (file == -1 ||
        static_cast<std::size_t>(file) + files_left < max_files(cycle)) {
        return file;
    }

    ::close(file);
    ngx_set_errno(EMFILE);
    return -1;
}

// An old worker has its own copies since it was forked.
void release_fds(void *data)
{
    auto *set = static_cast<wakeup_fd_set *>(data);

    if (--set->users != 0) {
        return;
    }

    for (const int file : set->files) {
        ::close(file);
    }

    delete set;
}

} // namespace

bool retain_fds(ngx_cycle_t &cycle, wakeup_fd_set &made) noexcept
{
    ngx_pool_cleanup_t *at_end = ngx_pool_cleanup_add(cycle.pool, 0);

    if (at_end == nullptr) {
        return false;
    }

    at_end->handler = release_fds;
    at_end->data = &made;
    made.users++;
    return true;
}

bool add_wakeup_fds(ngx_cycle_t &cycle, wakeup_fd_set &made, std::size_t count,
                    std::size_t files_left) noexcept
try {
    made.files.reserve(count);

    while (made.files.size() < count) {
        const int file = open_eventfd(cycle, files_left);

        if (file == -1) {
            write_log(NGX_LOG_WARN, cycle.log, ngx_errno,
                      "websocket: eventfd() failed after %uz of %uz: workers "
                      "without an eventfd look for messages each 20 ms; raise "
                      "the limit of open files",
                      made.files.size(), count);
            return true;
        }

        made.files.push_back(file);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

std::span<const int> fds_of(const wakeup_fd_set &made) noexcept
{
    return made.files;
}

wakeup_fd_set *create_wakeup_fds(ngx_cycle_t &cycle, std::size_t count,
                                 std::size_t files_left) noexcept
try {
    auto made = std::make_unique<wakeup_fd_set>();

    if (!retain_fds(cycle, *made)) {
        return nullptr;
    }

    wakeup_fd_set &kept = *made.release(); // the cycle's, from here on

    if (!add_wakeup_fds(cycle, kept, count, files_left)) {
        return nullptr;
    }

    return &kept;

} catch (const std::bad_alloc &) {
    return nullptr;
}

} // namespace websocket::nginx
