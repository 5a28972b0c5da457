// Sends the events that wait, as far as the concurrency allows.
#include "nginx/backend/event_queue.hpp"

#include "nginx/core/shutdown_timeout.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/workers/counters.hpp"

#include <new>

namespace websocket::nginx::backend {

namespace {

constexpr ngx_msec_t retry_interval = 100;

} // namespace

event_queue::event_queue(ngx_uint_t concurrency) noexcept
    : concurrency_{concurrency}, next_{first_}
{
    first_ = this;
    ngx_queue_init(&senders_);
    ngx_queue_init(&postponed_);
    init_timer(retry_, on_retry, ngx_cycle->log, false);
    retry_.data = this;
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

void event_queue::remove(queued_sender &sender) noexcept
{
    dequeue(sender);
    total_--;
}

queued_sender &event_queue::first_of(ngx_queue_t &list) noexcept
{
    return *static_cast<queued_sender *>(ngx_queue_head(&list));
}

void event_queue::dequeue(queued_sender &sender) noexcept
{
    ngx_queue_remove(sender.link());
    ngx_queue_init(sender.link());
    counters::current->http.waiting.add(UINT32_MAX);
}

void event_queue::finished(ngx_msec_t lasted) noexcept
{
    out_--;
    total_--;
    counters::current->http.end(lasted);
    start_waiting();
}

// False: there is no memory or no free connection.
bool event_queue::send_first(ngx_queue_t &list) noexcept
{
    queued_sender &sender = first_of(list);

    out_++;

    if (!sender.send_event()) {
        out_--;
        return false;
    }

    dequeue(sender);
    counters::current->http.out.add(1);
    counters::current->http.events.add(1);
    return true;
}

void event_queue::retry_later() noexcept
{
    if (!retry_.timer_set) {
        ngx_add_timer(&retry_, retry_interval);
    }
}

// An event that cannot be sent waits for those that are out, but no longer than
// until there is memory or a connection.
void event_queue::start_waiting() noexcept
{
    while (!shutdown_timed_out && out_ < concurrency_ &&
           !ngx_queue_empty(&senders_)) {
        if (send_first(senders_)) {
            continue;
        }

        if (out_ != 0) {
            retry_later();
            return;
        }

        queued_sender &sender = first_of(senders_);

        if (sender.must_be_sent()) {
            ngx_queue_remove(sender.link());
            ngx_queue_insert_tail(&postponed_, sender.link());
            retry_later();
            continue;
        }

        remove(sender);
        sender.fail_event();
    }
}

// Once an event is out, those that were postponed wait before all others.
void event_queue::on_retry(ngx_event_t *event)
{
    auto &self = *static_cast<event_queue *>(event->data);

    if (shutdown_timed_out) {
        return;
    }

    while (self.out_ < self.concurrency_ &&
           !ngx_queue_empty(&self.postponed_) &&
           self.send_first(self.postponed_)) {}

    if (!ngx_queue_empty(&self.postponed_)) {
        self.retry_later();

        if (self.out_ == 0) {
            return;
        }

        ngx_queue_add(&self.postponed_, &self.senders_);
        ngx_queue_init(&self.senders_);
        ngx_queue_add(&self.senders_, &self.postponed_);
        ngx_queue_init(&self.postponed_);
    }

    self.start_waiting();
}

void event_queue::resume_all() noexcept
{
    shutdown_timed_out = false;

    for (event_queue *each = first_; each != nullptr; each = each->next_) {
        on_retry(&each->retry_);
    }
}

} // namespace websocket::nginx::backend
