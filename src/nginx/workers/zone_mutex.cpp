// Waits for the lock of the shared memory.
#include "nginx/workers/zone_mutex.hpp"

#include "nginx/core/process_exists.hpp"

#include <ctime>

namespace websocket::nginx {

namespace {

// A waiting worker looks for a dead owner after this time.
constexpr long wait_ns = 10'000'000;

#if (NGX_HAVE_POSIX_SEM)

timespec end_of_wait() noexcept
{
    constexpr long ns_per_second = 1'000'000'000;
    timespec end{};

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += wait_ns;

    if (end.tv_nsec >= ns_per_second) {
        end.tv_sec++;
        end.tv_nsec -= ns_per_second;
    }

    return end;
}

#endif

// As ngx_shmtx_lock() does before it sleeps.
bool spin(ngx_shmtx_t &lock) noexcept
{
    if (ngx_ncpu == 1) {
        return false;
    }

    for (ngx_uint_t pauses = 1; pauses < lock.spin; pauses <<= 1) {
        for (ngx_uint_t i = 0; i < pauses; i++) {
            ngx_cpu_pause();
        }

        if (ngx_shmtx_trylock(&lock)) {
            return true;
        }
    }

    return false;
}

// False: the wait has ended, or was interrupted, without an unlock.
bool unlocked_in_time(ngx_shmtx_t &lock) noexcept
{
#if (NGX_HAVE_POSIX_SEM)
    if (lock.semaphore) {
        const timespec end = end_of_wait();

        return sem_timedwait(&lock.sem, &end) == 0;
    }
#endif

    constexpr timespec pause{.tv_sec = 0, .tv_nsec = wait_ns / 100};

    nanosleep(&pause, nullptr);
    return false;
}

// An unlock posts to the semaphore if it finds a count of waiting workers.
void count_waiting(ngx_shmtx_t &lock, ngx_atomic_int_t change) noexcept
{
#if (NGX_HAVE_POSIX_SEM)
    if (lock.semaphore) {
        (void)ngx_atomic_fetch_add(lock.wait, change);
    }
#endif
}

void free_of_dead_owner(ngx_shmtx_t &lock) noexcept
{
    const auto owner = static_cast<ngx_pid_t>(*lock.lock);

    if (owner != 0 && !process_exists(owner)) {
        ngx_shmtx_force_unlock(&lock, owner);
    }
}

} // namespace

// When a worker dies, nginx's master frees its locks in the memory of the
// newest configuration alone. Workers that still use the memory of an earlier
// one, and workers that have lost their master, free the lock themselves.
void zone_mutex::wait() noexcept
{
    bool counted = false;

    while (true) {
        if (!counted) {
            if (spin(mutex_)) {
                return;
            }

            count_waiting(mutex_, 1);
            counted = true;
        }

        if (ngx_shmtx_trylock(&mutex_)) {
            count_waiting(mutex_, -1);
            return;
        }

        if (unlocked_in_time(mutex_)) {
            counted = false; // the unlock has taken it back
            continue;
        }

        free_of_dead_owner(mutex_);
    }
}

} // namespace websocket::nginx
