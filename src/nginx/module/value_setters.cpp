// The setters of directives that take sizes, times, numbers and keywords.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/frames/close_code.hpp"

#include <cstdint>
#include <limits>

namespace websocket::nginx {

namespace {

constexpr char expected_time[] = "a time longer than 0, such as \"30s\"";
constexpr char expected_time_or_off[] =
    "a time longer than 0, such as \"30s\", or \"off\"";

char *read_time(ngx_conf_t *cf, ngx_msec_t &time, const char *expected) noexcept
{
    ngx_str_t &value = arguments(cf)[1];
    const ngx_int_t parsed = ngx_parse_time(&value, 0);

    if (parsed == NGX_ERROR || parsed == 0) {
        return invalid_value(cf, value, expected);
    }

    time = static_cast<ngx_msec_t>(parsed);
    return NGX_CONF_OK;
}

} // namespace

char *set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &time = field<ngx_msec_t>(conf, cmd->offset);

    return time != NGX_CONF_UNSET_MSEC ? duplicate()
                                       : read_time(cf, time, expected_time);
}

char *set_time_or_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &time = field<ngx_msec_t>(conf, cmd->offset);

    if (time != NGX_CONF_UNSET_MSEC) {
        return duplicate();
    }

    if (view(arguments(cf)[1]) == "off") {
        time = 0;
        return NGX_CONF_OK;
    }

    return read_time(cf, time, expected_time_or_off);
}

namespace {

char *read_size(ngx_conf_t *cf, size_t &size) noexcept
{
    ngx_str_t &value = arguments(cf)[1];
    const ssize_t parsed = parse_size(value);

    if (parsed == NGX_ERROR || parsed == 0) {
        return invalid_value(cf, value,
                             "a size larger than 0, such as \"64k\"");
    }

    size = static_cast<size_t>(parsed);
    return NGX_CONF_OK;
}

} // namespace

char *set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &size = field<size_t>(conf, cmd->offset);

    return size != NGX_CONF_UNSET_SIZE ? duplicate() : read_size(cf, size);
}

// 0 is allowed: websocket_deflate_min_length may be that of any message.
char *set_length(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &length = field<size_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (length != NGX_CONF_UNSET_SIZE) {
        return duplicate();
    }

    const ssize_t parsed = parse_size(value);

    if (parsed == NGX_ERROR) {
        return invalid_value(cf, value, "a size, such as \"64\"");
    }

    length = static_cast<size_t>(parsed);
    return NGX_CONF_OK;
}

namespace {

// Enough for workers to serve some rooms; their slots come on top.
constexpr size_t min_shared_memory = 512 * 1024;

// The largest memory whose blocks the broker can number.
constexpr std::uint64_t max_shared_memory = std::uint64_t{8} << 30;

// Enough for a message and the longest name.
constexpr size_t min_room_memory = 8 * 1024;

} // namespace

char *set_shared_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *result = set_size(cf, cmd, conf);
    const size_t size = field<size_t>(conf, cmd->offset);

    return result == NGX_CONF_OK &&
                   (size < min_shared_memory || size > max_shared_memory)
               ? invalid_value(cf, arguments(cf)[1], "a size from 512k to 8g")
               : result;
}

char *set_room_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *result = set_size(cf, cmd, conf);

    return result == NGX_CONF_OK &&
                   field<size_t>(conf, cmd->offset) < min_room_memory
               ? invalid_value(cf, arguments(cf)[1], "a size of at least 8k")
               : result;
}

namespace {

// A status code that a server's Close frame may carry; 0 for any other text.
std::uint16_t read_close_code(const ngx_str_t &value) noexcept
{
    const ngx_int_t number = ngx_atoi(value.data, value.len);

    if (number < 0 || number > std::numeric_limits<std::uint16_t>::max()) {
        return 0;
    }

    const auto code = static_cast<std::uint16_t>(number);
    return protocol::close_code::is_valid_on_wire(code) ? code : 0;
}

} // namespace

char *set_drain(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &main = *static_cast<main_configuration *>(conf);
    const auto args = arguments(cf);

    if (main.drain_time != NGX_CONF_UNSET_MSEC) {
        return duplicate();
    }

    const ngx_int_t time = ngx_parse_time(&args[1], 0);

    if (time == NGX_ERROR) {
        return invalid_value(cf, args[1], "a time, such as \"30s\"");
    }

    main.drain_time = static_cast<ngx_msec_t>(time);

    if (args.size() < 3) {
        return NGX_CONF_OK;
    }

    main.drain_code = read_close_code(args[2]);

    if (main.drain_code == 0) {
        return invalid_value(cf, args[2],
                             "a close code that a server may send: 1000-1003, "
                             "1007-1014 or 3000-4999");
    }

    return NGX_CONF_OK;
}

char *set_max_clients(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &limit = field<ngx_uint_t>(conf, cmd->offset);
    ngx_str_t &value = arguments(cf)[1];

    if (limit != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    if (view(value) == "off") {
        limit = 0;
        return NGX_CONF_OK;
    }

    const ngx_int_t number = ngx_atoi(value.data, value.len);

    if (number <= 0 || number > std::numeric_limits<std::int32_t>::max()) {
        return invalid_value(cf, value,
                             "a number from 1 to 2147483647, or \"off\"");
    }

    limit = static_cast<ngx_uint_t>(number);
    return NGX_CONF_OK;
}

char *set_send_queue(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    if (location.send_queue != NGX_CONF_UNSET_SIZE) {
        return duplicate();
    }

    if (read_size(cf, location.send_queue) != NGX_CONF_OK) {
        return conf_failed();
    }

    full_queue_policy policy = full_queue_policy::close;

    if (args.size() == 3 && view(args[2]) == "drop") {
        policy = full_queue_policy::drop;

    } else if (args.size() == 3 && view(args[2]) != "close") {
        return invalid_value(cf, args[2],
                             "\"close\" or \"drop\" after the size");
    }

    location.full_policy = static_cast<ngx_uint_t>(policy);
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
        return invalid_value(cf, value, "\"keep\" or \"release\"");
    }

    policy = static_cast<ngx_uint_t>(
        view(value) == "keep" ? request_policy::keep : request_policy::release);
    return NGX_CONF_OK;
}

char *set_accept(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);

    if (location.accepted_kinds != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    ngx_uint_t kinds = 0;

    for (ngx_str_t &value : arguments(cf).subspan(1)) {
        const ngx_uint_t kind = view(value) == "text"     ? accepts_text
                                : view(value) == "binary" ? accepts_binary
                                                          : 0;
        if (kind == 0 || (kinds & kind) != 0) {
            return invalid_value(cf, value,
                                 "\"text\", \"binary\", or each of them once");
        }

        kinds |= kind;
    }

    location.accepted_kinds = kinds;
    return NGX_CONF_OK;
}

ngx_http_complex_value_t *compile_value(ngx_conf_t *cf, ngx_str_t &text)
{
    ngx_http_compile_complex_value_t compile{};
    auto *value = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));

    if (value == nullptr) {
        return nullptr;
    }

    compile.cf = cf;
    compile.value = &text;
    compile.complex_value = value;
    return ngx_http_compile_complex_value(&compile) == NGX_OK ? value : nullptr;
}

} // namespace websocket::nginx
