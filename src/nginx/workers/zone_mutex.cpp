// Waits for the lock of the shared memory.
#include "nginx/workers/zone_mutex.hpp"

#include <csignal>
#include <ctime>

namespace websocket::nginx {

namespace {

void sleep_briefly() noexcept
{
    constexpr timespec time{.tv_sec = 0, .tv_nsec = 100'000};

    nanosleep(&time, nullptr);
}

} // namespace

// When a worker dies, nginx's master releases its locks in the memory of the
// current configuration. A worker that shuts down may use the memory of an
// earlier configuration, so it checks the owner itself.
void zone_mutex::wait() noexcept
{
    if (!ngx_exiting) {
        ngx_shmtx_lock(&mutex_);
        return;
    }

    while (!ngx_shmtx_trylock(&mutex_)) {
        const auto owner = static_cast<ngx_pid_t>(*mutex_.lock);

        if (owner != 0 && kill(owner, 0) == -1 && ngx_errno == ESRCH) {
            ngx_shmtx_force_unlock(&mutex_, owner);
        } else {
            sleep_briefly();
        }
    }
}

} // namespace websocket::nginx
