// Work that would block the event loop: done by nginx's thread pool.
#include "nginx/resource/background.hpp"

#include "nginx/core/drain_time.hpp"
#include "nginx/core/log_line.hpp"
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

// A graceful shutdown looks so often whether it has waited long enough.
constexpr ngx_msec_t watch_interval = 100;

struct job {
    ngx_thread_task_t task{};
    ngx_queue_t link{};
    resource *owner;
    void (*work)(void *);
    void (*done)(void *);
    void *data;
    std::atomic<bool> at_work{false};
};

struct job_list {
    ngx_queue_t jobs; // taken, and `done` has not been called
    const ngx_cycle_t *threads_of = nullptr; // whose pools have threads
    ngx_connection_t no_connection{};        // what a timer's log looks at
    ngx_event_t watch{};
    ngx_msec_t deadline = 0; // of a graceful shutdown, once it has begun
    void ***hidden_pools = nullptr;
    std::atomic<bool> ended{false};
};

job_list own;

job *from_link(ngx_queue_t *queue) noexcept
{
    return ngx_queue_data(queue, job, link);
}

template <class Condition>
std::size_t count_jobs(Condition condition) noexcept
{
    std::size_t count = 0;

    if (own.threads_of == nullptr) {
        return 0;
    }

    for (ngx_queue_t *at = ngx_queue_head(&own.jobs);
         at != ngx_queue_sentinel(&own.jobs); at = ngx_queue_next(at)) {
        count += condition(*from_link(at)) ? 1 : 0;
    }

    return count;
}

// Either this sees that the process ends, or end() sees that it is at work.
void work_in_thread(void *context, ngx_log_t *)
{
    auto *begun = static_cast<job *>(context);

    begun->at_work.store(true);

    if (!own.ended.load()) {
        begun->work(begun->data);
    }

    begun->at_work.store(false);
}

void finish_on_loop(ngx_event_t *event)
{
    auto *finished = static_cast<job *>(event->data);

    ngx_queue_remove(&finished->link);
    finished->done(finished->data);
    finished->owner->let_go();
    delete finished;

    if (ngx_queue_empty(&own.jobs) && own.watch.timer_set) {
        ngx_del_timer(&own.watch);
    }
}

bool waited_enough() noexcept
{
    return own.deadline != 0 &&
           static_cast<ngx_msec_int_t>(ngx_current_msec - own.deadline) >= 0;
}

// As long as its timer is set a graceful shutdown goes on.
void watch(ngx_event_t *event)
{
    if (ngx_exiting && own.deadline == 0) {
        own.deadline = std::max<ngx_msec_t>(ngx_current_msec + drain_time(), 1);
    }

    if (!waited_enough()) {
        ngx_add_timer(event, watch_interval);
    }
}

void end_process(void *)
{
    if (ngx_process == NGX_PROCESS_WORKER) {
        write_log(NGX_LOG_NOTICE, ngx_cycle->log, "exit");
    }

    _exit(0);
}

// What a thread may use must stay to the end: the process ends before nginx
// frees the configuration's memory and unloads the libraries.
bool keep_memory(ngx_cycle_t *cycle) noexcept
{
    ngx_pool_cleanup_t *first = ngx_pool_cleanup_add(cycle->pool, 0);

    if (first == nullptr) {
        return false;
    }

    first->handler = end_process;
    return true;
}

// nginx ends those pools that it finds here.
void hide_pools(ngx_cycle_t *cycle) noexcept
{
    own.hidden_pools = std::exchange(
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
    ngx_queue_init(&own.jobs);
    own.threads_of = cycle;
    own.no_connection.fd = -1;
    own.watch.data = &own.no_connection;
    own.watch.handler = watch;
    own.watch.log = cycle->log;
}

void end(ngx_cycle_t *cycle) noexcept
{
    own.ended.store(true);

    const std::size_t at_work =
        count_jobs([](const job &each) { return each.at_work.load(); });

    if (at_work != 0) {
        write_log(NGX_LOG_NOTICE, cycle->log,
                  "websocket: %uz background jobs are still running: they "
                  "end with the process",
                  at_work);
    }

    // A single process gives threads to its first configuration alone, and
    // would wait for those of the others for ever
    if (at_work != 0 ? keep_memory(cycle) : cycle != own.threads_of) {
        hide_pools(cycle);
    }
}

bool at_work_for(const resource &owner) noexcept
{
    return count_jobs([&owner](const job &each) {
               return each.owner == &owner && each.at_work.load();
           }) != 0;
}

void restore_pools(ngx_cycle_t *cycle) noexcept
{
    if (own.hidden_pools != nullptr) {
        ngx_get_conf(cycle->conf_ctx, ngx_thread_pool_module) =
            std::exchange(own.hidden_pools, nullptr);
    }
}

} // namespace background

bool resource::run_in_background(void (*work)(void *), void (*done)(void *),
                                 void *data) noexcept
{
    ngx_thread_pool_t *pool =
        checked_only_ || ending_ || own.ended || own.threads_of != ngx_cycle
            ? nullptr
            : default_pool();

    if (pool == nullptr) {
        return false;
    }

    auto *made = new (std::nothrow) job{{}, {}, this, work, done, data, false};

    if (made == nullptr) {
        return false;
    }

    made->task.handler = work_in_thread;
    made->task.event.handler = finish_on_loop;
    made->task.event.data = made;
    made->task.event.log = ngx_cycle->log;
    made->task.ctx = made;

    if (ngx_thread_task_post(pool, &made->task) != NGX_OK) {
        delete made;
        return false;
    }

    ngx_queue_insert_tail(&own.jobs, &made->link);
    hold();

    if (!own.watch.timer_set && !waited_enough()) {
        ngx_add_timer(&own.watch, watch_interval);
    }

    return true;
}

#else

namespace background {

void start(ngx_cycle_t *) noexcept
{}

void end(ngx_cycle_t *) noexcept
{}

bool at_work_for(const resource &) noexcept
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
