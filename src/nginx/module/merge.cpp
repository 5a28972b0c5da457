// Location configurations: made, and merged from the outside in.
#include "nginx/core/configuration.hpp"

#include "nginx/module/setters.hpp"
#include "nginx/status/status.hpp"
#include "protocol/close_code.hpp"

#include <algorithm>
#include <cstdint>

namespace websocket::nginx {

namespace {

void *const unset = NGX_CONF_UNSET_PTR;

void merge_origins(location_configuration &own,
                   const location_configuration &outer)
{
    if (own.any_origin != NGX_CONF_UNSET_UINT) {
        return;
    }

    own.origins = outer.origins;
    own.any_origin = outer.any_origin;
    own.same_origin = outer.same_origin;

    if (own.any_origin == NGX_CONF_UNSET_UINT) {
        own.origins = nullptr;
        own.any_origin = 0;
        own.same_origin = 1;
    }
}

void merge_limits(location_configuration &own)
{
    own.limits = {
        .max_message_size = own.max_message_size,
        .max_frame_size = own.max_frame_size,
        .text_accepted = (own.accepted_kinds & accepts_text) != 0,
        .binary_accepted = (own.accepted_kinds & accepts_binary) != 0,
        .frames_announced =
            own.limit_messages != nullptr ||
            (own.handler != nullptr && own.handler->check_message != nullptr),
    };
}

// Pings leave time for two answers before the timeout, so that a client which
// answers stays connected.
ngx_msec_t ping_after(const location_configuration &own) noexcept
{
    return own.ping_interval == 0
               ? 0
               : std::clamp<ngx_msec_t>(own.timeout / 3, 1, own.ping_interval);
}

void merge_deflate(location_configuration &own,
                   const location_configuration &outer)
{
    ngx_conf_merge_value(own.deflate, outer.deflate, 0);
    ngx_conf_merge_value(own.deflate_comp_level, outer.deflate_comp_level, 1);
    ngx_conf_merge_size_value(own.deflate_min_length, outer.deflate_min_length,
                              64);
    ngx_conf_merge_value(own.deflate_window, outer.deflate_window, 15);
    ngx_conf_merge_value(own.deflate_client_window, outer.deflate_client_window,
                         15);
    ngx_conf_merge_value(own.deflate_context_takeover,
                         outer.deflate_context_takeover, 0);

    own.deflate_settings = {
        .enabled = own.deflate != 0,
        .window = static_cast<std::uint8_t>(own.deflate_window),
        .client_window = static_cast<std::uint8_t>(own.deflate_client_window),
        .context_takeover = own.deflate_context_takeover != 0,
    };
}

// The blocks `if` and `limit_except` are no locations of their own.
void merge_handler(ngx_conf_t *cf, location_configuration &own,
                   const location_configuration &outer)
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    if (!clcf->noname || clcf->handler != nullptr) {
        return;
    }

    if (outer.status != 0) {
        own.status = outer.status;
        clcf->handler = status_handler;

    } else if (outer.handler != nullptr) {
        own.handler = outer.handler;
        own.key = outer.key;
        own.parameters = outer.parameters;
        own.terms = outer.terms;
        own.publishes = outer.publishes;
        clcf->handler = content_handler_of(own);
    }
}

} // namespace

char *init_main_configuration(ngx_conf_t *cf, void *conf)
{
    auto &own = *static_cast<main_configuration *>(conf);

    if (own.drain_time == NGX_CONF_UNSET_MSEC) {
        own.drain_time = 5000;
        own.drain_code = protocol::close_code::going_away;
    }

    return resolve_redis(cf, own);
}

void *create_location_configuration(ngx_conf_t *cf)
{
    auto *made = static_cast<location_configuration *>(
        ngx_pcalloc(cf->pool, sizeof(location_configuration)));

    if (made == nullptr) {
        return nullptr;
    }

    made->origins = static_cast<ngx_array_t *>(unset);
    made->any_origin = NGX_CONF_UNSET_UINT;
    made->same_origin = NGX_CONF_UNSET_UINT;
    made->subprotocols = static_cast<ngx_array_t *>(unset);
    made->accepted_kinds = NGX_CONF_UNSET_UINT;
    made->max_message_size = NGX_CONF_UNSET_SIZE;
    made->max_frame_size = NGX_CONF_UNSET_SIZE;
    made->timeout = NGX_CONF_UNSET_MSEC;
    made->ping_interval = NGX_CONF_UNSET_MSEC;
    made->close_timeout = NGX_CONF_UNSET_MSEC;
    made->send_queue = NGX_CONF_UNSET_SIZE;
    made->full_policy = NGX_CONF_UNSET_UINT;
    made->send_timeout = NGX_CONF_UNSET_MSEC;
    made->max_clients = NGX_CONF_UNSET_UINT;
    made->limit_messages = static_cast<protocol::message_rate *>(unset);
    made->request = NGX_CONF_UNSET_UINT;
    made->deflate = NGX_CONF_UNSET;
    made->deflate_comp_level = NGX_CONF_UNSET;
    made->deflate_min_length = NGX_CONF_UNSET_SIZE;
    made->deflate_window = NGX_CONF_UNSET;
    made->deflate_client_window = NGX_CONF_UNSET;
    made->deflate_context_takeover = NGX_CONF_UNSET;

    return made;
}

char *merge_location_configuration(ngx_conf_t *cf, void *parent, void *child)
{
    const auto &outer = *static_cast<location_configuration *>(parent);
    auto &own = *static_cast<location_configuration *>(child);

    merge_handler(cf, own, outer);
    merge_origins(own, outer);

    if (own.subprotocols == unset) {
        own.subprotocols =
            outer.subprotocols == unset ? nullptr : outer.subprotocols;
    }

    ngx_conf_merge_uint_value(own.accepted_kinds, outer.accepted_kinds,
                              accepts_text | accepts_binary);
    ngx_conf_merge_size_value(own.max_message_size, outer.max_message_size,
                              1024 * 1024);
    ngx_conf_merge_msec_value(own.timeout, outer.timeout, 300000);
    ngx_conf_merge_msec_value(own.ping_interval, outer.ping_interval, 25000);
    ngx_conf_merge_msec_value(own.close_timeout, outer.close_timeout, 5000);
    ngx_conf_merge_msec_value(own.send_timeout, outer.send_timeout, 60000);
    ngx_conf_merge_size_value(own.send_queue, outer.send_queue, 1024 * 1024);
    ngx_conf_merge_uint_value(own.max_clients, outer.max_clients, 0);
    ngx_conf_merge_ptr_value(own.limit_messages, outer.limit_messages, nullptr);
    ngx_conf_merge_uint_value(own.request, outer.request,
                              static_cast<ngx_uint_t>(request_policy::keep));
    ngx_conf_merge_uint_value(
        own.full_policy, outer.full_policy,
        static_cast<ngx_uint_t>(full_queue_policy::close));

    // Not inherited as a number when the outer level left it to its own
    // message size
    if (own.max_frame_size == NGX_CONF_UNSET_SIZE) {
        own.max_frame_size = outer.max_frame_size;
    }

    own.ping_after = ping_after(own);
    merge_deflate(own, outer);
    merge_limits(own);

    if (own.max_frame_size == NGX_CONF_UNSET_SIZE) {
        own.limits.max_frame_size = own.max_message_size;
    }

    return NGX_CONF_OK;
}

} // namespace websocket::nginx
