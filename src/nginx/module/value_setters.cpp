// The setters of directives that take sizes, times, numbers and words.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/close_code.hpp"

#include <cstdint>
#include <limits>

namespace websocket::nginx {

char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &time = field<ngx_msec_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (time != NGX_CONF_UNSET_MSEC) {
        return duplicate();
    }

    const ngx_int_t parsed = ngx_parse_time(&value, 0);

    if (parsed == NGX_ERROR || parsed == 0) {
        WEBSOCKET_SAY(
            cf,
            "\"%V\" takes a time longer than 0, such as \"30s\", not \"%V\"",
            &cmd->name, &value);
        return refuse();
    }

    time = static_cast<ngx_msec_t>(parsed);
    return NGX_CONF_OK;
}

char *set_time_or_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &time = field<ngx_msec_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (time != NGX_CONF_UNSET_MSEC) {
        return duplicate();
    }

    if (view(value) == "off") {
        time = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t parsed = ngx_parse_time(&value, 0);

    if (parsed == NGX_ERROR || parsed == 0) {
        WEBSOCKET_SAY(
            cf,
            "\"%V\" takes a time longer than 0, such as \"30s\", or \"off\", "
            "not \"%V\"",
            &cmd->name, &value);
        return refuse();
    }

    time = static_cast<ngx_msec_t>(parsed);
    return NGX_CONF_OK;
}

namespace {

// False, and said so, if the value is no size above 0.
bool read_size(ngx_conf_t *cf, ngx_command_t *cmd, ngx_str_t &value,
               size_t &size)
{
    const ssize_t parsed = parse_size(value);

    if (parsed == NGX_ERROR || parsed == 0) {
        WEBSOCKET_SAY(
            cf,
            "\"%V\" takes a size larger than 0, such as \"64k\", not \"%V\"",
            &cmd->name, &value);
        return false;
    }

    size = static_cast<size_t>(parsed);
    return true;
}

} // namespace

char *set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &size = field<size_t>(conf, cmd->offset);

    if (size != NGX_CONF_UNSET_SIZE) {
        return duplicate();
    }

    return read_size(cf, cmd, arguments(cf)[1], size) ? NGX_CONF_OK : refuse();
}

namespace {

// For workers to serve any rooms at all; the pages come on top.
constexpr size_t least_shared_memory = 512 * 1024;

// What the broker has numbers for.
constexpr std::uint64_t most_shared_memory = std::uint64_t{8} << 30;

} // namespace

char *set_shared_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *outcome = set_size(cf, cmd, conf);
    const size_t size = field<size_t>(conf, cmd->offset);

    if (outcome == NGX_CONF_OK &&
        (size < least_shared_memory || size > most_shared_memory)) {
        WEBSOCKET_SAY(cf, "\"%V\" takes at %s, not \"%V\"", &cmd->name,
                      size < least_shared_memory ? "least 512k" : "most 8g",
                      &arguments(cf)[1]);
        return refuse();
    }

    return outcome;
}

namespace {

// For a message beside the longest name.
constexpr size_t least_room_memory = 8 * 1024;

} // namespace

char *set_room_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *outcome = set_size(cf, cmd, conf);

    if (outcome == NGX_CONF_OK &&
        field<size_t>(conf, cmd->offset) < least_room_memory) {
        WEBSOCKET_SAY(cf, "\"%V\" takes at least 8k, not \"%V\"", &cmd->name,
                      &arguments(cf)[1]);
        return refuse();
    }

    return outcome;
}

namespace {

// A code that a Close frame of a server may carry, 0 for what is none.
std::uint16_t read_close_code(const ngx_str_t &value) noexcept
{
    const ngx_int_t number = ngx_atoi(value.data, value.len);

    if (number < 0 || number > std::numeric_limits<std::uint16_t>::max()) {
        return 0;
    }

    const auto code = static_cast<std::uint16_t>(number);
    return protocol::close_code::may_travel(code) ? code : 0;
}

} // namespace

char *set_drain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<main_configuration *>(conf);
    const auto args = arguments(cf);

    if (own.drain_time != NGX_CONF_UNSET_MSEC) {
        return duplicate();
    }

    const ngx_int_t time = ngx_parse_time(&args[1], 0);

    if (time == NGX_ERROR) {
        WEBSOCKET_SAY(cf, "\"%V\" takes a time, such as \"30s\", not \"%V\"",
                      &cmd->name, &args[1]);
        return refuse();
    }

    own.drain_time = static_cast<ngx_msec_t>(time);
    own.drain_code = args.size() == 3 ? read_close_code(args[2])
                                      : protocol::close_code::going_away;

    if (own.drain_code == 0) {
        WEBSOCKET_SAY(cf,
                      "\"%V\" takes a status code that may be sent, such as "
                      "1001, 1012 or 3000 to 4999, not \"%V\"",
                      &cmd->name, &args[2]);
        return refuse();
    }

    return NGX_CONF_OK;
}

char *set_max_clients(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &most = field<ngx_uint_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (most != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    if (view(value) == "off") {
        most = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t number = ngx_atoi(value.data, value.len);

    if (number <= 0 || number > std::numeric_limits<std::int32_t>::max()) {
        WEBSOCKET_SAY(
            cf, "\"%V\" takes a number larger than 0, or \"off\", not \"%V\"",
            &cmd->name, &value);
        return refuse();
    }

    most = static_cast<ngx_uint_t>(number);
    return NGX_CONF_OK;
}

char *set_send_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    if (own.send_queue != NGX_CONF_UNSET_SIZE) {
        return duplicate();
    }

    if (!read_size(cf, cmd, args[1], own.send_queue)) {
        return refuse();
    }

    full_queue_policy policy = full_queue_policy::close;

    if (args.size() == 3 && view(args[2]) == "drop") {
        policy = full_queue_policy::drop;

    } else if (args.size() == 3 && view(args[2]) != "close") {
        WEBSOCKET_SAY(
            cf, "\"%V\" takes \"close\" or \"drop\" after the size, not \"%V\"",
            &cmd->name, &args[2]);
        return refuse();
    }

    own.full_policy = static_cast<ngx_uint_t>(policy);
    return NGX_CONF_OK;
}

char *set_request(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &policy = field<ngx_uint_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (policy != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    if (view(value) != "keep" && view(value) != "release") {
        WEBSOCKET_SAY(cf, "\"%V\" takes \"keep\" or \"release\", not \"%V\"",
                      &cmd->name, &value);
        return refuse();
    }

    policy = static_cast<ngx_uint_t>(
        view(value) == "keep" ? request_policy::keep : request_policy::release);
    return NGX_CONF_OK;
}

char *set_accept(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);

    if (own.accepted_kinds != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    ngx_uint_t kinds = 0;

    for (ngx_str_t &value : arguments(cf).subspan(1)) {
        const ngx_uint_t kind = view(value) == "text"     ? accepts_text
                                : view(value) == "binary" ? accepts_binary
                                                          : 0;
        if (kind == 0 || (kinds & kind) != 0) {
            WEBSOCKET_SAY(
                cf, "\"%V\" takes \"text\" or \"binary\" or both, not \"%V\"%s",
                &cmd->name, &value, kind == 0 ? "" : " twice");
            return refuse();
        }

        kinds |= kind;
    }

    own.accepted_kinds = kinds;
    return NGX_CONF_OK;
}

// A message of any size may be worth it.
char *set_length(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &length = field<size_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (length != NGX_CONF_UNSET_SIZE) {
        return duplicate();
    }

    const ssize_t parsed = parse_size(value);

    if (parsed == NGX_ERROR) {
        WEBSOCKET_SAY(cf, "\"%V\" takes a size, such as \"64\", not \"%V\"",
                      &cmd->name, &value);
        return refuse();
    }

    length = static_cast<size_t>(parsed);
    return NGX_CONF_OK;
}

} // namespace websocket::nginx
