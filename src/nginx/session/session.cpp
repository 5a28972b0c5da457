// Creates a session, starts it and handles its events. The connection's data
// remains the request as long as there is one: nginx expects a request there
// when a background subrequest, for example of a mirror, ends.
#include "nginx/session/session.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/output/transport.hpp"
#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/session_wait.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"

#include <new>

namespace websocket::nginx {

session::session(ngx_http_request_t *r, request_part &part, resource &target,
                 const negotiated_options &negotiated) noexcept
    : membership{*this}, connection_{r->connection},
      conf_{*location_conf<location_configuration>(r)}, endpoint_{conf_.limits},
      writer_{r->connection}, resource_{&target}, negotiated_{negotiated},
      request_part_{&part}
{
    const auto *begin = reinterpret_cast<const std::byte *>(this);

    link_offset = reinterpret_cast<const std::byte *>(&link_) - begin;
    ngx_queue_init(&link_);
    endpoint_.accept_compressed(negotiated.deflate);
    target.retain();
}

// A session whose request is kept lives in the request's pool.
void *session::allocate(ngx_http_request_t *r) noexcept
{
    return location_conf<location_configuration>(r)->releases_requests()
               ? ngx_alloc(sizeof(session), r->connection->log)
               : ngx_palloc(r->pool, sizeof(session));
}

void session::destroy() noexcept
{
    void *memory = conf_.releases_requests() ? this : nullptr;

    if (request_part_ != nullptr) {
        delete request_part_->variables;
    }

    this->~session();
    ngx_free(memory);
}

session *session::create(ngx_http_request_t *r, resource &target, ngx_str_t key,
                         const negotiated_options &negotiated,
                         std::optional<std::uint64_t> position) noexcept
{
    ngx_http_cleanup_t *request_cleanup = ngx_http_cleanup_add(r, 0);
    ngx_pool_cleanup_t *pool_cleanup = ngx_pool_cleanup_add(r->pool, 0);

    auto *part =
        static_cast<request_part *>(ngx_pcalloc(r->pool, sizeof(request_part)));
    void *memory =
        request_cleanup == nullptr || pool_cleanup == nullptr || part == nullptr
            ? nullptr
            : allocate(r);
    void *wait = position ? nullptr : ngx_palloc(r->pool, sizeof(session_wait));

    if (memory == nullptr || (!position && wait == nullptr)) {
        if (location_conf<location_configuration>(r)->releases_requests()) {
            ngx_free(memory);
        }

        position ? target.cancel_reservation() : target.end_waiting();
        return nullptr;
    }

    part->request = r;
    part->key = key;
    part->join_position = position.value_or(0);
    auto *self = new (memory) session(r, *part, target, negotiated);
    self->identity_ = take_identity(r);

    if (wait != nullptr) {
        part->wait = ::new (wait)
            session_wait(*self, target.log_name(), r->connection->log);
    }

    // nginx writes the access log between these two
    request_cleanup->handler = on_request_cleanup;
    request_cleanup->data = self;
    pool_cleanup->handler = on_pool_cleanup;
    pool_cleanup->data = self;

    ngx_http_set_ctx(r, self, ngx_http_websocket_module);

    const bool prepared =
        shares_connection(r)
            ? self->prepare_shared_connection(r)
            : this_worker().sessions_by_fd.set(r->connection, *self);

    if (!prepared || !self->create_client()) {
        self->leave_resource(); // sending the rejection may take time
        return nullptr;
    }

    return self;
}

std::uint64_t session::id_of(const ngx_connection_t *c) noexcept
{
    return backplane::enabled() && worker_bus::running()
               ? backplane::client_id(c->number)
               : c->number;
}

bool session::create_client() noexcept
{
    client_ = handler().client_created(
        resource_->object(), reinterpret_cast<websocket_client_t *>(this));
    return client_ != nullptr;
}

void session::connect_client() noexcept
{
    resource_->add_client(*this);
    phase_ = phase::open;
    client_connected_ = true;
    counters::client_connected();

    if (on_client_connected != nullptr) {
        on_client_connected(*this);
    }

    if (handler().client_connected != nullptr) {
        const resource::delivery_scope scope(*resource_);

        close_if_failed(
            handler().client_connected(resource_->object(), client_));
    }
}

void session::on_join_position() noexcept
{
    if (phase_ != phase::joining) {
        return; // closed while it was joining: flush() leaves the resource
    }

    connect_client();
    request_part_->start_event.handler = on_connected;
    ngx_post_event(&request_part_->start_event, &ngx_posted_events);
}

session *session::of(ngx_http_request_t *r) noexcept
{
    void *found = ngx_http_get_module_ctx(r->main, ngx_http_websocket_module);

    if (found != nullptr || !r->main->internal) {
        return static_cast<session *>(found);
    }

    // A post_action, which runs after the session, clears the contexts
    for (auto *at = r->main->pool->cleanup; at != nullptr; at = at->next) {
        if (at->handler == on_pool_cleanup) {
            return static_cast<session *>(at->data);
        }
    }

    return nullptr;
}

void session::post_start() noexcept
{
    ngx_event_t *event = &request_part_->start_event;

    event->data = this;
    event->handler = on_start;
    event->log = connection_->log;
    ngx_post_event(event, &ngx_posted_events);
}

void session::on_start(ngx_event_t *event)
{
    static_cast<session *>(event->data)->start();
}

void session::on_read(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    session *self = &this_worker().sessions_by_fd[c];

    if (c->close) {
        self->on_shutdown();

    } else if (event->timedout) {
        event->timedout = 0;
        self->on_timer();

    } else {
        self->read_turn();
    }

    self->rearm_or_finish();
}

void session::on_write(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    session *self = &this_worker().sessions_by_fd[c];

    if (event->timedout) {
        event->timedout = 0;
        self->on_send_timeout();

    } else {
        self->flush();
        self->read_if_possible();
    }

    self->rearm_or_finish();
}

// When a mirror subrequest fails, nginx replaces the event handlers of the
// connection.
void session::on_request_event(ngx_http_request_t *r)
{
    ngx_connection_t *c = r->connection;

    of(r)->install_handlers();
    ngx_post_event(c->read, &ngx_posted_events);
    ngx_post_event(c->write, &ngx_posted_events);
}

void session::install_handlers() noexcept
{
    const bool shared = writer_.body() != nullptr;

    connection_->read->handler = shared ? on_shared_event : on_read;
    connection_->write->handler = shared ? on_shared_event : on_write;
}

void session::start() noexcept
{
    take_over_connection();

    started_ = ngx_current_msec;
    last_received_ = last_sent_ = last_ping_ = timestamp(started_);
    phase_ = phase::joining;

    if (writer_.body() == nullptr &&
        transport::configure(request()) != NGX_OK) {
        on_connection_error();

    } else {
        if (writer_.body() == nullptr) {
            adopt_unsent_header();
        }

        begin_event_stream();
        request_part_->wait == nullptr ? join() : wait_for_hosts();
    }

    rearm_or_finish();
}

// A client that a handler closed before the start, or whose token has ended,
// does not join its resource.
void session::join() noexcept
{
    if (closed_.empty() && time_to_token_end() == 0) {
        record_close(protocol::close_code::unauthorized, "unauthorized",
                     close_initiator::server);
    }

    if (!closed_.empty()) {
        leave_resource();
        close(closed_.code(), closed_.reason(), closed_.by());
        return;
    }

    listed_ = true;

    if (resource_->confirm_reservation(*this)) {
        connect_client();
        begin_reading();
    }
}

void session::on_connected(ngx_event_t *event)
{
    auto *self = static_cast<session *>(event->data);

    self->begin_reading();
    self->rearm_or_finish();
}

void session::begin_reading() noexcept
{
    read_turn();

    if (phase_ == phase::open) {
        check_idle();
        release_request();
    }
}

void session::take_over_connection() noexcept
{
    ngx_connection_t *c = connection_;

    request_part_->read_handler = c->read->handler;
    request_part_->write_handler = c->write->handler;
    install_handlers();

    c->log->action = const_cast<char *>(log_action());
    c->idle = writer_.body() == nullptr; // a graceful shutdown calls on_read()
    request()->read_event_handler = on_request_event;
    request()->write_event_handler = on_request_event;

    ngx_queue_insert_tail(&this_worker().sessions, &link_);
}

// With limit_rate, or with a client that does not read, the 101 response may
// still be in the request or in nginx's TLS buffer.
void session::adopt_unsent_header() noexcept
{
    ngx_connection_t *c = connection_;

    (void)writer_.write_bytes(transport::tls_buffered(c));
    transport::drop_tls_buffered(c);

    for (ngx_chain_t *cl = request()->out; cl != nullptr; cl = cl->next) {
        (void)writer_.write_bytes(bytes_between(cl->buf->pos, cl->buf->last));
    }

    request()->out = nullptr;
    c->buffered &= ~static_cast<unsigned>(NGX_HTTP_WRITE_BUFFERED);

    if (c->write->delayed) {
        c->write->delayed = 0;

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }
    }
}

// The last call of each event handler: rearms the events, or ends the session.
// The session may be freed on return.
void session::rearm_or_finish() noexcept
{
    ngx_connection_t *c = connection_;

    if (phase_ != phase::ended && writer_.body() == nullptr &&
        (ngx_handle_read_event(c->read, 0) != NGX_OK ||
         ngx_handle_write_event(c->write, 0) != NGX_OK)) {
        on_connection_error();
    }

    if (phase_ == phase::ended) {
        finish();
    }
}

} // namespace websocket::nginx
