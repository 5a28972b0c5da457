// A handler may use its client's request longer than nginx keeps it. So the
// handle is the session's address, made odd as a tag. During the handshake,
// before the session exists, the handle is nginx's request.
#include "nginx/plugin/request_api.hpp"

#include "nginx/output/event_bytes.hpp"
#include "nginx/session/session.hpp"
#include "nginx/upgrade/event_stream.hpp"
#include "nginx/upgrade/negotiation.hpp"
#include "protocol/text/tokens.hpp"

#include <cstdint>

namespace websocket::nginx {

namespace {

constexpr std::ptrdiff_t session_tag = 1;

// Null if the handle is nginx's request.
const session *session_of(const websocket_request_t *request) noexcept
{
    return reinterpret_cast<std::uintptr_t>(request) % alignof(session) !=
                   session_tag
               ? nullptr
               : reinterpret_cast<const session *>(
                     reinterpret_cast<const char *>(request) - session_tag);
}

// Null once the request is released.
ngx_http_request_t *request_of(const websocket_request_t *request) noexcept
{
    const session *owner = session_of(request);

    return owner != nullptr ? owner->request()
                            : reinterpret_cast<ngx_http_request_t *>(
                                  const_cast<websocket_request_t *>(request));
}

} // namespace

const websocket_request_t *request_handle(const session &owner) noexcept
{
    return reinterpret_cast<const websocket_request_t *>(
        reinterpret_cast<const char *>(&owner) + session_tag);
}

websocket_text_t request_uri(const websocket_request_t *request) noexcept
{
    const session *owner = session_of(request);
    return owner != nullptr ? as_c(owner->uri())
                            : as_c(request_of(request)->uri);
}

websocket_text_t request_args(const websocket_request_t *request) noexcept
{
    const session *owner = session_of(request);
    return owner != nullptr ? as_c(owner->args())
                            : as_c(request_of(request)->args);
}

websocket_text_t request_header(const websocket_request_t *request,
                                websocket_text_t name) noexcept
{
    const ngx_http_request_t *r = request_of(request);

    if (r == nullptr) {
        return {nullptr, 0};
    }

    for (auto *part = &r->headers_in.headers.part; part != nullptr;
         part = part->next) {
        const std::span headers{static_cast<ngx_table_elt_t *>(part->elts),
                                part->nelts};

        for (const ngx_table_elt_t &header : headers) {
            if (protocol::equals_ignoring_case(view(header.key),
                                               text_of(name))) {
                return as_c(header.value);
            }
        }
    }

    return {nullptr, 0};
}

websocket_text_t
request_remote_address(const websocket_request_t *request) noexcept
{
    const session *owner = session_of(request);
    return owner != nullptr ? as_c(owner->remote_address())
                            : as_c(request_of(request)->connection->addr_text);
}

websocket_text_t
request_subprotocol(const websocket_request_t *request) noexcept
{
    if (const session *owner = session_of(request); owner != nullptr) {
        return as_c(owner->subprotocol());
    }

    return wants_event_stream(request_of(request))
               ? as_c(event_stream_type)
               : websocket_text_t{nullptr, 0};
}

websocket_text_t
request_preferred_subprotocol(const websocket_request_t *request) noexcept
{
    ngx_http_request_t *r = request_of(request);

    return r == nullptr ? websocket_text_t{nullptr, 0}
                        : as_c(preferred_subprotocol(r));
}

websocket_text_t request_parameter(const websocket_request_t *request,
                                   websocket_text_t name) noexcept
{
    const session *owner = session_of(request);
    const location_configuration &conf =
        owner != nullptr
            ? owner->configuration()
            : *location_conf<location_configuration>(request_of(request));

    return find_parameter(parameters_of(conf), text_of(name));
}

websocket_text_t request_user(const websocket_request_t *request) noexcept
{
    if (const session *owner = session_of(request); owner != nullptr) {
        return as_c(owner->user());
    }

    const identity *of = identity_of(request_of(request));

    return of == nullptr ? as_c(std::string_view{}) : as_c(of->user);
}

websocket_text_t request_variable(const websocket_request_t *request,
                                  websocket_text_t name) noexcept
{
    if (const session *owner = session_of(request); owner != nullptr) {
        const auto text = owner->variable(text_of(name));
        return text ? as_c(*text) : websocket_text_t{nullptr, 0};
    }

    // Only during the handshake: the request's pool suffices
    ngx_http_request_t *r = request_of(request);
    auto *lowered = static_cast<u_char *>(ngx_pnalloc(r->pool, name.size));

    if (lowered == nullptr) {
        return {nullptr, 0};
    }

    ngx_str_t known = borrowed(text_of(name));
    const ngx_uint_t key = ngx_hash_strlow(lowered, known.data, known.len);
    known.data = lowered;

    const ngx_http_variable_value_t *value =
        ngx_http_get_variable(r, &known, key);

    return value == nullptr || value->not_found
               ? websocket_text_t{nullptr, 0}
               : websocket_text_t{reinterpret_cast<char *>(value->data),
                                  value->len};
}

} // namespace websocket::nginx
