// Fills in the request of an event.
#include "nginx/events/request_fields.hpp"

#include <array>
#include <cstring>

namespace websocket::nginx::backend {

namespace {

using text = client_record::text;

constexpr ngx_uint_t fields_at_once = 20;

ngx_str_t method_name = ngx_string("POST");
ngx_str_t protocol_name = ngx_string("HTTP/1.1");

// Adds one header field as nginx does when it reads a request. The texts are
// followed by a zero byte, and live as long as the request.
bool add_field(ngx_http_request_t *r, std::string_view name,
               std::string_view value) noexcept
{
    auto *field =
        static_cast<ngx_table_elt_t *>(ngx_list_push(&r->headers_in.headers));
    auto *lower = static_cast<u_char *>(ngx_pnalloc(r->pool, name.size()));

    if (field == nullptr || lower == nullptr) {
        return false;
    }

    *field = {};
    field->key = borrowed(name);
    field->value = borrowed(value);
    field->lowcase_key = lower;
    field->hash = ngx_hash_strlow(lower, field->key.data, field->key.len);

    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_get_module_main_conf(r, ngx_http_core_module));
    const auto *known = static_cast<ngx_http_header_t *>(
        ngx_hash_find(const_cast<ngx_hash_t *>(&core->headers_in_hash),
                      field->hash, lower, field->key.len));

    return known == nullptr ||
           known->handler(r, field, known->offset) == NGX_OK;
}

// The same for a value that is copied.
bool add_copy(ngx_http_request_t *r, std::string_view name,
              std::string_view value) noexcept
{
    auto *copy = static_cast<char *>(ngx_pnalloc(r->pool, value.size() + 1));

    if (copy == nullptr) {
        return false;
    }

    ngx_memcpy(copy, value.data(), value.size());
    copy[value.size()] = '\0';
    return add_field(r, name, {copy, value.size()});
}

bool add_number(ngx_http_request_t *r, std::string_view name,
                std::uint64_t number) noexcept
{
    std::array<u_char, NGX_INT64_LEN> digits;
    const u_char *end = ngx_sprintf(digits.data(), "%uL", number);

    return add_copy(r, name,
                    {reinterpret_cast<char *>(digits.data()),
                     static_cast<std::size_t>(end - digits.data())});
}

bool add_encoded(ngx_http_request_t *r, std::string_view name,
                 std::string_view value) noexcept
{
    const ngx_str_t encoded = percent_encoded(r->pool, value);

    return encoded.data != nullptr && add_field(r, name, view(encoded));
}

// Before the field Host is added, for which nginx would look for the server.
void set_server(ngx_http_request_t *r, const client_record &from) noexcept
{
    r->headers_in.server = borrowed(from.get(text::server));

    if (r->headers_in.server.len != 0) {
        return;
    }

    from.each_field([r](std::string_view name, std::string_view value) {
        if (is_same_name(name, "Host")) {
            r->headers_in.server = borrowed(value);
        }
    });
}

bool add_event_fields(ngx_http_request_t *r, const client_record &from,
                      const event_data &event) noexcept
{
    if (!add_field(r, "WebSocket-Event", name_of(event.kind)) ||
        !add_number(r, "WebSocket-Client", from.id()) ||
        !add_encoded(r, "WebSocket-Resource", from.get(text::key)) ||
        !add_field(r, "WebSocket-URI", from.get(text::unparsed_uri))) {
        return false;
    }

    if (event.kind == event_kind::connect) {
        const std::string_view offered = from.get(text::protocols);

        return offered.empty() || add_field(r, "WebSocket-Protocols", offered);
    }

    if ((!event.state.empty() &&
         !add_copy(r, "WebSocket-State", event.state)) ||
        !add_number(r, "WebSocket-Sequence", event.sequence)) {
        return false;
    }

    return event.kind == event_kind::message ||
           (add_number(r, "WebSocket-Close-Code", event.close_code) &&
            (event.close_reason.empty() ||
             add_encoded(r, "WebSocket-Close-Reason", event.close_reason)));
}

bool set_body(ngx_http_request_t *r, const event_data &event) noexcept
{
    const std::size_t size = event.payload ? event.payload.size() : 0;
    auto *body = static_cast<ngx_http_request_body_t *>(
        ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t)));

    if (body == nullptr || !add_number(r, "Content-Length", size) ||
        (event.kind == event_kind::message &&
         !add_field(r, "Content-Type",
                    event.binary ? "application/octet-stream"
                                 : "text/plain; charset=utf-8"))) {
        return false;
    }

    r->headers_in.content_length_n = static_cast<off_t>(size);
    r->request_body = body;

    if (size == 0) {
        return true;
    }

    auto *buffer = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));

    body->bufs = ngx_alloc_chain_link(r->pool);

    if (buffer == nullptr || body->bufs == nullptr) {
        return false;
    }

    buffer->pos = buffer->start =
        reinterpret_cast<u_char *>(event.payload.data());
    buffer->last = buffer->end = buffer->pos + size;
    buffer->memory = 1;
    buffer->last_buf = 1;
    body->bufs->buf = body->buf = buffer;
    body->bufs->next = nullptr;
    return true;
}

bool set_request_line(ngx_http_request_t *r, const client_record &from) noexcept
{
    r->method = NGX_HTTP_POST;
    r->method_name = method_name;
    r->http_version = NGX_HTTP_VERSION_11;
    r->http_major = r->http_minor = 1;
    r->http_protocol = protocol_name;
    r->unparsed_uri = borrowed(from.get(text::unparsed_uri));
    r->uri = borrowed(from.get(text::uri));
    r->args = borrowed(from.get(text::args));
    r->valid_unparsed_uri = 1;
    ngx_http_set_exten(r);

    const std::size_t size =
        r->method_name.len + r->unparsed_uri.len + r->http_protocol.len + 2;
    auto *line = static_cast<u_char *>(ngx_pnalloc(r->pool, size));

    if (line == nullptr) {
        return false;
    }

    ngx_sprintf(line, "%V %V %V", &r->method_name, &r->unparsed_uri,
                &r->http_protocol);
    r->request_line = {size, line};
    return true;
}

} // namespace

ngx_str_t percent_encoded(ngx_pool_t *pool, std::string_view text) noexcept
{
    const ngx_str_t plain = borrowed(text);
    const auto escaped = static_cast<std::size_t>(ngx_escape_uri(
        nullptr, plain.data, plain.len, NGX_ESCAPE_URI_COMPONENT));
    const std::size_t size = plain.len + 2 * escaped;
    auto *copy = static_cast<u_char *>(ngx_pnalloc(pool, size + 1));

    if (copy == nullptr) {
        return {0, nullptr};
    }

    if (escaped == 0) {
        ngx_memcpy(copy, plain.data, plain.len);
    } else {
        (void)ngx_escape_uri(copy, plain.data, plain.len,
                             NGX_ESCAPE_URI_COMPONENT);
    }

    copy[size] = '\0';
    return {size, copy};
}

bool fill_request(ngx_http_request_t *r, const client_record &from,
                  const event_data &event) noexcept
{
    bool filled = ngx_list_init(&r->headers_in.headers, r->pool, fields_at_once,
                                sizeof(ngx_table_elt_t)) == NGX_OK &&
                  set_request_line(r, from);

    if (!filled) {
        return false;
    }

    set_server(r, from);

    from.each_field([&](std::string_view name, std::string_view value) {
        filled = filled && add_field(r, name, value);
    });

    return filled && add_event_fields(r, from, event) && set_body(r, event);
}

} // namespace websocket::nginx::backend
