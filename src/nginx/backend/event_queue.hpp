// The events of one location's clients that wait in this worker. At most
// `concurrency` of them are out; the others follow in the order of their
// arrival. Each client has at most one in the queue, so that all get their
// turn.
#pragma once

#include "nginx/events/settings.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <cstdint>

namespace websocket::nginx::backend {

// One that has an event to send.
class queued_sender : ngx_queue_t {
public:
    queued_sender() noexcept : ngx_queue_t{} { ngx_queue_init(link()); }

    // Sends the event. False: there is no memory or no free connection.
    virtual bool send_event() noexcept = 0;

    // Whether an event that cannot be sent is tried again.
    virtual bool must_be_sent() const noexcept = 0;

    // The event cannot be sent. May be called by event_queue::add().
    virtual void fail_event() noexcept = 0;

protected:
    ~queued_sender() { ngx_queue_remove(link()); }

private:
    friend class event_queue;

    ngx_queue_t *link() noexcept { return this; }
};

class event_queue {
public:
    // The queue of a location, created with the first event. Null without
    // memory.
    static event_queue *of(settings &location) noexcept;

    // Sends again, in all queues, after worker_shutdown_timeout has passed:
    // from then on nothing is sent, so that the worker ends.
    static void resume_all() noexcept;

    // The events of this worker that wait or are out, in all queues.
    static std::uint64_t unfinished() noexcept { return total_; }

    void add(queued_sender &sender) noexcept;

    // Takes back an event that waits.
    void remove(queued_sender &sender) noexcept;

    // An event that was out has been answered after so many milliseconds.
    void finished(ngx_msec_t lasted) noexcept;

private:
    explicit event_queue(ngx_uint_t concurrency) noexcept;

    void retry_later() noexcept;
    void start_waiting() noexcept;
    bool send_first(ngx_queue_t &list) noexcept;
    static queued_sender &first_of(ngx_queue_t &list) noexcept;
    static void dequeue(queued_sender &sender) noexcept;
    static void on_retry(ngx_event_t *event);

    static inline std::uint64_t total_ = 0;
    static inline event_queue *first_ = nullptr;

    ngx_queue_t senders_;
    ngx_queue_t postponed_; // until there is memory or a connection
    ngx_event_t retry_{};
    ngx_uint_t concurrency_;
    ngx_uint_t out_ = 0;
    event_queue *next_;
};

} // namespace websocket::nginx::backend
