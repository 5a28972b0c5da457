// Responses to publishers: JSON, and rejections.
#include "nginx/publish/response.hpp"

#include "nginx/request/refusal.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>
#include <string>

namespace websocket::nginx {

ngx_int_t send_json(ngx_http_request_t *r, std::string_view json) noexcept
{
    auto *copy = static_cast<u_char *>(ngx_pnalloc(r->pool, json.size()));

    // RFC 9111 5.2.2.5: the values change at any time
    if (copy == nullptr || !add_header(r, "Cache-Control", "no-store")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_t type = ngx_string("application/json");
    ngx_http_complex_value_t body{};

    ngx_memcpy(copy, json.data(), json.size());
    body.value = {json.size(), copy};
    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &body);
}

ngx_int_t reject_publish(ngx_http_request_t *r, ngx_uint_t status,
                         std::string_view reason) noexcept
{
    return reject_request(r, "publish request", status, reason);
}

ngx_int_t reject_never_fits(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_INSUFFICIENT_STORAGE,
                          "the message is larger than websocket_room_memory "
                          "or half of websocket_shared_memory");
}

ngx_int_t reject_append(ngx_http_request_t *r, broker::outcome result) noexcept
{
    return result == broker::outcome::no_memory
               ? reject_publish(r, NGX_HTTP_INSUFFICIENT_STORAGE,
                                "websocket_shared_memory is full")
               : reject_publish(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                worker_bus::no_slot);
}

ngx_int_t reject_unreachable(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "other hosts are unreachable");
}

ngx_int_t send_published(ngx_http_request_t *r, broker::message_id id,
                         std::uint32_t clients) noexcept
try {
    counters::add(counters::published);
    return send_json(r, R"({"id":")" + to_string(id) + R"(","clients":)" +
                            std::to_string(clients) + "}");
} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t send_client_count(ngx_http_request_t *r,
                            std::uint32_t clients) noexcept
try {
    return send_json(r, R"({"clients":)" + std::to_string(clients) + "}");
} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t send_description(ngx_http_request_t *r, std::uint64_t clients,
                           std::uint64_t messages,
                           broker::message_id last) noexcept
try {
    // "0" stands for the start of the log
    const std::string id =
        last == broker::message_id{} ? std::string("0") : to_string(last);

    return send_json(r, R"({"clients":)" + std::to_string(clients) +
                            R"(,"messages":)" + std::to_string(messages) +
                            R"(,"last":")" + id + R"("})");
} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

} // namespace websocket::nginx
