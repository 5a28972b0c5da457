// Reads messages from bodies of requests, and publishes them.
#include "nginx/publish/posted_message.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/publish/via_redis.hpp"
#include "nginx/request/body.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/resource/message_user.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/text/tokens.hpp"
#include "protocol/text/utf8.hpp"

namespace websocket::nginx {

namespace {

ngx_int_t reject_too_large(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                          "the body is larger than "
                          "websocket_max_message_size");
}

// RFC 9110 8.3.1: the type is case-insensitive; parameters are ignored
bool is_binary(const ngx_http_request_t *r) noexcept
{
    if (r->headers_in.content_type == nullptr) {
        return false;
    }

    const std::string_view value = view(r->headers_in.content_type->value);

    return protocol::equals_ignoring_case(
        protocol::trim_white_space(value.substr(0, value.find(';'))),
        "application/octet-stream");
}

ngx_int_t publish_locally(ngx_http_request_t *r, resource &target,
                          const broker::publication &message) noexcept
{
    const broker::append_result done = target.append(message);

    if (done.result == broker::outcome::done) {
        return send_published(r, done.id, done.clients);
    }

    return done.result == broker::outcome::no_memory &&
                   !worker_bus::broker().fits(message.payload.size())
               ? reject_never_fits(r)
               : reject_append(r, done.result);
}

// RFC 9110 8.4: clients would get the encoded bytes without the header field.
bool is_encoded(const ngx_http_request_t *r) noexcept
{
    bool encoded = false;

    each_header(r, [&encoded](const ngx_table_elt_t &header) {
        if (!protocol::equals_ignoring_case(view(header.key),
                                            "Content-Encoding")) {
            return;
        }

        for (const std::string_view name :
             protocol::token_list(view(header.value))) {
            encoded =
                encoded || !protocol::equals_ignoring_case(name, "identity");
        }
    });

    return encoded;
}

ngx_int_t reject_encoding(ngx_http_request_t *r) noexcept
{
    if (!add_header(r, "Accept-Encoding", "identity")) { // RFC 9110 15.5.16
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return reject_publish(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                          "the body has a Content-Encoding");
}

} // namespace

ngx_int_t reject_no_resource(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                          "the handler failed to create the resource");
}

ngx_int_t read_message(ngx_http_request_t *r,
                       ngx_http_client_body_handler_pt on_read) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);

    if (is_encoded(r)) {
        return reject_encoding(r);
    }

    if (r->headers_in.content_length_n >
        static_cast<off_t>(conf.max_message_size)) {
        return reject_too_large(r);
    }

    const ngx_int_t rc = ngx_http_read_client_request_body(r, on_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

std::optional<ngx_int_t> take_message(ngx_http_request_t *r,
                                      posted_message &message)
{
    const auto &conf = *location_conf<location_configuration>(r);

    if (!body_is_whole(r)) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST,
                              "the request body is incomplete");
    }

    if (body_size(r) > static_cast<off_t>(conf.max_message_size)) {
        return reject_too_large(r);
    }

    const auto body = whole_body(r);

    if (!body) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    message = {*body, static_cast<std::uint8_t>(is_binary(r) ? WEBSOCKET_BINARY
                                                             : WEBSOCKET_TEXT)};

    return message.kind == WEBSOCKET_TEXT && !protocol::is_valid_utf8(*body)
               ? std::optional(reject_publish(r, NGX_HTTP_BAD_REQUEST,
                                              "the text is not UTF-8"))
               : std::nullopt;
}

// The resource is not permanent, even if the key has no variables: without
// clients it is destroyed after the call, so this location's parameters do not
// become those of later clients.
ngx_int_t publish_posted(ngx_http_request_t *r, const resource_id &id,
                         const resource_settings &settings,
                         const posted_message &message, std::string_view user)
{
    // Redis would assign an id, and no host could store the message
    if (backplane::enabled() &&
        !worker_bus::broker().fits(message.payload.size())) {
        return reject_never_fits(r);
    }

    resource *target = resource::get_or_create(id, settings, false);

    if (target == nullptr) {
        return reject_no_resource(r);
    }

    const stored_publication stored({.payload = message.payload,
                                     .time = worker_bus::now(),
                                     .kind = message.kind},
                                    user);

    target->retain();
    const ngx_int_t rc = !stored ? NGX_HTTP_INTERNAL_SERVER_ERROR
                         : backplane::enabled()
                             ? publish_via_redis(r, *target, stored.get())
                             : publish_locally(r, *target, stored.get());
    target->release();
    return rc;
}

} // namespace websocket::nginx
