// The parts of a session that differ for event streams. Over HTTP/2 and HTTP/3
// several clients share a connection. Each has one of its own in nginx's
// structures, without a socket: nginx's filters write to it, and its events say
// that they can write more, or that the client has gone.
#include "nginx/session/session.hpp"

#include "nginx/output/event_bytes.hpp"
#include "nginx/output/response_body.hpp"
#include "nginx/session/worker.hpp"
#include "protocol/frames/close_code.hpp"

namespace websocket::nginx {

bool session::shares_connection(const ngx_http_request_t *r) noexcept
{
    return r->http_version >= NGX_HTTP_VERSION_20;
}

// nginx numbers connections, not the clients that share one. False: no memory.
bool session::prepare_shared_connection(ngx_http_request_t *r) noexcept
{
    ngx_connection_t *c = r->connection;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log->connection = c->number;
    writer_.send_through(response_body::create(r));
    return writer_.body() != nullptr;
}

void session::begin_event_stream() noexcept
{
    if (negotiated_.event_stream) {
        // If this fails, the flush ends the session
        (void)writer_.write_bytes(event_preamble().get());
        flush_later();
    }
}

// An event stream has one direction: input is dropped, and its end is the usual
// way in which the client leaves.
void session::read_event_client() noexcept
{
    if (writer_.body() != nullptr) {
        return; // see on_shared_event()
    }

    discard_input();

    if (phase_ == phase::ended) {
        record_close(protocol::close_code::none_received, "",
                     close_initiator::client);
    }
}

void session::on_shared_event(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    session *self = of(static_cast<ngx_http_request_t *>(c->data));

    if (event->timedout) {
        event->timedout = 0;
        event->write ? self->on_send_timeout() : self->on_timer();

    } else if (c->error || c->read->eof || c->read->error) {
        c->error = 1;
        self->record_close(protocol::close_code::none_received, "",
                           close_initiator::client);
        self->phase_ = phase::ended;

    } else if (event->write) {
        if (!self->writer_.body()->resume()) {
            self->on_connection_error();
        }

        self->flush();
    }

    self->rearm_or_finish();
}

// nginx notifies idle connections of a graceful shutdown, but not the clients
// that share one.
void session::on_worker_exiting() noexcept
{
    ngx_queue_t *all = &this_worker().sessions;

    for (ngx_queue_t *at = ngx_queue_head(all);
         at != ngx_queue_sentinel(all);) {
        session *each = from_link(at);

        at = ngx_queue_next(at);

        if (each->writer_.body() != nullptr && !each->shutting_down_) {
            each->on_shutdown();
            each->rearm_or_finish();
        }
    }
}

} // namespace websocket::nginx
