// Waits for the lock of the shared memory.
#include "nginx/workers/zone_mutex.hpp"

#include <csignal>
#include <ctime>

namespace websocket::nginx {

namespace {

void pause_for_a_moment() noexcept
{
    constexpr timespec moment{.tv_sec = 0, .tv_nsec = 100'000};

    nanosleep(&moment, nullptr);
}

} // namespace

// When a worker dies, nginx's master frees its locks in the memory of the
// current configuration. A worker that is leaving may use the memory of an
// earlier one, so it looks for itself.
void zone_mutex::wait() noexcept
{
    if (!ngx_exiting) {
        ngx_shmtx_lock(&own_);
        return;
    }

    while (!ngx_shmtx_trylock(&own_)) {
        const auto owner = static_cast<ngx_pid_t>(*own_.lock);

        if (owner != 0 && kill(owner, 0) == -1 && ngx_errno == ESRCH) {
            ngx_shmtx_force_unlock(&own_, owner);
        } else {
            pause_for_a_moment();
        }
    }
}

} // namespace websocket::nginx
