// Location configurations: created, and merged from the outer to the inner.
#include "nginx/core/configuration.hpp"

#include "nginx/module/setters.hpp"
#include "nginx/status/status.hpp"
#include "protocol/frames/close_code.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace websocket::nginx {

namespace {

using conf_type = location_configuration;

// nginx marks each value that is not set by -1.
template <class T>
T unset() noexcept
{
    if constexpr (std::is_pointer_v<T>) {
        return static_cast<T>(NGX_CONF_UNSET_PTR);
    } else {
        return static_cast<T>(-1);
    }
}

// Calls `visit(member, fallback)` for each directive that is inherited by
// itself, with its default.
template <class Visitor>
void each_option(Visitor visit)
{
    visit(&conf_type::subprotocols, nullptr);
    visit(&conf_type::user, nullptr);
    visit(&conf_type::tokens, nullptr);
    visit(&conf_type::accepted_kinds, accepts_text | accepts_binary);
    visit(&conf_type::max_message_size, 1024 * 1024);
    visit(&conf_type::timeout, 300000);
    visit(&conf_type::ping_interval, 25000);
    visit(&conf_type::close_timeout, 5000);
    visit(&conf_type::send_queue, 1024 * 1024);
    visit(&conf_type::full_policy, full_queue_policy::close);
    visit(&conf_type::send_timeout, 60000);
    visit(&conf_type::max_clients, 0);
    visit(&conf_type::max_rooms, 128);
    visit(&conf_type::room_patterns, nullptr);
    visit(&conf_type::limit_messages, nullptr);
    visit(&conf_type::request, request_policy::keep);
    visit(&conf_type::event_stream, 0);
    visit(&conf_type::deflate, 0);
    visit(&conf_type::deflate_comp_level, 1);
    visit(&conf_type::deflate_min_length, 64);
    visit(&conf_type::deflate_window, 15);
    visit(&conf_type::deflate_client_window, 15);
    visit(&conf_type::deflate_context_takeover, 0);
}

void merge_origins(location_configuration &conf,
                   const location_configuration &outer)
{
    if (conf.any_origin != NGX_CONF_UNSET_UINT) {
        return;
    }

    conf.origins = outer.origins;
    conf.any_origin = outer.any_origin;
    conf.same_origin = outer.same_origin;

    if (conf.any_origin == NGX_CONF_UNSET_UINT) {
        conf.origins = nullptr;
        conf.any_origin = 0;
        conf.same_origin = 1;
    }
}

// The default of websocket_max_frame_size is the message size of the same
// location, so the outer level's default is not inherited.
void merge_limits(location_configuration &conf,
                  const location_configuration &outer)
{
    if (conf.max_frame_size == NGX_CONF_UNSET_SIZE) {
        conf.max_frame_size = outer.max_frame_size;
    }

    conf.limits = {
        .max_message_size = conf.max_message_size,
        .max_frame_size = conf.max_frame_size == NGX_CONF_UNSET_SIZE
                              ? conf.max_message_size
                              : conf.max_frame_size,
        .text_accepted = (conf.accepted_kinds & accepts_text) != 0,
        .binary_accepted = (conf.accepted_kinds & accepts_binary) != 0,
        .frames_announced =
            conf.limit_messages != nullptr ||
            (conf.handler != nullptr && conf.handler->check_message != nullptr),
    };
}

// Pings leave time for two answers before the timeout, so that a client which
// answers stays connected.
ngx_msec_t ping_after(const location_configuration &conf) noexcept
{
    return conf.ping_interval == 0 ? 0
                                   : std::clamp<ngx_msec_t>(conf.timeout / 3, 1,
                                                            conf.ping_interval);
}

protocol::deflate_settings
deflate_settings_of(const location_configuration &conf) noexcept
{
    return {
        .enabled = conf.deflate != 0,
        .window = static_cast<std::uint8_t>(conf.deflate_window),
        .client_window = static_cast<std::uint8_t>(conf.deflate_client_window),
        .context_takeover = conf.deflate_context_takeover != 0,
    };
}

// The blocks `if` and `limit_except` inherit the handler of their location.
void merge_handler(ngx_conf_t *cf, location_configuration &conf,
                   const location_configuration &outer)
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    if (!clcf->noname || clcf->handler != nullptr) {
        return;
    }

    if (outer.status != 0) {
        conf.status = outer.status;
        clcf->handler = status_handler;

    } else if (outer.handler != nullptr) {
        conf.handler = outer.handler;
        conf.key = outer.key;
        conf.parameters = outer.parameters;
        conf.terms = outer.terms;
        conf.publishes = outer.publishes;
        conf.to_client = outer.to_client;
        conf.to_user = outer.to_user;
        conf.backend = outer.backend;
        clcf->handler = content_handler_of(conf);
    }
}

// Only they write what they send as events.
bool writes_events(const websocket_handler_t &handler) noexcept
{
    const std::string_view name = handler.name;

    return name == "room" || name == "rooms";
}

// In other locations a value that they inherit has no effect.
char *check_event_stream(ngx_conf_t *cf, const location_configuration &conf)
{
    return conf.event_stream != 1 || conf.handler == nullptr ||
                   conf.publishes || writes_events(*conf.handler)
               ? NGX_CONF_OK
               : conf_error(cf,
                            "\"websocket_event_stream\" is for the handlers "
                            "\"room\" and \"rooms\", not \"%s\"",
                            conf.handler->name);
}

// Called after merging.
bool offers_event_stream(const location_configuration &conf) noexcept
{
    return conf.event_stream == 1 && conf.handler != nullptr &&
           !conf.publishes && writes_events(*conf.handler);
}

} // namespace

char *init_main_configuration(ngx_conf_t *cf, void *conf)
{
    auto &main = *static_cast<main_configuration *>(conf);

    if (main.drain_time == NGX_CONF_UNSET_MSEC) {
        main.drain_time = 5000;
    }

    return resolve_redis(cf, main);
}

void *create_location_configuration(ngx_conf_t *cf)
{
    auto *conf = static_cast<location_configuration *>(
        ngx_pcalloc(cf->pool, sizeof(location_configuration)));

    if (conf == nullptr) {
        return nullptr;
    }

    each_option([conf]<class T>(T conf_type::*member, auto) {
        conf->*member = unset<T>();
    });
    conf->origins = unset<ngx_array_t *>();
    conf->any_origin = unset<ngx_uint_t>();
    conf->same_origin = unset<ngx_uint_t>();
    conf->max_frame_size = unset<size_t>();
    return conf;
}

char *merge_location_configuration(ngx_conf_t *cf, void *parent, void *child)
{
    const auto &outer = *static_cast<location_configuration *>(parent);
    auto &conf = *static_cast<location_configuration *>(child);

    if (char *error = check_event_stream(cf, conf); error != NGX_CONF_OK) {
        return error;
    }

    each_option([&]<class T>(T conf_type::*member, auto fallback) {
        if (conf.*member == unset<T>()) {
            conf.*member = outer.*member == unset<T>()
                               ? static_cast<T>(fallback)
                               : outer.*member;
        }
    });
    merge_handler(cf, conf, outer);
    merge_origins(conf, outer);
    merge_limits(conf, outer);
    conf.streams_events = offers_event_stream(conf);
    conf.ping_after = ping_after(conf);
    conf.deflate_settings = deflate_settings_of(conf);
    return NGX_CONF_OK;
}

} // namespace websocket::nginx
