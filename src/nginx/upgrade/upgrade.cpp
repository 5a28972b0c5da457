// Judges the opening handshake, answers it, and posts the upgrade.
#include "nginx/upgrade/upgrade.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "nginx/upgrade/negotiation.hpp"
#include "nginx/upgrade/sync_wait.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/handshake.hpp"

#include <optional>

namespace websocket::nginx {

namespace {

// The key of the resource, in memory of the request's. NGX_OK, or what a
// content handler returns of the refusal.
ngx_int_t resource_key(ngx_http_request_t *r,
                       const location_configuration &conf,
                       ngx_str_t &key) noexcept
{
    if (conf.key == nullptr) {
        key = static_cast<ngx_http_core_loc_conf_t *>(
                  ngx_http_get_module_loc_conf(r, ngx_http_core_module))
                  ->name;
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, conf.key, &key) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    // All who leave it out would meet in one resource
    return key.len == 0 ? refused(r, NGX_HTTP_BAD_REQUEST, "the key is empty")
                        : NGX_OK;
}

// A key without variables comes again: its resource stays.
resource *find_resource(const location_configuration &conf,
                        const ngx_str_t &key) noexcept
{
    return resource::find_or_make({conf.handler, view(key)}, *conf.terms,
                                  conf.key == nullptr ||
                                      conf.key->lengths == nullptr);
}

// The handler's word on the client: 101, or the status that refuses it.
ngx_uint_t ask_handler(ngx_http_request_t *r, const resource &joined) noexcept
{
    const auto ask = joined.handler().client_connecting;

    if (ask == nullptr) {
        return NGX_HTTP_SWITCHING_PROTOCOLS;
    }

    const unsigned status =
        ask(joined.object(), reinterpret_cast<websocket_request_t *>(r));

    return status == NGX_HTTP_SWITCHING_PROTOCOLS ||
                   (status >= 400 && status <= 599)
               ? status
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t not_admitted(ngx_http_request_t *r, broker::outcome why) noexcept
{
    switch (why) {
    case broker::outcome::full:
        return refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "there are websocket_max_clients already");
    case broker::outcome::no_room:
        return refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "no room in websocket_shared_memory");
    case broker::outcome::name_too_long:
        return refused(r, NGX_HTTP_BAD_REQUEST, "the key is too long");
    default:
        return refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "this worker has no place among the workers");
    }
}

// Counts the client over all workers. NGX_OK, or what a content handler
// returns of the refusal.
ngx_int_t admit(ngx_http_request_t *r, resource &joined,
                std::uint64_t &position) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    const broker::outcome result = joined.admit(
        *conf.terms, static_cast<std::uint32_t>(conf.max_clients), position);

    return result == broker::outcome::done ? NGX_OK : not_admitted(r, result);
}

// Answers 101 and leaves the request to the session, which starts when this
// event of nginx's is over: the request must not be touched inside a handler
// of it.
ngx_int_t send_switching(ngx_http_request_t *r, session &made) noexcept
{
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->keepalive = 0;   // what follows is not HTTP
    r->header_only = 1; // without it the header waits for a body

    const ngx_int_t rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        write_log(NGX_LOG_INFO, r->connection->log,
                  "websocket: the handshake could not be answered");
        made.give_up();
        return rc;
    }

    counters::add(counters::accepted);
    r->main->count++;
    made.post_start();
    return NGX_DONE;
}

ngx_int_t accept_into(ngx_http_request_t *r, resource &joined, ngx_str_t key,
                      const protocol::opening_handshake &handshake) noexcept
{
    if (const ngx_uint_t status = ask_handler(r, joined);
        status != NGX_HTTP_SWITCHING_PROTOCOLS) {
        return refused(r, status, "the handler does not accept the client");
    }

    const auto subprotocol = choose_subprotocol(r, joined, handshake);

    if (!subprotocol) {
        return refused(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                       "the handler could not choose a subprotocol");
    }

    std::uint64_t position = 0;

    if (const ngx_int_t rc = admit(r, joined, position); rc != NGX_OK) {
        return rc;
    }

    const agreed_terms terms{*subprotocol, agree_on_deflate(r)};
    session *made = session::create(r, joined, key, terms, position);

    if (made == nullptr) {
        return refused(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                       "the handler could not make the client");
    }

    if (!add_upgrade_headers(r, handshake.key(), terms)) {
        made->give_up();
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return send_switching(r, *made);
}

void hosts_are_in_sync(ngx_http_request_t *r, resource &joined, bool in_sync);

// Where other hosts have clients of the resource too, a client is admitted
// when this one has all that it may have seen there.
ngx_int_t enter(ngx_http_request_t *r, resource &joined, ngx_str_t key,
                const protocol::opening_handshake &handshake) noexcept
{
    if (!backplane::used()) {
        return accept_into(r, joined, key, handshake);
    }

    const auto &conf = *location_conf<location_configuration>(r);

    if (const broker::outcome result = joined.begin_waiting(*conf.terms);
        result != broker::outcome::done) {
        return not_admitted(r, result);
    }

    if (!joined.in_sync()) {
        return wait_for_hosts(r, joined, hosts_are_in_sync);
    }

    const ngx_int_t rc = accept_into(r, joined, key, handshake);
    joined.end_waiting();
    return rc;
}

ngx_int_t accept(ngx_http_request_t *r,
                 const protocol::opening_handshake &handshake) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    ngx_str_t key;

    if (const ngx_int_t rc = resource_key(r, conf, key); rc != NGX_OK) {
        return rc;
    }

    resource *joined = find_resource(conf, key);

    if (joined == nullptr) {
        return refused(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                       "the handler could not make the resource");
    }

    joined->hold();
    const ngx_int_t rc = enter(r, *joined, key, handshake);
    joined->let_go();
    return rc;
}

// Nothing if the request is an opening handshake that may be accepted, else
// what a content handler returns of the refusal.
std::optional<ngx_int_t> judge(ngx_http_request_t *r,
                               protocol::opening_handshake &handshake) noexcept
{
    read_headers(r, handshake);

    if (const protocol::handshake_error reason =
            handshake.check(view(r->method_name), r->http_version);
        reason != protocol::handshake_error::none) {
        return refused(r, reason);
    }

    // nginx would put the status of the error into the answer
    if (r->err_status != 0) {
        return refused(r, upgrade_required,
                       "an error page that keeps its status has no upgrade");
    }

    const request_origin origin{handshake.origin(), handshake.has_origin(),
                                handshake.origin_repeated()};

    if (!origin_allowed(r, *location_conf<location_configuration>(r), origin)) {
        return refused(r, NGX_HTTP_FORBIDDEN, origin_refusal(r, origin));
    }

    if (ngx_exiting || ngx_terminate) {
        return refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "this worker is shutting down");
    }

    return std::nullopt;
}

// What was right before the wait may have changed, and the text of the
// handshake was read where it is now.
ngx_int_t after_wait(ngx_http_request_t *r, resource &joined) noexcept
{
    protocol::opening_handshake handshake;
    ngx_str_t key;

    if (const auto refusal = judge(r, handshake); refusal) {
        return *refusal;
    }

    const ngx_int_t rc =
        resource_key(r, *location_conf<location_configuration>(r), key);

    return rc == NGX_OK ? accept_into(r, joined, key, handshake) : rc;
}

void hosts_are_in_sync(ngx_http_request_t *r, resource &joined, bool in_sync)
{
    ngx_http_finalize_request(
        r, in_sync ? after_wait(r, joined)
                   : refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "the other hosts are out of reach"));
}

// The body has taken its time: what was right before it may have changed.
void handshake_body_read(ngx_http_request_t *r)
{
    protocol::opening_handshake handshake;
    const std::optional<ngx_int_t> refusal = judge(r, handshake);

    ngx_http_finalize_request(r, refusal ? *refusal : accept(r, handshake));
}

bool has_body(const ngx_http_request_t *r) noexcept
{
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

} // namespace

ngx_int_t answer_handshake(ngx_http_request_t *r)
{
    if (r != r->main) {
        return refused(r, NGX_HTTP_BAD_REQUEST,
                       "a subrequest cannot be upgraded");
    }

    // RFC 9113 8.6: HTTP/2 has no Upgrade, and nginx no extended CONNECT
    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return refused(r, upgrade_required, "HTTP/2 and later have no upgrade");
    }

    protocol::opening_handshake handshake;

    if (const auto refusal = judge(r, handshake); refusal) {
        return *refusal;
    }

    if (!has_body(r)) {
        return accept(r, handshake);
    }

    // Else the body would be taken for frames
    const ngx_int_t rc =
        ngx_http_read_client_request_body(r, handshake_body_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

} // namespace websocket::nginx
