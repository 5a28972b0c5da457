// What the functions that read directives share.
#pragma once

#include "nginx/nginx_headers.hpp"

#include <limits>
#include <span>

// Says at configuration time what is wrong; nginx adds file and line.
#define WEBSOCKET_SAY(cf, ...)                                                 \
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, __VA_ARGS__)

namespace websocket::nginx {

struct main_configuration;

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

// The setters of directives that take a time, or a time or "off".
char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_time_or_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setters of directives that take a size above 0, or any size.
char *set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_length(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setters of the directives of their names.
char *set_shared_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_room_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_drain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_max_clients(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_send_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_request(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_accept(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setter of directives that take a number of a range.
template <ngx_int_t least, ngx_int_t most>
char *set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &number = field<ngx_int_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (number != NGX_CONF_UNSET) {
        return duplicate();
    }

    number = ngx_atoi(value.data, value.len);

    if (number < least || number > most) {
        WEBSOCKET_SAY(cf, "\"%V\" takes a number from %i to %i, not \"%V\"",
                      &cmd->name, least, most, &value);
        return refuse();
    }

    return NGX_CONF_OK;
}

// The setters of websocket_origins and websocket_subprotocols.
char *set_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_subprotocols(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setter of websocket_limit_messages.
char *set_limit_messages(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setters of the directives `websocket` and `websocket_publish`.
char *set_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *set_websocket_publish(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setter of websocket_status.
char *set_websocket_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// The setter of websocket_redis; and what can only be done when the whole block
// `http` has been read.
char *set_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *complete_redis(ngx_conf_t *cf, main_configuration &own);

// Says that nothing else of ours can be where it is.
char *refuse_beside_status(ngx_conf_t *cf);

// When all locations are known: finds what they say of their resources
// together, and warns where that differs.
ngx_int_t complete_locations(ngx_conf_t *cf);

} // namespace websocket::nginx
