// The configuration as structures: `http` block and locations.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/parameters.hpp"
#include "nginx/core/room_pattern.hpp"
#include "protocol/messages/rate_limit.hpp"
#include "protocol/messages/message_reader.hpp"
#include "protocol/handshake/origin.hpp"
#include "protocol/deflate/permessage_deflate.hpp"
#include "sdk/websocket_plugin.h"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

namespace backend {
struct settings;
}
struct redis_settings;
struct resource_settings;
struct token_settings;
struct wakeup_fd_set;

enum class full_queue_policy : ngx_uint_t { close, drop };

// websocket_request: whether the session keeps the HTTP request.
enum class request_policy : ngx_uint_t { keep, release };

enum class evaluation_time : std::uint8_t;

// The configuration of the block `http`.
struct main_configuration {
    ngx_array_t handlers; // of const websocket_handler_t *
    size_t shared_memory;
    size_t room_memory;
    bool zone_needed;     // a location has resources, or shows the status
    bool has_addresses;   // a location publishes to one client or user
    bool has_publishers;  // a location has websocket_publish
    bool has_users;       // websocket_user or websocket_jwt is used
    bool has_plugins;     // handlers may send to one client or user
    ngx_shm_zone_t *zone; // null: no zone
    wakeup_fd_set *wakeup_fds;

    ngx_msec_t drain_time;
    ngx_uint_t drain_code; // 0: not configured

    redis_settings *redis; // null: no websocket_redis

    ngx_array_t *locations;         // of handler_location; null: none
    ngx_array_t *patterns;          // of pattern_directive; null: none
    ngx_array_t *content_locations; // of content_location; null: none
    // A location takes tokens from subprotocols
    bool hides_bearer_offers;

    std::uint32_t number; // counts the configurations of the zone, from 1

    // When each variable can be evaluated, by index; null: not known yet
    const evaluation_time *evaluation_times;

    // The shared memory has clients and users by name. They take memory there.
    bool registers_clients() const noexcept
    {
        return has_addresses || has_plugins || (has_publishers && has_users);
    }
};

// The configuration of a location, in the configuration's pool. A member
// without a comment holds the directive of its name; sizes are bytes, times
// milliseconds.
struct location_configuration {
    const websocket_handler_t *handler;  // null: none
    ngx_http_complex_value_t *key;       // null: the location's name
    ngx_array_t *parameters;             // of named_value
    resource_settings *terms;            // set once all locations are read
    bool publishes;                      // websocket_publish, not websocket
    ngx_http_complex_value_t *to_client; // of websocket_publish; null: none
    ngx_http_complex_value_t *to_user;   // the same
    backend::settings *backend;          // of `websocket http`; null: another
    ngx_uint_t status;                   // a status_form

    // websocket_origins; the patterns are of type protocol::origin_pattern
    ngx_array_t *origins;
    ngx_uint_t any_origin;
    ngx_uint_t same_origin;

    ngx_array_t *subprotocols;      // of std::string_view
    ngx_http_complex_value_t *user; // null: nobody
    token_settings *tokens;         // of websocket_jwt; null: none

    ngx_array_t *room_patterns; // of room_pattern, websocket_rooms; null: none

    ngx_uint_t accepted_kinds; // bits accepts_text, accepts_binary
    size_t max_message_size;
    size_t max_frame_size;
    ngx_msec_t timeout;
    ngx_msec_t ping_interval; // 0: off
    ngx_msec_t close_timeout;
    size_t send_queue;
    ngx_uint_t full_policy; // a full_queue_policy
    ngx_msec_t send_timeout;
    ngx_uint_t max_clients;                     // 0: off
    ngx_uint_t max_rooms;                       // of a client
    const protocol::rate_limit *limit_messages; // null: off
    ngx_uint_t request;                         // a request_policy
    ngx_flag_t event_stream;

    ngx_flag_t deflate;
    ngx_int_t deflate_comp_level;
    size_t deflate_min_length;
    ngx_int_t deflate_window;        // base-2 logarithm of bytes
    ngx_int_t deflate_client_window; // the same
    ngx_flag_t deflate_context_takeover;

    // Computed from the above when they are merged
    bool streams_events;   // websocket_event_stream, for a handler that can
    ngx_msec_t ping_after; // idle time before a ping; 0: no pings
    protocol::message_limits limits;
    protocol::deflate_settings deflate_settings;

    bool releases_requests() const noexcept
    {
        return request == static_cast<ngx_uint_t>(request_policy::release);
    }
};

// A directive that asks for a history, and its position.
struct history_directive {
    broker::limits history; // from its parameters
    ngx_str_t key;          // as configured, or the location's name
    ngx_str_t file;
    ngx_uint_t line;
};

// A location with a handler.
struct handler_location : history_directive {
    location_configuration *conf;
    ngx_str_t location; // its name
};

// A directive websocket_rooms. The handler is that of the rooms.
struct pattern_directive : history_directive {
    const websocket_handler_t *handler;
    parameter_list parameters;
    resource_settings *terms;
};

inline constexpr ngx_uint_t accepts_text = 1;
inline constexpr ngx_uint_t accepts_binary = 2;

inline parameter_list parameters_of(const location_configuration &conf) noexcept
{
    return {static_cast<named_value *>(conf.parameters->elts),
            conf.parameters->nelts};
}

inline main_configuration *main_conf(ngx_conf_t *cf) noexcept
{
    return static_cast<main_configuration *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_websocket_module));
}

// The cycle must have a block `http`.
inline main_configuration &
main_conf_of(const volatile ngx_cycle_t &cycle) noexcept
{
    const auto *http = reinterpret_cast<ngx_http_conf_ctx_t *>(
        cycle.conf_ctx[ngx_http_module.index]);

    return *static_cast<main_configuration *>(
        http->main_conf[ngx_http_websocket_module.ctx_index]);
}

} // namespace websocket::nginx
