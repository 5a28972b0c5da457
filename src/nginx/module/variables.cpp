// The variables $websocket_*: decoded arguments of the request, and properties
// of the session for the access log.
//
// Without a session, properties are empty, except for the handler's name and,
// in a location with websocket_publish, the resource.
//
// In the request of an event, texts of the client are percent-encoded: a
// backend may get them in a header field, which a line break would end.
#include "nginx/module/variables.hpp"

#include "nginx/events/event_request.hpp"
#include "nginx/events/request_fields.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/publish/publish.hpp"
#include "nginx/session/session.hpp"
#include "protocol/text/utf8.hpp"
#include "sdk/websocket_text.hpp"

#include <array>
#include <bit>
#include <new>
#include <string>

namespace websocket::nginx {

namespace {

ngx_int_t absent(ngx_variable_value_t *v) noexcept
{
    v->not_found = 1;
    return NGX_OK;
}

ngx_int_t set_text(ngx_variable_value_t *v, std::string_view text) noexcept
{
    if (text.empty()) {
        return absent(v);
    }

    v->data = borrowed(text).data;
    v->len = static_cast<unsigned>(text.size());
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

ngx_int_t set_number(ngx_http_request_t *r, ngx_variable_value_t *v,
                     std::uint64_t number) noexcept
{
    auto *digits = static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT64_LEN));

    if (digits == nullptr) {
        return NGX_ERROR;
    }

    const u_char *end = ngx_sprintf(digits, "%uL", number);
    return set_text(v, {reinterpret_cast<char *>(digits),
                        static_cast<std::size_t>(end - digits)});
}

ngx_int_t get_handler(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    const auto *conf = location_conf<location_configuration>(r);

    return conf->handler == nullptr ? absent(v)
                                    : set_text(v, conf->handler->name);
}

ngx_int_t set_encoded(ngx_http_request_t *r, ngx_variable_value_t *v,
                      std::string_view text) noexcept
{
    const ngx_str_t encoded = backend::percent_encoded(r->pool, text);

    return encoded.data == nullptr ? NGX_ERROR : set_text(v, view(encoded));
}

ngx_int_t get_resource(ngx_http_request_t *r, ngx_variable_value_t *v,
                       uintptr_t)
{
    if (const auto *event = backend::event_request::of(r); event != nullptr) {
        return set_encoded(r, v, event->key());
    }

    if (const session *of = session::of(r); of != nullptr) {
        return set_text(v, of->key());
    }

    ngx_str_t key;

    return published_key(r, key) == NGX_OK ? set_text(v, view(key)) : absent(v);
}

ngx_int_t set_copy(ngx_http_request_t *r, ngx_variable_value_t *v,
                   std::string_view text) noexcept
{
    auto *copy = static_cast<char *>(ngx_pnalloc(r->pool, text.size()));

    if (copy == nullptr) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, text.data(), text.size());
    return set_text(v, {copy, text.size()});
}

// The rule that nginx has for paths: no zero byte.
bool may_name_a_resource(std::string_view text) noexcept
{
    return text.find('\0') == text.npos &&
           protocol::is_valid_utf8(std::as_bytes(std::span(text)));
}

constexpr std::string_view argument_prefix = "websocket_arg_";
constexpr std::string_view claim_prefix = "websocket_claim_";

// The first argument of that name, as $arg_ has it, but decoded in the way in
// which browsers encode forms, as handlers get it.
ngx_int_t get_argument(ngx_http_request_t *r, ngx_variable_value_t *v,
                       uintptr_t data)
try {
    const std::string_view name = view(*std::bit_cast<const ngx_str_t *>(data))
                                      .substr(argument_prefix.size());
    ngx_str_t encoded;

    if (name.empty() ||
        ngx_http_arg(r, borrowed(name).data, name.size(), &encoded) != NGX_OK) {
        return absent(v);
    }

    const std::string decoded = detail::form_decoded(view(encoded));

    if (!may_name_a_resource(decoded)) {
        return absent(v);
    }

    return backend::event_request::of(r) != nullptr ? set_encoded(r, v, decoded)
                                                    : set_copy(r, v, decoded);

} catch (const std::bad_alloc &) {
    return NGX_ERROR;
}

template <auto text_of>
ngx_int_t get_text(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    const session *of = session::of(r);

    return of == nullptr ? absent(v) : set_text(v, text_of(*of));
}

// Formats the text of the response again, as the session keeps only the
// parameters: they are smaller.
ngx_int_t get_extensions(ngx_http_request_t *r, ngx_variable_value_t *v,
                         uintptr_t)
{
    const session *of = session::of(r);

    if (of == nullptr || !of->deflate().agreed) {
        return absent(v);
    }

    return set_copy(r, v, protocol::deflate_response(of->deflate()).text());
}

template <auto number_of>
ngx_int_t get_number(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    const session *of = session::of(r);

    return of == nullptr ? absent(v) : set_number(r, v, number_of(*of));
}

template <auto member>
ngx_int_t get_counter(ngx_http_request_t *r, ngx_variable_value_t *v,
                      uintptr_t data)
{
    constexpr auto counter = [](const session &of) {
        return of.counters().*member;
    };
    return get_number<counter>(r, v, data);
}

constexpr auto subprotocol = [](const session &of) { return of.subprotocol(); };
constexpr auto close_by = [](const session &of) {
    return name_of(of.closed().by());
};

// Empty until a side closes the connection.
ngx_int_t get_close_code(ngx_http_request_t *r, ngx_variable_value_t *v,
                         uintptr_t)
{
    const session *of = session::of(r);

    return of == nullptr || of->closed().empty()
               ? absent(v)
               : set_number(r, v, of->closed().code());
}

// In the request of an event, the client that it is of.
ngx_int_t get_client(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    const auto *event = backend::event_request::of(r);
    const session *of = event == nullptr ? session::of(r) : nullptr;

    if (event != nullptr) {
        return set_number(r, v, event->client());
    }

    return of == nullptr ? absent(v) : set_number(r, v, of->id());
}

// A claim of the client's token.
ngx_int_t get_claim(ngx_http_request_t *r, ngx_variable_value_t *v,
                    uintptr_t data)
{
    const std::string_view name = view(*std::bit_cast<const ngx_str_t *>(data))
                                      .substr(claim_prefix.size());
    const session *of = session::of(r);
    const identity *known = backend::event_request::of(r) != nullptr ? nullptr
                            : of == nullptr ? identity_of(r)
                                            : of->known_as();
    const auto claim = known == nullptr || known->token == nullptr
                           ? std::nullopt
                           : known->token->claim(name);

    return claim ? set_text(v, *claim) : absent(v);
}

// Before the session exists, the user of the handshake.
ngx_int_t get_user(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    if (const auto *event = backend::event_request::of(r); event != nullptr) {
        return set_text(v, event->user());
    }

    if (const session *of = session::of(r); of != nullptr) {
        return set_text(v, of->user());
    }

    const identity *of = identity_of(r);

    return of == nullptr ? absent(v) : set_text(v, of->user);
}

ngx_int_t get_event(ngx_http_request_t *r, ngx_variable_value_t *v, uintptr_t)
{
    const auto *event = backend::event_request::of(r);

    return event == nullptr ? absent(v)
                            : set_text(v, backend::name_of(event->kind()));
}

using counts = session_counters;

// clang-format off
ngx_http_variable_t variables[] = {

    { ngx_string("websocket_arg_"), nullptr,
      get_argument, 0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("websocket_claim_"), nullptr,
      get_claim, 0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("websocket_handler"), nullptr,
      get_handler, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_resource"), nullptr,
      get_resource, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_client"), nullptr,
      get_client, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_user"), nullptr,
      get_user, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_event"), nullptr,
      get_event, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_subprotocol"), nullptr,
      get_text<subprotocol>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_extensions"), nullptr,
      get_extensions, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_messages_in"), nullptr,
      get_counter<&counts::messages_in>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_messages_out"), nullptr,
      get_counter<&counts::messages_out>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_bytes_in"), nullptr,
      get_counter<&counts::bytes_in>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_bytes_out"), nullptr,
      get_counter<&counts::bytes_out>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_dropped"), nullptr,
      get_counter<&counts::dropped>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_close_code"), nullptr,
      get_close_code, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("websocket_close_by"), nullptr,
      get_text<close_by>, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },
};
// clang-format on

} // namespace

ngx_int_t add_variables(ngx_conf_t *cf)
{
    for (ngx_http_variable_t &known : variables) {
        ngx_http_variable_t *added =
            ngx_http_add_variable(cf, &known.name, known.flags);

        if (added == nullptr) {
            return NGX_ERROR;
        }

        added->get_handler = known.get_handler;
        added->data = known.data;
    }

    return NGX_OK;
}

} // namespace websocket::nginx
