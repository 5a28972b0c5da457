// The setters of directives, and what follows when all are read.
#pragma once

#include "nginx/core/directive_args.hpp"

namespace websocket::nginx {

struct location_configuration;
struct main_configuration;

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
char *resolve_redis(ngx_conf_t *cf, main_configuration &own);

// Says that nothing else of ours can be where it is.
char *conflicts_with_status(ngx_conf_t *cf);

extern ngx_command_t commands[];

// The content handler of a location that has a handler.
ngx_http_handler_pt
content_handler_of(const location_configuration &conf) noexcept;

void *create_location_configuration(ngx_conf_t *cf);
char *init_main_configuration(ngx_conf_t *cf, void *conf);
char *merge_location_configuration(ngx_conf_t *cf, void *parent, void *child);

// When all locations are known: finds what they say of their resources
// together, and warns where that differs.
ngx_int_t complete_locations(ngx_conf_t *cf);

} // namespace websocket::nginx
