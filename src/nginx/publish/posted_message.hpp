// A message that is the body of a POST.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/resource.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::nginx {

struct posted_message {
    std::span<const std::byte> payload{}; // in the request's pool
    std::uint8_t kind = 0;                // of websocket_plugin.h
};

// Reads the body, unless it is refused at once. Returns the result of a content
// handler.
ngx_int_t read_message(ngx_http_request_t *r,
                       ngx_http_client_body_handler_pt on_read) noexcept;

// Sets the message of a body that was read, and returns nothing; or the result
// of a refusal. Throws std::bad_alloc.
std::optional<ngx_int_t> take_message(ngx_http_request_t *r,
                                      posted_message &message);

// Publishes a message of a user, or of nobody, and answers with its id. Returns
// the result of a content handler. Throws std::bad_alloc.
ngx_int_t publish_posted(ngx_http_request_t *r, const resource_id &id,
                         const resource_settings &settings,
                         const posted_message &message, std::string_view user);

// Returns the result of a content handler.
ngx_int_t reject_no_resource(ngx_http_request_t *r) noexcept;

} // namespace websocket::nginx
