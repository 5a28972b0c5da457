// Saving and restoring a request. Behind the object lie the index and then the
// text. The index has for each field, and then for each variable that has a
// value, where its text is: numbers of 7 bits a byte, the low ones first.
//
//     field       size + 1, or 0 if there is none; offset
//     variable    its index less the one before; size + 2, or 0 if it is left
//                 to the end, 1 if it is absent; offset
#include "nginx/request/saved_request.hpp"

#include "nginx/request/saved_variables.hpp"
#include "nginx/request/varint.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace websocket::nginx {

namespace {

constexpr auto field_count =
    static_cast<std::size_t>(saved_request::field::count);

using field_texts = std::array<std::string_view, field_count>;

// Whole texts first, so that the pieces of them are found there.
std::string concatenate(const std::vector<std::string_view> &texts,
                        std::vector<std::size_t> &offsets)
{
    std::vector<std::size_t> order(texts.size());
    std::string text;

    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
        return texts[a].size() > texts[b].size();
    });
    offsets.assign(texts.size(), 0);

    for (const std::size_t i : order) {
        if (texts[i].empty()) {
            continue;
        }

        // Unlike find() it takes no time for each client to make it long
        const void *found =
            memmem(text.data(), text.size(), texts[i].data(), texts[i].size());
        offsets[i] = found == nullptr
                         ? text.size()
                         : static_cast<std::size_t>(
                               static_cast<const char *>(found) - text.data());

        if (found == nullptr) {
            text += texts[i];
        }
    }

    return text;
}

std::string_view header_value(const ngx_table_elt_t *header) noexcept
{
    return header == nullptr ? std::string_view{} : view(header->value);
}

#if (NGX_PCRE)
// Where $1 and so on begin and end. An expression without them leaves those of
// another one there, and of its own whole match nothing.
constexpr std::size_t whole_match = 2;

std::span<const int> captures_of(const ngx_http_request_t *r) noexcept
{
    if (r->ncaptures <= whole_match) {
        return {};
    }

    return std::span{r->captures, r->ncaptures}.subspan(whole_match);
}
#endif

// For a regular expression that is a location's or a server's name, for
// example: `alias` may refer to its parts.
std::string_view captured_by(const ngx_http_request_t *r) noexcept
{
#if (NGX_PCRE)
    if (const auto bounds = captures_of(r); !bounds.empty()) {
        const int end = *std::max_element(bounds.begin(), bounds.end());

        return {reinterpret_cast<char *>(r->captures_data),
                static_cast<std::size_t>(std::max(end, 0))};
    }
#endif

    (void)r;
    return {};
}

std::string pack_captures(const ngx_http_request_t *r)
{
    std::string packed;

#if (NGX_PCRE)
    for (const int at : captures_of(r)) {
        write_varint(packed, static_cast<std::size_t>(at) + 1); // -1: no match
    }
#endif

    (void)r;
    return packed;
}

field_texts fields_of(ngx_http_request_t *r, std::string_view key,
                      std::string_view subprotocol,
                      std::string_view captures) noexcept
{
    const auto &in = r->headers_in;

    // In the order of saved_request::field
    return {view(r->request_line),
            view(r->unparsed_uri),
            view(r->uri),
            view(r->args),
            view(r->method_name),
            view(r->http_protocol),
            view(in.server),
            header_value(in.host),
            header_value(in.referer),
            key,
            subprotocol,
            captured_by(r),
            captures};
}

// What the index says of a variable's value.
constexpr std::size_t code_at_end = 0;
constexpr std::size_t code_absent = 1;
constexpr std::size_t code_empty_value = 2;

std::size_t size_code(const saved_variable &variable) noexcept
{
    switch (variable.is) {
    case saved_variable::kind::absent:
        return code_absent;
    case saved_variable::kind::at_end:
        return code_at_end;
    case saved_variable::kind::value:
        break;
    }
    return code_empty_value + variable.value.size();
}

// The index and the text of all there is.
std::string pack(const field_texts &fields,
                 const std::vector<saved_variable> &variables,
                 std::size_t &index_size)
{
    std::vector<std::string_view> texts(fields.begin(), fields.end());

    for (const saved_variable &variable : variables) {
        texts.push_back(variable.value);
    }

    std::vector<std::size_t> offsets;
    const std::string text = concatenate(texts, offsets);
    std::string packed;

    for (std::size_t i = 0; i != fields.size(); i++) {
        write_varint(packed,
                     fields[i].data() == nullptr ? 0 : fields[i].size() + 1);
        write_varint(packed, offsets[i]);
    }

    std::size_t before = 0;

    for (std::size_t i = 0; i != variables.size(); i++) {
        const saved_variable &variable = variables[i];

        write_varint(packed, variable.index - before);
        write_varint(packed, size_code(variable));
        write_varint(packed, offsets[fields.size() + i]);
        before = variable.index;
    }

    index_size = packed.size();
    return packed += text;
}

u_char *bytes_of(std::string_view text) noexcept
{
    return borrowed(text).data;
}

// A header field for those who look for its value alone. Null: none.
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
      pipelined_{r->pipeline != 0}, internal_{r->internal != 0},
      valid_location_{r->valid_location != 0}
{}

std::unique_ptr<const saved_request>
saved_request::create(ngx_http_request_t *r, std::string_view key,
                      std::string_view subprotocol) noexcept
try {
    std::size_t index_size = 0;
    const std::string captures = pack_captures(r);
    const std::string packed = pack(fields_of(r, key, subprotocol, captures),
                                    evaluate_variables(r), index_size);
    void *block = std::malloc(sizeof(saved_request) + packed.size());

    if (block == nullptr) {
        return nullptr;
    }

    auto *created = new (block) saved_request(r);

    created->index_size_ = static_cast<std::uint32_t>(index_size);
    std::memcpy(static_cast<void *>(created + 1), packed.data(), packed.size());
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
    c->requests--; // it is the same one
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
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
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

    // nginx puts those of any other expression there too
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

// One that is not in the index was not found or is not used, unless it is left
// to the end.
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
