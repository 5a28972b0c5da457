// Requests that wait for Redis.
#include "nginx/publish/via_redis.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <memory>
#include <new>
#include <string>

namespace websocket::nginx {

namespace {

// A request that waits. It may end before the answer comes.
struct waiting_request {
    ngx_http_request_t *r;
    ngx_http_cleanup_t *at_end;

    static void ended(void *data)
    {
        static_cast<waiting_request *>(data)->r = nullptr;
    }
};

// Null without memory.
std::unique_ptr<waiting_request> make_waiting(ngx_http_request_t *r) noexcept
{
    ngx_http_cleanup_t *at_end = ngx_http_cleanup_add(r, 0);
    std::unique_ptr<waiting_request> made(
        at_end == nullptr ? nullptr
                          : new (std::nothrow) waiting_request{r, at_end});

    if (made) {
        at_end->handler = waiting_request::ended;
        at_end->data = made.get();
    }

    return made;
}

// From here on the answer owns it.
ngx_int_t wait(std::unique_ptr<waiting_request> waiting) noexcept
{
    ngx_http_request_t *r = waiting.release()->r;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;
}

ngx_int_t give_up(std::unique_ptr<waiting_request> waiting) noexcept
{
    waiting->at_end->handler = nullptr;
    return not_reached(waiting->r);
}

// Calls `answer(r)` unless the request has ended.
template <class Answer>
void end_wait(void *data, Answer answer) noexcept
{
    const std::unique_ptr<waiting_request> waiting(
        static_cast<waiting_request *>(data));
    ngx_http_request_t *r = waiting->r;

    if (r == nullptr) {
        return;
    }

    ngx_connection_t *c = r->connection;

    waiting->at_end->handler = nullptr;
    ngx_http_finalize_request(r, answer(r));
    ngx_http_run_posted_requests(c);
}

void published(void *data, const publish_outcome &outcome) noexcept
{
    end_wait(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_published(r, outcome.id, outcome.clients)
                            : not_reached(r);
    });
}

void closed(void *data, const publish_outcome &outcome) noexcept
{
    end_wait(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_clients(r, outcome.clients) : not_reached(r);
    });
}

ngx_int_t send_known(ngx_http_request_t *r, const publish_outcome &what)
try {
    const broker::message_id last = what.id;

    return send_description(r, what.clients, what.messages,
                            last == broker::message_id{}
                                ? std::string()
                                : std::to_string(last.epoch) + "-" +
                                      std::to_string(last.sequence));
} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

void described(void *data, const publish_outcome &outcome) noexcept
{
    end_wait(data, [&outcome](ngx_http_request_t *r) {
        return outcome.done ? send_known(r, outcome) : not_reached(r);
    });
}

ngx_int_t publish(ngx_http_request_t *r, publish_order order) noexcept
{
    auto waiting = make_waiting(r);

    if (!waiting) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    order.data = waiting.get();
    order.counts_clients = true;
    return backplane::publish(order) ? wait(std::move(waiting))
                                     : give_up(std::move(waiting));
}

} // namespace

ngx_int_t publish_on_hosts(ngx_http_request_t *r, const resource &to,
                           const broker::publication &message) noexcept
{
    return publish(r, {.kind = publish_kind::stored,
                       .name = to.log_name(),
                       .what = message,
                       .history = to.history(),
                       .told = published,
                       .data = nullptr});
}

ngx_int_t close_on_hosts(ngx_http_request_t *r, std::string_view name,
                         std::string_view order) noexcept
{
    return publish(r, {.kind = publish_kind::passing,
                       .name = name,
                       .what = {.payload = std::as_bytes(std::span(order)),
                                .time = worker_bus::now(),
                                .kind = kind_close_all,
                                .transient = true},
                       .history = {},
                       .told = closed,
                       .data = nullptr});
}

ngx_int_t describe_on_hosts(ngx_http_request_t *r, const resource &of) noexcept
{
    return publish(r, {.kind = publish_kind::question,
                       .name = of.log_name(),
                       .what = {},
                       .history = of.history(),
                       .told = described,
                       .data = nullptr});
}

} // namespace websocket::nginx
