// The setters of directives, and the steps after all directives are read.
#pragma once

#include "nginx/core/directive_args.hpp"
#include "nginx/core/parameters.hpp"

#include <span>

namespace websocket::nginx {

struct location_configuration;
struct main_configuration;

// A function that reads a directive, as ngx_command_t holds it.
using setter = char *(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

// For a time, and for a time or "off".
setter set_time, set_time_or_off;

// For a size above 0, and for any size.
setter set_size, set_length;

// For a number from `min` to `max`.
template <ngx_int_t min, ngx_int_t max>
char *set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &number = field<ngx_int_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (number != NGX_CONF_UNSET) {
        return duplicate();
    }

    number = ngx_atoi(value.data, value.len);

    if (number < min || number > max) {
        return conf_error(cf,
                          "invalid value \"%V\" in \"%V\" directive; expected "
                          "a number from %i to %i",
                          &value, &cmd->name, min, max);
    }

    return NGX_CONF_OK;
}

// For the directives of their names.
setter set_shared_memory, set_room_memory, set_drain, set_max_clients,
    set_send_queue, set_request, set_accept, set_origins, set_subprotocols,
    set_limit_messages, set_websocket, set_websocket_publish,
    set_websocket_status, set_redis, set_user_value, set_jwt, set_rooms;

// Reads name=value arguments into an array of named_value. Null, and logged:
// one is not of this form, or there is no memory. `first` precedes them.
ngx_array_t *read_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                             const named_value *first) noexcept;

// A value that may have variables. Null, and logged: a variable is unknown, or
// there is no memory.
ngx_http_complex_value_t *compile_value(ngx_conf_t *cf, ngx_str_t &text);

// Looks up the server of websocket_redis once the block `http` is read.
char *resolve_redis(ngx_conf_t *cf, main_configuration &main);

// Reports that websocket_status must be alone in its location.
char *conflicts_with_status(ngx_conf_t *cf);

extern ngx_command_t commands[];

// The content handler of a location that has a handler.
ngx_http_handler_pt
content_handler_of(const location_configuration &location) noexcept;

void *create_location_configuration(ngx_conf_t *cf);
char *init_main_configuration(ngx_conf_t *cf, void *conf);
char *merge_location_configuration(ngx_conf_t *cf, void *parent, void *child);

// Once all locations are known: finds the common parameters and history of
// their resources, and warns of those that differ.
ngx_int_t complete_locations(ngx_conf_t *cf);

} // namespace websocket::nginx
