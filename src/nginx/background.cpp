// Work that would block the event loop: done by nginx's thread pool.
#include "nginx/resource.hpp"

extern "C" {
#include <ngx_thread_pool.h>
}

#include <new>

namespace websocket::nginx {

#if (NGX_THREADS)

namespace {

struct job {
    ngx_thread_task_t task{};
    resource &owner;
    void (*work)(void *);
    void (*done)(void *);
    void *data;
};

void work_in_thread(void *context, ngx_log_t *)
{
    auto *own = static_cast<job *>(context);
    own->work(own->data);
}

void finish_on_loop(ngx_event_t *event)
{
    auto *own = static_cast<job *>(event->data);

    own->done(own->data);
    own->owner.let_go();
    delete own;
}

} // namespace

bool resource::run_in_background(void (*work)(void *), void (*done)(void *),
                                 void *data) noexcept
{
    static ngx_str_t name = ngx_string("default");

    ngx_thread_pool_t *pool =
        checked_only_ || ending_
            ? nullptr
            : ngx_thread_pool_get(const_cast<ngx_cycle_t *>(ngx_cycle), &name);

    if (pool == nullptr) {
        return false;
    }

    auto *made = new (std::nothrow) job{{}, *this, work, done, data};

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

    hold();
    return true;
}

#else

bool resource::run_in_background(void (*)(void *), void (*)(void *),
                                 void *) noexcept
{
    return false;
}

#endif

} // namespace websocket::nginx
