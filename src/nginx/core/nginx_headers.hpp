// Includes nginx's headers, which are C, and converts between its types and the
// standard library's.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
}

#include <cstddef>
#include <span>
#include <string_view>

extern "C" {
extern ngx_module_t ngx_http_websocket_module;
}

namespace websocket::nginx {

inline std::string_view view(const ngx_str_t &text) noexcept
{
    return {reinterpret_cast<const char *>(text.data), text.len};
}

// The result refers to the same bytes; the caller keeps them alive.
inline ngx_str_t borrowed(std::string_view text) noexcept
{
    return {text.size(),
            reinterpret_cast<u_char *>(const_cast<char *>(text.data()))};
}

inline std::string_view as_text(std::span<const std::byte> bytes) noexcept
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

inline std::span<std::byte> bytes_between(u_char *first, u_char *last) noexcept
{
    return {reinterpret_cast<std::byte *>(first),
            static_cast<std::size_t>(last - first)};
}

// Calls `call(header)` for each field of the list.
template <class Call>
void each_header(const ngx_list_t &fields, Call call)
{
    for (const ngx_list_part_t *part = &fields.part; part != nullptr;
         part = part->next) {
        const std::span headers{static_cast<ngx_table_elt_t *>(part->elts),
                                part->nelts};

        for (const ngx_table_elt_t &header : headers) {
            call(header);
        }
    }
}

// Calls `call(header)` for each header field of the request, except for removed
// ones.
template <class Call>
void each_header(const ngx_http_request_t *r, Call call)
{
    each_header(r->headers_in.headers, [&call](const ngx_table_elt_t &header) {
        if (header.hash != 0) {
            call(header);
        }
    });
}

template <typename T>
T *location_conf(ngx_http_request_t *r) noexcept
{
    return static_cast<T *>(
        ngx_http_get_module_loc_conf(r, ngx_http_websocket_module));
}

} // namespace websocket::nginx
