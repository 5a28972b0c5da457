// Requests that wait for a reply of Redis.
#include "nginx/publish/via_redis.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <memory>
#include <new>
#include <string>

namespace websocket::nginx {

namespace {

// A waiting request. It may end before the reply: then `r` is null.
struct waiting_request {
    ngx_http_request_t *r;
    ngx_http_cleanup_t *cleanup;

    static void on_request_end(void *data)
    {
        static_cast<waiting_request *>(data)->r = nullptr;
    }
};

// Null if there is no memory.
std::unique_ptr<waiting_request> create_waiting(ngx_http_request_t *r) noexcept
{
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    std::unique_ptr<waiting_request> waiting(
        cleanup == nullptr ? nullptr
                           : new (std::nothrow) waiting_request{r, cleanup});

    if (waiting) {
        cleanup->handler = waiting_request::on_request_end;
        cleanup->data = waiting.get();
    }

    return waiting;
}

// From here on the reply owns `waiting`.
ngx_int_t wait(std::unique_ptr<waiting_request> waiting) noexcept
{
    ngx_http_request_t *r = waiting.release()->r;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;
}

ngx_int_t reject_unqueued(std::unique_ptr<waiting_request> waiting) noexcept
{
    waiting->cleanup->handler = nullptr;
    return reject_unreachable(waiting->r);
}

// Finalizes the request with respond(r), unless it has ended.
template <class Answer>
void finish(void *data, Answer respond) noexcept
{
    const std::unique_ptr<waiting_request> waiting(
        static_cast<waiting_request *>(data));
    ngx_http_request_t *r = waiting->r;

    if (r == nullptr) {
        return;
    }

    ngx_connection_t *c = r->connection;

    waiting->cleanup->handler = nullptr;
    ngx_http_finalize_request(r, respond(r));
    ngx_http_run_posted_requests(c);
}

void on_published(void *data, const publish_outcome &outcome) noexcept
{
    finish(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_published(r, outcome.id, outcome.clients)
                            : reject_unreachable(r);
    });
}

void on_closed(void *data, const publish_outcome &outcome) noexcept
{
    finish(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_client_count(r, outcome.clients)
                            : reject_unreachable(r);
    });
}

void on_described(void *data, const publish_outcome &outcome) noexcept
{
    finish(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_description(r, outcome.clients,
                                               outcome.messages, outcome.id)
                            : reject_unreachable(r);
    });
}

ngx_int_t publish(ngx_http_request_t *r, publish_request order) noexcept
{
    auto waiting = create_waiting(r);

    if (!waiting) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    order.data = waiting.get();
    order.counts_clients = true;
    return backplane::publish(order) ? wait(std::move(waiting))
                                     : reject_unqueued(std::move(waiting));
}

} // namespace

ngx_int_t publish_via_redis(ngx_http_request_t *r, const resource &target,
                            const broker::publication &message) noexcept
{
    return publish(r, {.kind = publish_kind::stored,
                       .name = target.log_name(),
                       .what = message,
                       .history = target.history(),
                       .on_result = on_published,
                       .data = nullptr});
}

ngx_int_t close_via_redis(ngx_http_request_t *r, std::string_view name,
                          std::string_view close_payload) noexcept
{
    return publish(r,
                   {.kind = publish_kind::transient,
                    .name = name,
                    .what = {.payload = std::as_bytes(std::span(close_payload)),
                             .time = worker_bus::now(),
                             .kind = kind_close_all,
                             .transient = true},
                    .history = {},
                    .on_result = on_closed,
                    .data = nullptr});
}

ngx_int_t describe_via_redis(ngx_http_request_t *r,
                             const resource &target) noexcept
{
    return publish(r, {.kind = publish_kind::query,
                       .name = target.log_name(),
                       .what = {},
                       .history = target.history(),
                       .on_result = on_described,
                       .data = nullptr});
}

} // namespace websocket::nginx
