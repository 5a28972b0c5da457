// Saves a request in one block of memory, and restores it from there.
#include "nginx/request/saved_request.hpp"

#include "nginx/request/packed_request.hpp"
#include "nginx/request/saved_variables.hpp"
#include "nginx/request/varint.hpp"

#include <cstring>
#include <new>
#include <string>

namespace websocket::nginx {

namespace {

u_char *bytes_of(std::string_view text) noexcept
{
    return borrowed(text).data;
}

// Creates a header field with a value only. Returns null without value or
// memory.
ngx_table_elt_t *create_header(ngx_http_request_t *r,
                               std::string_view value) noexcept
{
    auto *created = value.data() == nullptr
                        ? nullptr
                        : static_cast<ngx_table_elt_t *>(
                              ngx_pcalloc(r->pool, sizeof(ngx_table_elt_t)));

    if (created != nullptr) {
        created->value = borrowed(value);
    }

    return created;
}

} // namespace

saved_request::saved_request(ngx_http_request_t *r) noexcept
    : http_{r->http_connection}, log_handler_{r->connection->log->handler},
      server_conf_{r->srv_conf}, location_conf_{r->loc_conf},
      start_seconds_{r->start_sec}, request_length_{r->request_length},
      header_size_{static_cast<std::uint32_t>(r->header_size)},
      start_milliseconds_{static_cast<std::uint16_t>(r->start_msec)},
      status_{static_cast<std::uint16_t>(r->headers_out.status)},
      pipelined_{r->pipeline != 0}, internal_{r->internal != 0},
      valid_location_{r->valid_location != 0}
{}

std::unique_ptr<const saved_request>
saved_request::create(ngx_http_request_t *r, std::string_view key,
                      std::string_view subprotocol) noexcept
try {
    const packed_request packed =
        pack_request(r, key, subprotocol, evaluate_variables(r));
    const std::string &bytes = packed.content;
    void *block = std::malloc(sizeof(saved_request) + bytes.size());

    if (block == nullptr) {
        return nullptr;
    }

    auto *created = new (block) saved_request(r);

    created->index_size_ = static_cast<std::uint32_t>(packed.index_size);
    std::memcpy(static_cast<void *>(created + 1), bytes.data(), bytes.size());
    return std::unique_ptr<const saved_request>(created);

} catch (const std::bad_alloc &) {
    return nullptr;
}

std::string_view saved_request::text(field which) const noexcept
{
    const u_char *at = content();

    for (auto i = static_cast<std::size_t>(which); i != 0; i--) {
        read_varint(at);
        read_varint(at);
    }

    const std::size_t size = read_varint(at);
    const std::size_t offset = read_varint(at);

    if (size == 0) {
        return {};
    }

    return {reinterpret_cast<const char *>(content()) + index_size_ + offset,
            size - 1};
}

const ngx_str_t &saved_request::server_name() const noexcept
{
    return static_cast<ngx_http_core_srv_conf_t *>(
               server_conf_[ngx_http_core_module.ctx_index])
        ->server_name;
}

ngx_http_request_t *
saved_request::recreate_request(ngx_connection_t *c) const noexcept
{
    c->data = http_;

    ngx_http_request_t *r = ngx_http_create_request(c);

    if (r == nullptr) {
        return nullptr;
    }

    c->data = r;
    c->requests--; // it was counted before
    restore(r);

    const auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    ngx_set_connection_log(c, core->error_log);

    return r;
}

void saved_request::restore(ngx_http_request_t *r) const noexcept
{
    r->srv_conf = server_conf_;
    r->loc_conf = location_conf_;
    r->start_sec = start_seconds_;
    r->start_msec = start_milliseconds_;
    r->request_length = request_length_;
    r->header_size = header_size_;
    r->header_sent = 1;
    r->headers_out.status = status_;
    r->method = NGX_HTTP_GET;
    r->http_version = NGX_HTTP_VERSION_11;
    r->pipeline = pipelined_;
    r->internal = internal_;
    r->valid_location = valid_location_;

    restore_text(r);
    restore_captures(r);
    restore_variables(r);
}

void saved_request::restore_text(ngx_http_request_t *r) const noexcept
{
    r->request_line = borrowed(text(field::request_line));
    r->unparsed_uri = borrowed(text(field::unparsed_uri));
    r->uri = borrowed(text(field::uri));
    r->args = borrowed(text(field::args));
    r->method_name = borrowed(text(field::method_name));
    r->http_protocol = borrowed(text(field::http_protocol));
    r->headers_in.server = borrowed(text(field::server));
    r->headers_in.host = create_header(r, text(field::host));
    r->headers_in.referer = create_header(r, text(field::referer));
}

void saved_request::restore_captures(ngx_http_request_t *r) const noexcept
{
#if (NGX_PCRE)
    const std::string_view packed = text(field::captures);
    const auto *at = reinterpret_cast<const u_char *>(packed.data());
    const auto *end = at + packed.size();
    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_get_module_main_conf(r, ngx_http_core_module));

    if (packed.empty()) {
        return;
    }

    // Allocated for all: nginx stores the captures of any other expression here
    // too
    r->captures =
        static_cast<int *>(ngx_pcalloc(r->pool, core->ncaptures * sizeof(int)));

    if (r->captures == nullptr) {
        return;
    }

    r->captures_data = bytes_of(text(field::captured));

    for (r->ncaptures = whole_match; at != end; r->ncaptures++) {
        r->captures[r->ncaptures] = static_cast<int>(read_varint(at)) - 1;
    }
#else
    (void)r;
#endif
}

// A variable that is not in the index has no value or is not used, unless it is
// evaluated at the end.
void saved_request::restore_variables(ngx_http_request_t *r) const noexcept
{
    const auto times = evaluation_times(r);

    for (std::size_t i = 0; i != times.size(); i++) {
        r->variables[i].not_found = times[i] == evaluation_time::release;
    }

    const u_char *at = content();
    const u_char *end = at + index_size_;
    std::size_t index = 0;

    for (std::size_t i = 0; i != field_count; i++) {
        read_varint(at);
        read_varint(at);
    }

    while (at != end) {
        index += read_varint(at);
        const std::size_t number = read_varint(at);
        const std::size_t offset = read_varint(at);
        ngx_http_variable_value_t &value = r->variables[index];

        value.not_found = number == code_absent;
        value.valid = number >= code_empty_value;

        if (value.valid) {
            const std::size_t size = number - code_empty_value;

            value.len = static_cast<unsigned>(size);
            value.data =
                bytes_of({reinterpret_cast<const char *>(end) + offset, size});
        }
    }
}

} // namespace websocket::nginx
