// Fills in the request of an event: what nginx would have parsed.
#pragma once

#include "nginx/events/client_record.hpp"
#include "nginx/events/event_request.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <string_view>

namespace websocket::nginx::backend {

// Sets the request line, the header fields and the body. Texts of `from` and
// the bytes of the payload are borrowed until the request ends. False without
// memory.
bool fill_request(ngx_http_request_t *r, const client_record &from,
                  const event_data &event) noexcept;

// The text with "%XX" for all but unreserved characters, and a zero byte
// behind. Without memory `data` is null.
ngx_str_t percent_encoded(ngx_pool_t *pool, std::string_view text) noexcept;

} // namespace websocket::nginx::backend
