// Packs the texts of a request, storing each text once.
#include "nginx/request/packed_request.hpp"

#include "nginx/request/varint.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

namespace websocket::nginx {

namespace {

using field_texts = std::array<std::string_view, field_count>;

// The longest texts are first, so that their parts are found in them.
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

        // Linear in time, unlike find(), which clients could make slow
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
// The offsets of $1 and so on. An expression without captures sets no offsets
// and leaves those of an earlier one.
std::span<const int> captures_of(const ngx_http_request_t *r) noexcept
{
    if (r->ncaptures <= whole_match) {
        return {};
    }

    return std::span{r->captures, r->ncaptures}.subspan(whole_match);
}
#endif

// The subject of the last regular expression up to the end of its captures. It
// may be that of a location or a server name, to whose captures `alias` may
// refer.
std::string_view captures_subject(const ngx_http_request_t *r) noexcept
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
            captures_subject(r),
            captures};
}

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

} // namespace

packed_request pack_request(ngx_http_request_t *r, std::string_view key,
                            std::string_view subprotocol,
                            const std::vector<saved_variable> &variables)
{
    const std::string captures = pack_captures(r);
    const field_texts fields = fields_of(r, key, subprotocol, captures);
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

    const std::size_t index_size = packed.size();

    packed += text;
    return {std::move(packed), index_size};
}

} // namespace websocket::nginx
