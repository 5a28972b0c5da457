// Reads the arguments of directives and reports errors in them.
//
// All errors have one form: what is wrong, with which value, in which
// directive; then what is expected. nginx adds the file and the line.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <limits>
#include <span>

namespace websocket::nginx {

// The result of a setter that has no memory, or whose error is logged.
inline char *conf_failed() noexcept
{
    return static_cast<char *>(NGX_CONF_ERROR);
}

// Logs an error in the format of ngx_snprintf(); for a setter to return.
template <class... Arguments>
char *conf_error(ngx_conf_t *cf, const char *format,
                 const Arguments &...arguments) noexcept
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, format, arguments...);
    return conf_failed();
}

// nginx logs the name of the directive before this text.
inline char *duplicate() noexcept
{
    static char text[] = "is duplicate";
    return text;
}

// The name of the directive that is being read, then its arguments.
inline std::span<ngx_str_t> arguments(ngx_conf_t *cf) noexcept
{
    return {static_cast<ngx_str_t *>(cf->args->elts), cf->args->nelts};
}

// `expected` names the values that the directive takes.
inline char *invalid_value(ngx_conf_t *cf, const ngx_str_t &value,
                           const char *expected) noexcept
{
    return conf_error(cf,
                      "invalid value \"%V\" in \"%V\" directive; expected %s",
                      &value, &arguments(cf)[0], expected);
}

// A field of the location's configuration, by the command's offset.
template <typename T>
inline T &field(void *conf, ngx_uint_t offset) noexcept
{
    return *reinterpret_cast<T *>(static_cast<char *>(conf) + offset);
}

// Parses a size such as "64k" or "1g"; nginx's own function for sizes knows no
// "g". Returns NGX_ERROR for any other text.
inline ssize_t parse_size(ngx_str_t &text) noexcept
{
    const off_t size = ngx_parse_offset(&text);

    return size > std::numeric_limits<ssize_t>::max()
               ? NGX_ERROR
               : static_cast<ssize_t>(size);
}

} // namespace websocket::nginx
