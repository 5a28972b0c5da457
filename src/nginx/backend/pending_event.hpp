// An event of a client that waits in the queue of its location, or is out.
#pragma once

#include "nginx/backend/event_queue.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/events/event_request.hpp"

namespace websocket::nginx::backend {

class client;
class connect_listener;

// Ends with the call of client::on_answered().
class pending_event final : public queued_sender, answer_receiver {
public:
    // `c` is the client's connection; null: it has ended.
    pending_event(client &owner, const event_data &event, ngx_connection_t *c,
                  connect_listener *listener) noexcept;

    // Must be called before the connection, or the listener, ends.
    void forget_connection() noexcept;

    // Takes back an event of this kind that was not sent. False: it is another
    // one, or was sent. On true the object is deleted.
    bool withdraw(event_kind kind) noexcept;

private:
    bool send_event() noexcept override;
    bool must_be_sent() const noexcept override;
    void fail_event() noexcept override;
    void on_answer(answer &&got) noexcept override;
    static void on_failed(ngx_event_t *event);
    void end(answer &got) noexcept;

    client &owner_;
    event_data event_;
    ngx_connection_t *connection_;
    connect_listener *listener_; // of a connect event
    event_request *out_ = nullptr;
    ngx_msec_t sent_ = 0;
    ngx_event_t failed_{};
};

} // namespace websocket::nginx::backend
