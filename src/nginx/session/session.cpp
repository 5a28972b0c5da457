// The life of a session: made, started, woken by events. The
// connection's data stays the request as long as there is one, since nginx
// takes it for one when a subrequest in the background (a mirror's) ends.
#include "nginx/session/session.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/workers/worker_bus.hpp"

#include "nginx/output/transport.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"

#include <new>

namespace websocket::nginx {

session::session(ngx_http_request_t *r, request_part &part, resource &joined,
                 ngx_str_t key, const agreed_terms &terms) noexcept
    : connection_{r->connection}, request_{r},
      conf_{*location_conf<location_configuration>(r)}, endpoint_{conf_.limits},
      output_{r->connection, this_worker().batch}, resource_{&joined},
      key_{key}, terms_{terms}, request_part_{&part}
{
    const auto *begin = reinterpret_cast<const std::byte *>(this);

    link_offset = reinterpret_cast<const std::byte *>(&link_) - begin;
    ngx_queue_init(&link_);
    endpoint_.accept_compressed(terms.deflate);
    joined.hold();
}

// A request that is kept has room for its session.
void *session::allocate(ngx_http_request_t *r) noexcept
{
    return location_conf<location_configuration>(r)->releases_requests()
               ? ngx_alloc(sizeof(session), r->connection->log)
               : ngx_palloc(r->pool, sizeof(session));
}

void session::destroy() noexcept
{
    void *place = conf_.releases_requests() ? this : nullptr;

    if (request_part_ != nullptr) {
        delete request_part_->variables;
    }

    this->~session();
    ngx_free(place);
}

session *session::create(ngx_http_request_t *r, resource &joined, ngx_str_t key,
                         const agreed_terms &terms,
                         std::uint64_t position) noexcept
{
    ngx_http_cleanup_t *at_end = ngx_http_cleanup_add(r, 0);
    ngx_pool_cleanup_t *at_last = ngx_pool_cleanup_add(r->pool, 0);

    auto *part =
        static_cast<request_part *>(ngx_pcalloc(r->pool, sizeof(request_part)));
    void *place = at_end == nullptr || at_last == nullptr || part == nullptr
                      ? nullptr
                      : allocate(r);

    if (place == nullptr) {
        joined.give_up();
        return nullptr;
    }

    part->join_position = position;
    auto *made = new (place) session(r, *part, joined, key, terms);

    // The access log is written between these two
    at_end->handler = on_request_cleanup;
    at_end->data = made;
    at_last->handler = on_pool_cleanup;
    at_last->data = made;

    ngx_http_set_ctx(r, made, ngx_http_websocket_module);

    if (!this_worker().sessions_of.put(r->connection, *made) ||
        !made->make_client()) {
        made->leave(); // the refusal may take its time
        return nullptr;
    }

    return made;
}

std::uint64_t session::id() const noexcept
{
    return backplane::used() && worker_bus::running()
               ? backplane::id_of_client(connection_->number)
               : connection_->number;
}

bool session::make_client() noexcept
{
    client_ = handler().client_created(
        resource_->object(), reinterpret_cast<websocket_client_t *>(this));
    return client_ != nullptr;
}

void session::join() noexcept
{
    resource_->add(*this);
    phase_ = phase::open;
    joined_ = true;
    counters::client_connected();

    if (handler().client_connected != nullptr) {
        const resource::delivery_scope scope(*resource_);

        judge(handler().client_connected(resource_->object(), client_));
    }
}

void session::join_in_turn() noexcept
{
    join();
    request_part_->start_event.handler = on_joined;
    ngx_post_event(&request_part_->start_event, &ngx_posted_events);
}

session *session::of(ngx_http_request_t *r) noexcept
{
    void *found = ngx_http_get_module_ctx(r->main, ngx_http_websocket_module);

    if (found != nullptr || !r->main->internal) {
        return static_cast<session *>(found);
    }

    // The redirect to a post_action, after the session, empties the contexts
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
    session *self = &this_worker().sessions_of[c];

    if (c->close) {
        self->worker_is_leaving();

    } else if (event->timedout) {
        event->timedout = 0;
        self->timer_fired();

    } else {
        self->read_turn();
    }

    self->wait_for_events();
}

void session::on_write(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    session *self = &this_worker().sessions_of[c];

    if (event->timedout) {
        event->timedout = 0;
        self->send_timed_out();

    } else {
        self->flush();
        self->resume_reading();
    }

    self->wait_for_events();
}

// When a mirror's request fails, nginx takes the connection's events back.
void session::on_request_event(ngx_http_request_t *r)
{
    ngx_connection_t *c = r->connection;

    of(r)->listen();
    ngx_post_event(c->read, &ngx_posted_events);
    ngx_post_event(c->write, &ngx_posted_events);
}

void session::listen() noexcept
{
    connection_->read->handler = on_read;
    connection_->write->handler = on_write;
}

void session::start() noexcept
{
    take_connection();

    started_ = ngx_current_msec;
    last_received_ = last_sent_ = last_ping_ = timestamp(started_);
    phase_ = phase::arriving;

    if (transport::prepare(request_) != NGX_OK) {
        connection_broke();

    } else {
        adopt_unsent_header();
        arrived_ = true;

        if (resource_->arrive(*this)) {
            join();
            begin_reading();
        }
    }

    wait_for_events();
}

void session::on_joined(ngx_event_t *event)
{
    auto *self = static_cast<session *>(event->data);

    self->begin_reading();
    self->wait_for_events();
}

void session::begin_reading() noexcept
{
    read_turn();

    if (phase_ == phase::open) {
        check_idle();
        release();
    }
}

void session::take_connection() noexcept
{
    ngx_connection_t *c = connection_;

    request_part_->read_handler = c->read->handler;
    request_part_->write_handler = c->write->handler;
    listen();

    c->log->action = const_cast<char *>("serving WebSocket");
    c->idle = 1; // a graceful quit calls our read handler
    request_->read_event_handler = on_request_event;
    request_->write_event_handler = on_request_event;

    ngx_queue_insert_tail(&this_worker().sessions, &link_);
}

// With limit_rate, or a client that does not read, the 101 may wait in the
// request or in TLS.
void session::adopt_unsent_header() noexcept
{
    ngx_connection_t *c = connection_;

    (void)output_.write_bytes(transport::held_back(c));
    transport::drop_held_back(c);

    for (ngx_chain_t *cl = request_->out; cl != nullptr; cl = cl->next) {
        (void)output_.write_bytes(bytes_between(cl->buf->pos, cl->buf->last));
    }

    request_->out = nullptr;
    c->buffered &= ~static_cast<unsigned>(NGX_HTTP_WRITE_BUFFERED);

    if (c->write->delayed) {
        c->write->delayed = 0;

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }
    }
}

// The last thing in each event handler: sees to it that something will wake
// the session again, or ends it. The session may be gone after it.
void session::wait_for_events() noexcept
{
    ngx_connection_t *c = connection_;

    if (phase_ != phase::ended &&
        (ngx_handle_read_event(c->read, 0) != NGX_OK ||
         ngx_handle_write_event(c->write, 0) != NGX_OK)) {
        connection_broke();
    }

    if (phase_ == phase::ended) {
        finish();
    }
}

} // namespace websocket::nginx
