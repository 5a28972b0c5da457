// The content handler of websocket_publish: POST publishes the request body,
// GET describes the resource, DELETE closes its clients.
#include "nginx/publish/publish.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/publish/close_payload.hpp"
#include "nginx/publish/direct_request.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/publish/via_redis.hpp"
#include "nginx/request/body.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/text/tokens.hpp"
#include "protocol/text/utf8.hpp"
#include "sdk/websocket_text.hpp"

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::nginx {

namespace {

ngx_int_t reject_too_large(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                          "the body is larger than "
                          "websocket_max_message_size");
}

/*
 * The request
 */

// The resource, and the one client or user in it that the request is for.
struct address {
    resource_id id{}; // the key is in the request's pool
    std::optional<direct_target> target{};
};

// Sets the address and returns nothing. If the request is rejected, returns the
// result for nginx.
std::optional<ngx_int_t> validate_request(ngx_http_request_t *r, address &to)
{
    std::string_view error;
    resource_id &id = to.id;
    ngx_str_t key;

    // A page of another site could use the visitor's cookies to publish
    if (const request_origin origin = find_origin(r);
        !origin_allowed(r, *location_conf<location_configuration>(r), origin)) {
        return reject_publish(r, NGX_HTTP_FORBIDDEN, origin_refusal(r, origin));
    }

    if (!worker_bus::running()) {
        return reject_append(r, broker::outcome::gone);
    }

    if (published_key(r, key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    id = {location_conf<location_configuration>(r)->handler, view(key)};

    to.target = find_target(r, id, error);

    if (!error.empty()) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, error);
    }

    if (key.len == 0 && !to.target && !wants_presence(r)) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, "the key is empty");
    }

    if (resource::log_name(id).size() > broker::max_name_size) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, "the key is too long");
    }

    return std::nullopt;
}

ngx_int_t reject_method(ngx_http_request_t *r) noexcept
{
    if (!add_header(r, "Allow", "GET, HEAD, POST, DELETE")) { // RFC 9110 15.5.6
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return reject_publish(r, NGX_HTTP_NOT_ALLOWED,
                          "the method is not GET, HEAD, POST or DELETE");
}

/*
 * POST
 */

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

ngx_int_t reject_no_resource(ngx_http_request_t *r) noexcept
{
    return reject_publish(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                          "the handler failed to create the resource");
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

// The resource is not permanent, even if the key has no variables: without
// clients it is destroyed after the call, so this location's parameters do not
// become those of later clients.
ngx_int_t publish_message(ngx_http_request_t *r, const address &to)
{
    const auto &conf = *location_conf<location_configuration>(r);
    const bool binary = is_binary(r);

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

    if (!binary && !protocol::is_valid_utf8(*body)) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, "the text is not UTF-8");
    }

    const std::uint8_t kind = binary ? WEBSOCKET_BINARY : WEBSOCKET_TEXT;

    if (to.target) {
        return send_to_target(r, *to.target, kind, *body);
    }

    // Redis would assign an id, and no host could store the message
    if (backplane::enabled() && !worker_bus::broker().fits(body->size())) {
        return reject_never_fits(r);
    }

    resource *target = resource::get_or_create(to.id, *conf.terms, false);

    if (target == nullptr) {
        return reject_no_resource(r);
    }

    const broker::publication message{
        .payload = *body, .time = worker_bus::now(), .kind = kind};

    target->retain();
    const ngx_int_t rc = backplane::enabled()
                             ? publish_via_redis(r, *target, message)
                             : publish_locally(r, *target, message);
    target->release();
    return rc;
}

// Validates again, since variables may have changed while the body arrived.
void publish_body_read(ngx_http_request_t *r)
{
    ngx_int_t rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    try {
        address to;
        const std::optional<ngx_int_t> refusal = validate_request(r, to);

        rc = refusal ? *refusal : publish_message(r, to);
    } catch (const std::bad_alloc &) {}

    ngx_http_finalize_request(r, rc);
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

ngx_int_t read_message(ngx_http_request_t *r) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);

    if (is_encoded(r)) {
        return reject_encoding(r);
    }

    if (r->headers_in.content_length_n >
        static_cast<off_t>(conf.max_message_size)) {
        return reject_too_large(r);
    }

    const ngx_int_t rc =
        ngx_http_read_client_request_body(r, publish_body_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

/*
 * GET and DELETE
 */

ngx_int_t describe_resource(ngx_http_request_t *r, const resource_id &id)
{
    if (!backplane::enabled()) {
        const broker::description log = worker_bus::broker().describe(
            resource::log_name(id), worker_bus::now());

        return send_description(r, log.clients, log.messages, log.last);
    }

    resource *target = resource::get_or_create(
        id, *location_conf<location_configuration>(r)->terms, false);

    if (target == nullptr) {
        return reject_no_resource(r);
    }

    target->retain();
    const ngx_int_t rc = describe_via_redis(r, *target);
    target->release();
    return rc;
}

ngx_int_t close_clients(ngx_http_request_t *r, const address &to)
{
    const std::string name = resource::log_name(to.id);
    std::string close_payload;

    if (const std::string_view error = read_close_payload(r, close_payload);
        !error.empty()) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST, error);
    }

    if (to.target) {
        return send_to_target(r, *to.target, kind_close_all,
                              std::as_bytes(std::span(close_payload)));
    }

    if (backplane::enabled()) {
        return close_via_redis(r, name, close_payload);
    }

    // append() would create a log without the handler's history limits
    if (worker_bus::broker().describe(name, worker_bus::now()).clients == 0) {
        return send_client_count(r, 0);
    }

    const broker::append_result done = worker_bus::broker().append(
        name,
        {.payload = std::as_bytes(std::span(close_payload)),
         .time = worker_bus::now(),
         .kind = kind_close_all,
         .transient = true},
        {}, worker_bus::now());

    if (done.result != broker::outcome::done) {
        return reject_append(r, done.result);
    }

    worker_bus::wake(done.wake);
    return send_client_count(r, done.clients);
}

} // namespace

ngx_int_t publish_handler(ngx_http_request_t *r)
try {
    constexpr ngx_uint_t allowed_methods =
        NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_POST | NGX_HTTP_DELETE;
    address to;

    if ((r->method & allowed_methods) == 0) {
        return reject_method(r);
    }

    if (const auto refusal = validate_request(r, to); refusal) {
        return *refusal;
    }

    switch (r->method) {
    case NGX_HTTP_POST:
        return read_message(r);
    case NGX_HTTP_DELETE:
        return close_clients(r, to);
    default:
        return to.target           ? describe_target(r, *to.target)
               : wants_presence(r) ? describe_users(r, to.id)
                                   : describe_resource(r, to.id);
    }

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

// The key may contain $websocket_resource, whose value is the key: a nested
// call is declined.
ngx_int_t published_key(ngx_http_request_t *r, ngx_str_t &key) noexcept
{
    static bool evaluating = false;
    const auto &conf = *location_conf<location_configuration>(r);

    if (!conf.publishes || evaluating) {
        return NGX_DECLINED;
    }

    evaluating = true;
    const ngx_int_t rc = ngx_http_complex_value(r, conf.key, &key);
    evaluating = false;
    return rc;
}

} // namespace websocket::nginx
