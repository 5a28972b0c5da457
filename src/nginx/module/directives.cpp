// The table of directives.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/plugin/loader.hpp"

namespace websocket::nginx {

namespace {

constexpr ngx_uint_t any_level =
    NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

} // namespace

// clang-format off
#define OPTION(name, arguments, setter, member)                               \
    { ngx_string("websocket_" name),                                          \
      any_level | (arguments),                                                \
      setter,                                                                 \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(location_configuration, member),                               \
      nullptr }

ngx_command_t commands[] = {

    { ngx_string("websocket"),
      NGX_HTTP_LOC_CONF | NGX_CONF_1MORE,
      set_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      nullptr },

    { ngx_string("websocket_publish"),
      NGX_HTTP_LOC_CONF | NGX_CONF_2MORE,
      set_websocket_publish,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      nullptr },

    { ngx_string("websocket_status"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
      set_websocket_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      nullptr },

    { ngx_string("websocket_plugin"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      load_plugin,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      nullptr },

    { ngx_string("websocket_shared_memory"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      set_shared_memory,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(main_configuration, shared_memory),
      nullptr },

    { ngx_string("websocket_room_memory"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      set_room_memory,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(main_configuration, room_memory),
      nullptr },

    { ngx_string("websocket_drain"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
      set_drain,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      nullptr },

    { ngx_string("websocket_redis"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
      set_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      nullptr },

    OPTION("origins", NGX_CONF_1MORE, set_origins, origins),
    OPTION("subprotocols", NGX_CONF_1MORE, set_subprotocols, subprotocols),
    OPTION("user", NGX_CONF_TAKE1, set_user_value, user),
    OPTION("jwt", NGX_CONF_1MORE, set_jwt, tokens),
    OPTION("accept", NGX_CONF_TAKE12, set_accept, accepted_kinds),
    OPTION("max_message_size", NGX_CONF_TAKE1, set_size, max_message_size),
    OPTION("max_frame_size", NGX_CONF_TAKE1, set_size, max_frame_size),
    OPTION("timeout", NGX_CONF_TAKE1, set_time, timeout),
    OPTION("ping_interval", NGX_CONF_TAKE1, set_time_or_off, ping_interval),
    OPTION("close_timeout", NGX_CONF_TAKE1, set_time, close_timeout),
    OPTION("send_queue", NGX_CONF_TAKE12, set_send_queue, send_queue),
    OPTION("send_timeout", NGX_CONF_TAKE1, set_time, send_timeout),
    OPTION("max_clients", NGX_CONF_TAKE1, set_max_clients, max_clients),
    OPTION("max_rooms", NGX_CONF_TAKE1, (set_number<1, 1000000>), max_rooms),
    OPTION("rooms", NGX_CONF_1MORE, set_rooms, room_patterns),
    OPTION("limit_messages", NGX_CONF_TAKE12, set_limit_messages,
           limit_messages),
    OPTION("request", NGX_CONF_TAKE1, set_request, request),
    OPTION("event_stream", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
           event_stream),
    OPTION("deflate", NGX_CONF_FLAG, ngx_conf_set_flag_slot, deflate),
    OPTION("deflate_comp_level", NGX_CONF_TAKE1, (set_number<1, 9>),
           deflate_comp_level),
    OPTION("deflate_min_length", NGX_CONF_TAKE1, set_length,
           deflate_min_length),
    OPTION("deflate_window", NGX_CONF_TAKE1, (set_number<9, 15>),
           deflate_window),
    OPTION("deflate_client_window", NGX_CONF_TAKE1, (set_number<8, 15>),
           deflate_client_window),
    OPTION("deflate_context_takeover", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
           deflate_context_takeover),

    ngx_null_command
};
// clang-format on

} // namespace websocket::nginx
