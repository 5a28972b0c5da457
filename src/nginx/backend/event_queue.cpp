// Sends the events that wait, as far as the concurrency allows.
#include "nginx/backend/event_queue.hpp"

#include "nginx/workers/counters.hpp"

#include <new>

namespace websocket::nginx::backend {

event_queue::event_queue(ngx_uint_t concurrency) noexcept
    : concurrency_{concurrency}
{
    ngx_queue_init(&senders_);
}

event_queue *event_queue::of(settings &location) noexcept
{
    if (location.queue == nullptr) {
        void *memory = ngx_palloc(location.pool, sizeof(event_queue));

        location.queue = memory == nullptr
                             ? nullptr
                             : new (memory) event_queue(location.concurrency);
    }

    return location.queue;
}

void event_queue::add(queued_sender &sender) noexcept
{
    ngx_queue_insert_tail(&senders_, sender.link());
    total_++;
    counters::current->http.waiting.add(1);
    start_waiting();
}

void event_queue::finished(ngx_msec_t lasted) noexcept
{
    out_--;
    total_--;
    counters::current->http.end(lasted);
    start_waiting();
}

// An event that cannot be sent waits for those that are out.
void event_queue::start_waiting() noexcept
{
    while (out_ < concurrency_ && !ngx_queue_empty(&senders_)) {
        ngx_queue_t *first = ngx_queue_head(&senders_);
        queued_sender &sender = *static_cast<queued_sender *>(first);

        out_++;

        if (sender.send_event()) {
            ngx_queue_remove(first);
            ngx_queue_init(first);
            counters::current->http.waiting.add(UINT32_MAX);
            counters::current->http.out.add(1);
            counters::current->http.events.add(1);
            continue;
        }

        out_--;

        if (out_ != 0) {
            return;
        }

        ngx_queue_remove(first);
        ngx_queue_init(first);
        total_--;
        counters::current->http.waiting.add(UINT32_MAX);
        sender.fail_event();
    }
}

} // namespace websocket::nginx::backend
