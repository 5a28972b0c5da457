// Sends an event when its turn has come, and reports the answer to the client.
#include "nginx/backend/pending_event.hpp"

#include "nginx/backend/client.hpp"
#include "nginx/kept_clients/client_register.hpp"

namespace websocket::nginx::backend {

namespace {

ngx_ssl_connection_t *tls_of(const ngx_connection_t *c) noexcept
{
#if (NGX_HTTP_SSL)
    return c == nullptr ? nullptr : c->ssl;
#else
    (void)c;
    return nullptr;
#endif
}

} // namespace

pending_event::pending_event(client &owner, const event_data &event,
                             ngx_connection_t *c,
                             connect_listener *listener) noexcept
    : owner_{owner}, event_{event}, connection_{c}, listener_{listener}
{
    failed_.data = this;
    failed_.handler = on_failed;
    failed_.log = ngx_cycle->log;
}

void pending_event::forget_connection() noexcept
{
    connection_ = nullptr;
    listener_ = nullptr;

    if (out_ != nullptr) {
        out_->forget_tls();
    }
}

bool pending_event::withdraw(event_kind kind) noexcept
{
    if (event_.kind != kind || out_ != nullptr) {
        return false;
    }

    if (failed_.posted) {
        ngx_delete_posted_event(&failed_);
    } else {
        owner_.configuration().backend->queue->remove(*this);
    }

    delete this;
    return true;
}

bool pending_event::send_event() noexcept
{
    const location_configuration &conf = owner_.configuration();

    // Another host may have sent it
    if (event_.kind == event_kind::disconnect &&
        client_register::instance().is_doubtful(owner_.record().id())) {
        return false;
    }

    sent_ = ngx_current_msec;
    out_ = event_request::start(*this, owner_.record(), *conf.backend, event_,
                                conf.max_message_size, tls_of(connection_));
    return out_ != nullptr;
}

// Only a handshake can be refused without a loss.
bool pending_event::must_be_sent() const noexcept
{
    return event_.kind != event_kind::connect;
}

// The answer comes later, as all answers do.
void pending_event::fail_event() noexcept
{
    ngx_post_event(&failed_, &ngx_posted_events);
}

void pending_event::on_failed(ngx_event_t *event)
{
    answer none;

    none.result = answer::outcome::no_memory;
    static_cast<pending_event *>(event->data)->end(none);
}

void pending_event::on_answer(answer &&got) noexcept
{
    out_ = nullptr;
    owner_.configuration().backend->queue->finished(ngx_current_msec - sent_);
    end(got);
}

void pending_event::end(answer &got) noexcept
{
    client &owner = owner_;
    connect_listener *listener = listener_;
    const event_kind kind = event_.kind;

    delete this;
    owner.on_answered(kind, got, listener);
}

} // namespace websocket::nginx::backend
