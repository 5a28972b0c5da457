// Checks who publishes by POST, and to which room.
#include "nginx/upgrade/stream_post.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/parameters.hpp"
#include "nginx/identity/identity.hpp"
#include "nginx/publish/direct_request.hpp"
#include "nginx/publish/posted_message.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/subscriptions/allowed_rooms.hpp"
#include "nginx/upgrade/location_key.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_text.hpp"

#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::nginx {

namespace {

struct destination {
    const websocket_handler_t *handler = nullptr;
    std::string key{};
    const resource_settings *settings = nullptr;
    parameter_list parameters{};
};

std::string_view parameter(const destination &to, std::string_view name)
{
    const websocket_text_t value = find_parameter(to.parameters, name);

    return {value.data, value.size};
}

// Sets the destination and returns nothing, or the result of a refusal.
std::optional<ngx_int_t> find_single_room(ngx_http_request_t *r,
                                          destination &to)
{
    const auto &conf = *location_conf<location_configuration>(r);
    ngx_str_t key;

    if (const ngx_int_t rc = resource_key(r, conf, key); rc != NGX_OK) {
        return rc;
    }

    to = {conf.handler, std::string(view(key)), conf.terms,
          parameters_of(conf)};
    return std::nullopt;
}

std::optional<ngx_int_t> find_named_room(ngx_http_request_t *r, destination &to)
{
    const auto &conf = *location_conf<location_configuration>(r);
    const auto patterns = patterns_of(conf.room_patterns);
    const auto values = values_of(patterns, r);
    const std::string name =
        detail::repaired_text(detail::form_decoded(argument(r, "room", "")));
    const room_pattern *pattern =
        name.empty() ? nullptr : pattern_of(patterns, values.get(), name);

    if (name.empty()) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST,
                              "the argument \"room\" names no room");
    }

    if (pattern == nullptr) {
        return reject_publish(
            r, NGX_HTTP_FORBIDDEN,
            "the name fits no websocket_rooms of this location");
    }

    to = {conf.handler->subscribed_handler, name, pattern->terms,
          pattern->parameters};
    return std::nullopt;
}

bool token_covers(ngx_http_request_t *r, std::string_view room) noexcept
{
    const identity *of = identity_of(r);

    return of != nullptr && of->token != nullptr && of->token->covers(room);
}

// A client of a WebSocket must be in the room, unless it has publish=open. So
// a publisher here must be allowed to join it.
std::optional<ngx_int_t> check_rules(ngx_http_request_t *r,
                                     const destination &to)
{
    if (parameter(to, "publish") == "off") {
        return reject_publish(r, NGX_HTTP_FORBIDDEN,
                              "clients do not publish in this room");
    }

    if (parameter(to, "access") == "token" && !token_covers(r, to.key)) {
        return reject_publish(r, NGX_HTTP_FORBIDDEN,
                              "the token does not cover this room");
    }

    if (resource::log_name({to.handler, to.key}).size() >
        broker::max_name_size) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, "the key is too long");
    }

    return std::nullopt;
}

std::optional<ngx_int_t> find_destination(ngx_http_request_t *r,
                                          destination &to)
{
    const auto &conf = *location_conf<location_configuration>(r);

    // A page of another site could use the visitor's cookies to publish
    if (const request_origin origin = find_origin(r);
        !origin_allowed(r, conf, origin)) {
        return reject_publish(r, NGX_HTTP_FORBIDDEN, origin_refusal(r, origin));
    }

    if (!worker_bus::running()) {
        return reject_append(r, broker::outcome::gone);
    }

    // First, as names may contain the user
    if (const ngx_int_t rc = identify(r); rc != NGX_OK) {
        return rc;
    }

    const auto refusal = conf.handler->subscribed_handler != nullptr
                             ? find_named_room(r, to)
                             : find_single_room(r, to);

    return refusal ? refusal : check_rules(r, to);
}

bool accepts(const location_configuration &conf, std::uint8_t kind) noexcept
{
    return (conf.accepted_kinds &
            (kind == WEBSOCKET_TEXT ? accepts_text : accepts_binary)) != 0;
}

ngx_int_t publish_body(ngx_http_request_t *r)
{
    const auto &conf = *location_conf<location_configuration>(r);
    destination to;
    posted_message message;

    if (const auto refusal = find_destination(r, to); refusal) {
        return *refusal;
    }

    if (const auto refusal = take_message(r, message); refusal) {
        return *refusal;
    }

    // Those of `rooms` are in an object, which is text
    if (to.handler == conf.handler && !accepts(conf, message.kind)) {
        return reject_publish(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                              "this kind of message is not accepted");
    }

    const identity *of = identity_of(r);

    return publish_posted(r, {to.handler, to.key}, *to.settings, message,
                          of == nullptr ? std::string_view{} : of->user);
}

// Checks again, since conditions may have changed while the body arrived.
void body_read(ngx_http_request_t *r)
{
    ngx_int_t rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    try {
        rc = publish_body(r);
    } catch (const std::bad_alloc &) {}

    ngx_http_finalize_request(r, rc);
}

} // namespace

ngx_int_t stream_post_handler(ngx_http_request_t *r)
try {
    destination to;
    const auto refusal = find_destination(r, to);

    return refusal ? *refusal : read_message(r, body_read);

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

} // namespace websocket::nginx
