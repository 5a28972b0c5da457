// Answers as JSON, and refusals.
#include "nginx/publish/response.hpp"

#include "nginx/request/refusal.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <array>

namespace websocket::nginx {

namespace {

// Larger than any answer, whatever the numbers in it.
using response_buffer = std::array<u_char, 160>;

ngx_int_t send_json(ngx_http_request_t *r, const response_buffer &text,
                    const u_char *end) noexcept
{
    const auto size = static_cast<std::size_t>(end - text.data());
    auto *copy = static_cast<u_char *>(ngx_pnalloc(r->pool, size));

    // RFC 9111 5.2.2.5: the figures are of this moment
    if (copy == nullptr || !add_header(r, "Cache-Control", "no-store")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_t type = ngx_string("application/json");
    ngx_http_complex_value_t body{};

    ngx_memcpy(copy, text.data(), size);
    body.value = {size, copy};
    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &body);
}

} // namespace

// Says why at info; returns what the content handler returns.
ngx_int_t reject_publish(ngx_http_request_t *r, ngx_uint_t status,
                         std::string_view why) noexcept
{
    return reject_request(r, "publish request", status, why);
}

ngx_int_t reject_never_fits(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_INSUFFICIENT_STORAGE,
                          "the message is larger than websocket_room_memory "
                          "or half of websocket_shared_memory");
}

ngx_int_t reject_append(ngx_http_request_t *r, broker::outcome why) noexcept
{
    return why == broker::outcome::no_memory
               ? reject_publish(r, NGX_HTTP_INSUFFICIENT_STORAGE,
                                "no room in websocket_shared_memory")
               : reject_publish(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                worker_bus::no_slot);
}

ngx_int_t reject_unreachable(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "the other hosts are out of reach");
}

ngx_int_t send_published(ngx_http_request_t *r, broker::message_id id,
                         std::uint32_t clients) noexcept
{
    response_buffer text;

    counters::add(counters::published);
    return send_json(r, text,
                     ngx_snprintf(text.data(), text.size(),
                                  "{\"id\":\"%uL-%uL\",\"clients\":%uD}",
                                  id.epoch, id.sequence, clients));
}

ngx_int_t send_client_count(ngx_http_request_t *r,
                            std::uint32_t clients) noexcept
{
    response_buffer text;

    return send_json(
        r, text,
        ngx_snprintf(text.data(), text.size(), "{\"clients\":%uD}", clients));
}

ngx_int_t send_description(ngx_http_request_t *r, std::uint64_t clients,
                           std::uint64_t messages,
                           std::string_view last) noexcept
{
    response_buffer text;
    const ngx_str_t id = borrowed(last.empty() ? "0" : last);

    return send_json(r, text,
                     ngx_snprintf(text.data(), text.size(),
                                  "{\"clients\":%uL,\"messages\":%uL,"
                                  "\"last\":\"%V\"}",
                                  clients, messages, &id));
}

} // namespace websocket::nginx
