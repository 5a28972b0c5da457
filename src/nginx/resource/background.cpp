// Runs background jobs of handlers in nginx's thread pool.
#include "nginx/resource/background.hpp"

#include "nginx/core/drain_time.hpp"
#include "nginx/core/first_exception.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/resource/resource.hpp"

extern "C" {
#include <ngx_thread_pool.h>
}

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include <unistd.h>

#if (NGX_THREADS)
extern "C" {
extern ngx_module_t ngx_thread_pool_module;
}
#endif

namespace websocket::nginx {

#if (NGX_THREADS)

namespace {

// How often a graceful shutdown checks its deadline, in milliseconds.
constexpr ngx_msec_t shutdown_poll_interval = 100;

struct job {
    ngx_thread_task_t task{};
    ngx_queue_t link{};
    resource *owner;
    void (*work)(void *);
    void (*done)(void *);
    void *data;
    std::atomic<bool> running{false};
};

struct worker_state {
    ngx_queue_t jobs;                        // accepted, `done` not yet called
    const ngx_cycle_t *pool_cycle = nullptr; // whose pools have threads
    ngx_event_t shutdown_timer{};
    ngx_msec_t deadline = 0; // of a graceful shutdown that has started
    void ***hidden_pools = nullptr;
    std::atomic<bool> ending{false};
};

worker_state state;

job *from_link(ngx_queue_t *queue) noexcept
{
    return ngx_queue_data(queue, job, link);
}

template <class Condition>
std::size_t count_jobs(Condition condition) noexcept
{
    std::size_t count = 0;

    if (state.pool_cycle == nullptr) {
        return 0;
    }

    for (ngx_queue_t *it = ngx_queue_head(&state.jobs);
         it != ngx_queue_sentinel(&state.jobs); it = ngx_queue_next(it)) {
        count += condition(*from_link(it)) ? 1 : 0;
    }

    return count;
}

// Either this thread sees that the process exits, or end() sees that it is
// running.
void work_in_thread(void *context, ngx_log_t *)
{
    static thread_local bool prepared = false;
    auto *this_job = static_cast<job *>(context);

    if (!std::exchange(prepared, true)) {
        throw_first_exception();
    }

    this_job->running.store(true);

    if (!state.ending.load()) {
        this_job->work(this_job->data);
    }

    this_job->running.store(false);
}

void finish_on_loop(ngx_event_t *event)
{
    auto *this_job = static_cast<job *>(event->data);

    ngx_queue_remove(&this_job->link);
    this_job->done(this_job->data);
    this_job->owner->release();
    delete this_job;

    if (ngx_queue_empty(&state.jobs) && state.shutdown_timer.timer_set) {
        ngx_del_timer(&state.shutdown_timer);
    }
}

bool deadline_passed() noexcept
{
    return state.deadline != 0 &&
           static_cast<ngx_msec_int_t>(ngx_current_msec - state.deadline) >= 0;
}

// An active timer delays a graceful shutdown.
void check_shutdown(ngx_event_t *event)
{
    if (ngx_exiting && state.deadline == 0) {
        state.deadline =
            std::max<ngx_msec_t>(ngx_current_msec + drain_time(), 1);
    }

    if (!deadline_passed()) {
        ngx_add_timer(event, shutdown_poll_interval);
    }
}

void end_process(void *)
{
    if (ngx_process == NGX_PROCESS_WORKER) {
        write_log(NGX_LOG_NOTICE, ngx_cycle->log, "exit");
    }

    _exit(0);
}

// A thread may use the configuration and libraries until the end: the process
// exits before nginx frees the pool and unloads them.
bool keep_memory(ngx_cycle_t *cycle) noexcept
{
    ngx_pool_cleanup_t *first = ngx_pool_cleanup_add(cycle->pool, 0);

    if (first == nullptr) {
        return false;
    }

    first->handler = end_process;
    return true;
}

// nginx destroys the pools that it finds in the configuration.
void hide_pools(ngx_cycle_t *cycle) noexcept
{
    state.hidden_pools = std::exchange(
        ngx_get_conf(cycle->conf_ctx, ngx_thread_pool_module), nullptr);
}

ngx_thread_pool_t *default_pool() noexcept
{
    static ngx_str_t name = ngx_string("default");

    return ngx_thread_pool_get(const_cast<ngx_cycle_t *>(ngx_cycle), &name);
}

} // namespace

namespace background {

void start(ngx_cycle_t *cycle) noexcept
{
    ngx_queue_init(&state.jobs);
    state.pool_cycle = cycle;
    init_timer(state.shutdown_timer, check_shutdown, cycle->log, false);
}

void end(ngx_cycle_t *cycle) noexcept
{
    state.ending.store(true);

    const std::size_t running =
        count_jobs([](const job &one) { return one.running.load(); });

    if (running != 0) {
        write_log(NGX_LOG_NOTICE, cycle->log,
                  "websocket: %uz background jobs are still running: they "
                  "end with the process",
                  running);
    }

    // With "master_process off" only the first cycle gets threads; nginx would
    // wait forever for those of the others
    if (running != 0 ? keep_memory(cycle) : cycle != state.pool_cycle) {
        hide_pools(cycle);
    }
}

bool has_running_job(const resource &owner) noexcept
{
    return count_jobs([&owner](const job &one) {
               return one.owner == &owner && one.running.load();
           }) != 0;
}

void restore_pools(ngx_cycle_t *cycle) noexcept
{
    if (state.hidden_pools != nullptr) {
        ngx_get_conf(cycle->conf_ctx, ngx_thread_pool_module) =
            std::exchange(state.hidden_pools, nullptr);
    }
}

} // namespace background

bool resource::run_in_background(void (*work)(void *), void (*done)(void *),
                                 void *data) noexcept
{
    ngx_thread_pool_t *pool = config_check_ || ending_ || state.ending ||
                                      state.pool_cycle != ngx_cycle
                                  ? nullptr
                                  : default_pool();

    if (pool == nullptr) {
        return false;
    }

    auto *new_job =
        new (std::nothrow) job{{}, {}, this, work, done, data, false};

    if (new_job == nullptr) {
        return false;
    }

    new_job->task.handler = work_in_thread;
    new_job->task.event.handler = finish_on_loop;
    new_job->task.event.data = new_job;
    new_job->task.event.log = ngx_cycle->log;
    new_job->task.ctx = new_job;

    if (ngx_thread_task_post(pool, &new_job->task) != NGX_OK) {
        delete new_job;
        return false;
    }

    ngx_queue_insert_tail(&state.jobs, &new_job->link);
    retain();

    if (!state.shutdown_timer.timer_set && !deadline_passed()) {
        ngx_add_timer(&state.shutdown_timer, shutdown_poll_interval);
    }

    return true;
}

#else

namespace background {

void start(ngx_cycle_t *) noexcept
{}

void end(ngx_cycle_t *) noexcept
{}

bool has_running_job(const resource &) noexcept
{
    return false;
}

void restore_pools(ngx_cycle_t *) noexcept
{}

} // namespace background

bool resource::run_in_background(void (*)(void *), void (*)(void *),
                                 void *) noexcept
{
    return false;
}

#endif

} // namespace websocket::nginx
