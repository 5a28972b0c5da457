// Runs the request of an event from its beginning to its answer.
#include "nginx/events/event_request.hpp"

#include "nginx/events/event_connection.hpp"
#include "nginx/events/request_fields.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/shutdown_timeout.hpp"

#include <new>
#include <utility>

namespace websocket::nginx::backend {

namespace {

using text = client_record::text;

ngx_queue_t all_requests{&all_requests, &all_requests};

// Between the call of a handler that frees the request, and the free.
ngx_http_request_t *request_of(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    return static_cast<ngx_http_request_t *>(c->data);
}

void set_addresses(ngx_connection_t *c, const client_record &from) noexcept
{
    const ngx_str_t socket = borrowed(from.get(text::socket_address));
    const ngx_str_t local = borrowed(from.get(text::local_address));

    c->sockaddr = reinterpret_cast<sockaddr *>(socket.data);
    c->socklen = static_cast<socklen_t>(socket.len);
    c->addr_text = borrowed(from.get(text::address));

    if (local.len != 0) {
        c->local_sockaddr = reinterpret_cast<sockaddr *>(local.data);
        c->local_socklen = static_cast<socklen_t>(local.len);
    }
}

void count_as_writing(ngx_http_request_t *r) noexcept
{
#if (NGX_STAT_STUB)
    if (r->stat_reading) {
        (void)ngx_atomic_fetch_add(ngx_stat_reading, -1);
        r->stat_reading = 0;
        (void)ngx_atomic_fetch_add(ngx_stat_writing, 1);
        r->stat_writing = 1;
    }
#else
    (void)r;
#endif
}

} // namespace

event_request::event_request(answer_receiver &to, const client_record &from,
                             const settings &by, const event_data &event,
                             std::size_t max_body) noexcept
    : ngx_http_connection_t{}, ngx_queue_t{}, receiver_{to}, record_{from},
      settings_{by}, max_body_{max_body}, kind_{event.kind}, payload_{
                                                                 event.payload}
{
    conf_ctx = by.server->ctx;

    timer_.data = ended_.data = this;
    timer_.handler = on_timeout;
    ended_.handler = on_ended;
    timer_.log = ended_.log = ngx_cycle->log;
}

event_request *event_request::start(answer_receiver &to,
                                    const client_record &from,
                                    const settings &by, const event_data &event,
                                    std::size_t max_body,
                                    ngx_ssl_connection_t *tls) noexcept
{
    auto *self =
        new (std::nothrow) event_request(to, from, by, event, max_body);

    if (self == nullptr) {
        return nullptr;
    }

    if (!self->create(event, tls)) {
        delete self;
        return nullptr;
    }

    ngx_add_timer(&self->timer_, by.timeout);
    self->run();
    return self;
}

void event_request::forget_tls() noexcept
{
#if (NGX_HTTP_SSL)
    if (request_ != nullptr) {
        connection_->ssl = nullptr;
    }
#endif
}

bool event_request::create(const event_data &event,
                           ngx_ssl_connection_t *tls) noexcept
{
    ngx_connection_t *c =
        open_event_connection(on_log, log_context_, on_read, on_write);

    if (c == nullptr) {
        return false;
    }

    c->data = static_cast<ngx_http_connection_t *>(this);
    set_addresses(c, record_);

    ngx_http_request_t *r = ngx_http_create_request(c);

    if (r == nullptr) {
        close_event_connection(c);
        return false;
    }

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);

    c->data = r;
    r->header_in = &no_input_;
    r->main_filter_need_in_memory = 1;
    r->filter_need_in_memory = 1;
    count_as_writing(r);

    if (cleanup == nullptr || !fill_request(r, record_, event)) {
        r->logged = 1;
        ngx_http_free_request(r, 0);
        close_event_connection(c);
        return false;
    }

    cleanup->handler = on_pool_cleanup;
    cleanup->data = this;
    connection_ = c;
    request_ = r;
    ngx_queue_insert_tail(&all_requests, link());
#if (NGX_HTTP_SSL)
    c->ssl = tls;
#else
    (void)tls;
#endif
    return true;
}

event_request *event_request::of(ngx_http_request_t *r) noexcept
{
    return is_event_connection(r->connection)
               ? static_cast<event_request *>(r->main->http_connection)
               : nullptr;
}

// The request, and this object with it, may end before this returns: the answer
// is reported by a later event.
void event_request::run() noexcept
{
    ngx_connection_t *c = connection_;
    ngx_http_request_t *r = request_;
    ngx_str_t pass = settings_.pass;
    ngx_str_t args = settings_.pass_args;

    if (settings_.passes_to_name()) {
        (void)ngx_http_named_location(r, &pass);
    } else {
        (void)ngx_http_internal_redirect(r, &pass, &args);
    }

    ngx_http_finalize_request(r, NGX_DONE);
    ngx_http_run_posted_requests(c);
}

// Ends the request as nginx does when it closes a connection. The cleanup of an
// upstream releases the reference to the request that the upstream has, so that
// another one is needed until all cleanups have run.
void event_request::end() noexcept
{
    ngx_connection_t *c = connection_;

    if (request_ != nullptr) {
        request_->count++;
        ngx_http_finalize_request(request_, NGX_HTTP_CLOSE);
        ngx_http_run_posted_requests(c);
    }
}

void event_request::end_all() noexcept
{
    while (!ngx_queue_empty(&all_requests)) {
        ngx_queue_t *first = ngx_queue_head(&all_requests);

        ngx_queue_remove(first);
        ngx_queue_init(first);
        static_cast<event_request *>(first)->end();
    }
}

void event_request::on_read(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    if (c->close) {
        shutdown_timed_out = true;
        of(request_of(event))->end();
    }
}

// For modules that delay a request, such as limit_req.
void event_request::on_write(ngx_event_t *event)
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    ngx_http_request_t *r = request_of(event);

    if (event->delayed && event->timedout) {
        event->delayed = 0;
        event->timedout = 0;
    }

    r->write_event_handler(r);
    ngx_http_run_posted_requests(c);
}

void event_request::on_timeout(ngx_event_t *event)
{
    auto &self = *static_cast<event_request *>(event->data);

    // A mirror, for example, may last longer than the answer
    if (self.answer_.result == answer::outcome::unfinished) {
        self.answer_.result = answer::outcome::timed_out;
    }

    self.end();
}

// The last use of the request: nginx has logged it, and will only close its
// connection.
void event_request::on_pool_cleanup(void *data)
{
    auto &self = *static_cast<event_request *>(data);

#if (NGX_HTTP_SSL)
    self.connection_->ssl = nullptr; // nginx would end the client's TLS
#endif
    self.request_ = nullptr;
    ngx_queue_remove(self.link());
    ngx_post_event(&self.ended_, &ngx_posted_events);
}

void event_request::on_ended(ngx_event_t *event)
{
    auto *self = static_cast<event_request *>(event->data);
    answer_receiver &to = self->receiver_;
    answer got = std::move(self->answer_);

    if (self->timer_.timer_set) {
        ngx_del_timer(&self->timer_);
    }

    delete self;
    to.on_answer(std::move(got));
}

u_char *event_request::on_log(ngx_log_t *log, u_char *buffer, std::size_t size)
{
    const auto *context = static_cast<ngx_http_log_ctx_t *>(log->data);
    u_char *end = buffer + size;
    u_char *at = buffer;

    if (log->action != nullptr) {
        at = ngx_slprintf(at, end, " while %s", log->action);
    }

    at = ngx_slprintf(at, end, ", client: %V", &context->connection->addr_text);

    if (ngx_http_request_t *r = context->request; r != nullptr) {
        at = ngx_slprintf(at, end, ", websocket client: %uL", of(r)->client());
        return r->log_handler(r, context->current_request, at,
                              static_cast<std::size_t>(end - at));
    }

    return at;
}

} // namespace websocket::nginx::backend
