// Validates the opening handshake, sends the response, and starts a session.
#include "nginx/upgrade/upgrade.hpp"

#include "nginx/backend/connect.hpp"
#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/identity/identity.hpp"
#include "nginx/output/event_bytes.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "nginx/upgrade/admission.hpp"
#include "nginx/subscriptions/allowed_rooms.hpp"
#include "nginx/upgrade/event_stream.hpp"
#include "nginx/upgrade/location_key.hpp"
#include "nginx/upgrade/negotiation.hpp"
#include "nginx/upgrade/stream_post.hpp"
#include "nginx/upgrade/sync_wait.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/handshake/handshake.hpp"

#include <optional>

namespace websocket::nginx {

namespace {

// The resource of a key without variables is kept, as the key will be used
// again.
resource *find_resource(const location_configuration &conf,
                        const ngx_str_t &key) noexcept
{
    return resource::get_or_create({conf.handler, view(key)}, *conf.terms,
                                   conf.key == nullptr ||
                                       conf.key->lengths == nullptr);
}

// Asks the handler whether to accept the client. Returns 101, or the status
// with which to reject it.
ngx_uint_t handler_status(ngx_http_request_t *r,
                          const resource &target) noexcept
{
    const auto ask = target.handler().client_connecting;

    if (ask == nullptr) {
        return NGX_HTTP_SWITCHING_PROTOCOLS;
    }

    const unsigned status =
        ask(target.object(), reinterpret_cast<websocket_request_t *>(r));

    return status == NGX_HTTP_SWITCHING_PROTOCOLS ||
                   (status >= 400 && status <= 599)
               ? status
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t send_switching_header(ngx_http_request_t *r) noexcept
{
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->keepalive = 0;   // frames follow, not HTTP
    r->header_only = 1; // otherwise nginx delays the header until the body
    return ngx_http_send_header(r);
}

// Sends the header and hands the request over to the session. The session
// starts after the current event of nginx, because it must not use the request
// inside one of the request's handlers.
ngx_int_t hand_over(ngx_http_request_t *r, session &client,
                    const negotiated_options &options) noexcept
{
    const ngx_int_t rc = options.event_stream ? send_event_stream_header(r)
                                              : send_switching_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        write_log(NGX_LOG_INFO, r->connection->log,
                  "websocket: the handshake response could not be sent");
        client.cancel();
        return rc;
    }

    counters::add(counters::accepted);
    r->main->count++;
    client.post_start();
    return NGX_DONE;
}

// Whether the client joins its resource at once, or when Redis is back.
enum class joins : bool { at_once, later };

ngx_int_t accept(ngx_http_request_t *r, resource &target, ngx_str_t key,
                 const protocol::opening_handshake &handshake,
                 joins when) noexcept
{
    if (const auto user = backend::chosen_user(r);
        user && !set_user(r, *user)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (const ngx_uint_t status = handler_status(r, target);
        status != NGX_HTTP_SWITCHING_PROTOCOLS) {
        return reject_handshake(r, status, "the handler rejected the client");
    }

    const bool streams = wants_event_stream(r);
    const auto subprotocol = streams ? std::optional(event_stream_type)
                                     : choose_subprotocol(r, target, handshake);

    if (!subprotocol) {
        return reject_handshake(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                "the handler failed to select a subprotocol");
    }

    std::optional<std::uint64_t> position;

    if (const ngx_int_t rc =
            when == joins::later
                ? begin_waiting(r, target)
                : reserve_client(r, target, position.emplace());
        rc != NGX_OK) {
        return rc;
    }

    const negotiated_options options{
        *subprotocol,
        streams ? protocol::deflate_params{} : negotiate_deflate(r), streams};
    session *client = session::create(r, target, key, options, position);

    if (client == nullptr) {
        return reject_handshake(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                "the handler failed to create the client");
    }

    if (!evaluate_patterns(*client, r) ||
        (!streams && !add_upgrade_headers(r, handshake.key(), options))) {
        client->cancel();
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return hand_over(r, *client, options);
}

void on_sync(ngx_http_request_t *r, resource &target, bool in_sync);

// If Redis connects several hosts, the client is accepted once this host has
// all messages that the client may have received on another one.
ngx_int_t
accept_when_synced(ngx_http_request_t *r, resource &target, ngx_str_t key,
                   const protocol::opening_handshake &handshake) noexcept
{
    if (!backplane::enabled()) {
        return accept(r, target, key, handshake, joins::at_once);
    }

    const auto &conf = *location_conf<location_configuration>(r);

    if (const broker::outcome result = target.begin_waiting(*conf.terms);
        result != broker::outcome::done) {
        return reject_admission(r, result);
    }

    if (!target.in_sync()) {
        return wait_for_hosts(r, target, on_sync) == NGX_DONE
                   ? NGX_DONE
                   : reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "no memory to wait for Redis");
    }

    const ngx_int_t rc = accept(r, target, key, handshake, joins::at_once);
    target.end_waiting();
    return rc;
}

ngx_int_t validate_and_accept(ngx_http_request_t *r);

ngx_int_t
accept_handshake(ngx_http_request_t *r,
                 const protocol::opening_handshake &handshake) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    ngx_str_t key;

    // First, as the key may contain the user
    if (const ngx_int_t rc = identify(r); rc != NGX_OK) {
        return rc;
    }

    if (const ngx_int_t rc = resource_key(r, conf, key); rc != NGX_OK) {
        return rc;
    }

    if (!backend::has_accepted(r)) {
        const ngx_int_t rc = backend::ask(r, view(key), validate_and_accept);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    resource *target = find_resource(conf, key);

    if (target == nullptr) {
        return reject_handshake(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                "the handler failed to create the resource");
    }

    target->retain();
    const ngx_int_t rc = accept_when_synced(r, *target, key, handshake);
    target->release();
    return rc;
}

// Returns nothing if the request is a valid opening handshake, otherwise the
// value for the content handler to return.
std::optional<ngx_int_t>
validate_handshake(ngx_http_request_t *r,
                   protocol::opening_handshake &handshake) noexcept
{
    read_headers(r, handshake);

    if (const protocol::handshake_error reason =
            handshake.check(view(r->method_name), r->http_version);
        reason != protocol::handshake_error::none && !wants_event_stream(r)) {
        return reject_handshake(r, reason);
    }

    // nginx would replace the status 101 by that of the error
    if (r->err_status != 0) {
        return reject_handshake(r, upgrade_required,
                                "the status is set by error_page: use "
                                "\"error_page CODE = URI\"");
    }

    const request_origin origin{handshake.origin(), handshake.has_origin(),
                                handshake.origin_repeated()};

    if (!origin_allowed(r, *location_conf<location_configuration>(r), origin)) {
        return reject_handshake(r, NGX_HTTP_FORBIDDEN,
                                origin_refusal(r, origin));
    }

    // Without a master, nginx ends at once also if it is to quit
    if (ngx_exiting || ngx_terminate || ngx_quit) {
        const ngx_int_t rc = reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                              "this worker is shutting down");

        // A browser tries again on another connection. After a status it would
        // never ask for the stream again.
        return wants_event_stream(r) ? NGX_HTTP_CLOSE : rc;
    }

    return std::nullopt;
}

// Validates again, because conditions may have changed during the wait, and
// because `handshake` borrows texts of the request.
ngx_int_t resume(ngx_http_request_t *r, resource &target, joins when) noexcept
{
    protocol::opening_handshake handshake;
    ngx_str_t key;

    if (const auto refusal = validate_handshake(r, handshake); refusal) {
        return *refusal;
    }

    const ngx_int_t rc =
        resource_key(r, *location_conf<location_configuration>(r), key);

    return rc == NGX_OK ? accept(r, target, key, handshake, when) : rc;
}

void on_sync(ngx_http_request_t *r, resource &target, bool in_sync)
{
    const bool accepts = in_sync || backplane::accepted_timeout() != 0;

    const ngx_int_t rc =
        accepts ? resume(r, target, in_sync ? joins::at_once : joins::later)
                : reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "not in sync with the other hosts: Redis is "
                                   "unreachable or too slow");

    ngx_http_finalize_request(r, backend::end_refused(r, rc));
}

// Validates again, because conditions may have changed during the wait.
ngx_int_t validate_and_accept(ngx_http_request_t *r)
{
    protocol::opening_handshake handshake;
    const auto refusal = validate_handshake(r, handshake);

    return refusal ? *refusal : accept_handshake(r, handshake);
}

void handshake_body_read(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, validate_and_accept(r));
}

} // namespace

ngx_int_t upgrade_handler(ngx_http_request_t *r)
{
    if (r != r->main) {
        return reject_handshake(r, NGX_HTTP_BAD_REQUEST,
                                "a subrequest cannot be upgraded");
    }

    if (r->method == NGX_HTTP_POST &&
        location_conf<location_configuration>(r)->streams_events) {
        return stream_post_handler(r);
    }

    // RFC 9113 8.6: HTTP/2 has no Upgrade, and nginx no extended CONNECT
    if (session::shares_connection(r) && !wants_event_stream(r)) {
        return reject_handshake(r, upgrade_required,
                                "HTTP/2 and later have no upgrade");
    }

    if (!take_offered_token(r)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    protocol::opening_handshake handshake;

    if (const auto refusal = validate_handshake(r, handshake); refusal) {
        return *refusal;
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return accept_handshake(r, handshake);
    }

    // An unread body would be parsed as frames
    const ngx_int_t rc =
        ngx_http_read_client_request_body(r, handshake_body_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

} // namespace websocket::nginx
