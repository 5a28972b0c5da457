// The content handler of websocket_publish: POST publishes the request body,
// GET describes the resource, DELETE closes its clients.
#include "nginx/publish/publish.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/publish/close_payload.hpp"
#include "nginx/publish/direct_request.hpp"
#include "nginx/publish/posted_message.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/publish/via_redis.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_text.hpp"

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::nginx {

namespace {

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

ngx_int_t publish_message(ngx_http_request_t *r, const address &to)
{
    const auto &conf = *location_conf<location_configuration>(r);
    posted_message message;

    if (const auto refusal = take_message(r, message); refusal) {
        return *refusal;
    }

    return to.target
               ? send_to_target(r, *to.target, message.kind, message.payload)
               : publish_posted(r, to.id, *conf.terms, message, {});
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
        return read_message(r, publish_body_read);
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
