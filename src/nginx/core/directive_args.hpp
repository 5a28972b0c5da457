// What the functions that read directives share.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <limits>
#include <span>

// Says at configuration time what is wrong; nginx adds file and line.
#define WEBSOCKET_SAY(cf, ...)                                                 \
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, __VA_ARGS__)

namespace websocket::nginx {

// What a setter returns when it has said what is wrong.
inline char *refuse() noexcept
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

inline char *duplicate() noexcept
{
    static char text[] = "is duplicate";
    return text;
}

// The directive's words, its name first.
inline std::span<ngx_str_t> arguments(ngx_conf_t *cf) noexcept
{
    return {static_cast<ngx_str_t *>(cf->args->elts), cf->args->nelts};
}

// A field of the location's configuration, by the command's offset.
template <typename T>
inline T &field(void *conf, ngx_uint_t offset) noexcept
{
    return *reinterpret_cast<T *>(static_cast<char *>(conf) + offset);
}

// A size such as "64k" or "1g", which nginx's function for sizes does not take.
// NGX_ERROR: it is none.
inline ssize_t parse_size(ngx_str_t &text) noexcept
{
    const off_t size = ngx_parse_offset(&text);

    return size > std::numeric_limits<ssize_t>::max()
               ? NGX_ERROR
               : static_cast<ssize_t>(size);
}

} // namespace websocket::nginx
