// Requests that wait for a reply of Redis.
#include "nginx/publish/via_redis.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/publish/waiting_request.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <utility>
#include <string>

namespace websocket::nginx {

namespace {

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
