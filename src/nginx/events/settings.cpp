// Reads and checks the parameters of `websocket http`.
#include "nginx/events/settings.hpp"

#include "nginx/core/directive_args.hpp"
#include "nginx/core/log_line.hpp"

#include <array>
#include <string_view>

namespace websocket::nginx::backend {

namespace {

constexpr ngx_msec_t default_timeout = 30'000;
constexpr ngx_uint_t default_concurrency = 100;

constexpr std::array<std::string_view, 3> event_names{"connect", "message",
                                                      "disconnect"};

bool is_location_name(std::string_view text) noexcept
{
    return text.size() > 1 && (text[0] == '@' || text[0] == '/');
}

const char *read_pass(ngx_str_t value, settings &to) noexcept
{
    constexpr const char *expected = "a URI or the name of a location";

    if (value.len == 1 ? value.data[0] != '/'
                       : !is_location_name(view(value))) {
        return expected;
    }

    to.pass = value;

    if (!to.passes_to_name()) {
        const std::size_t mark = view(value).find('?');

        if (mark != std::string_view::npos) {
            to.pass.len = mark;
            to.pass_args = {value.len - mark - 1, value.data + mark + 1};
        }
    }

    return nullptr;
}

const char *read_events(std::string_view value, settings &to) noexcept
{
    to.events = 0;

    while (true) {
        const std::string_view name = value.substr(0, value.find(','));
        std::size_t kind = 0;

        while (kind != event_names.size() && event_names[kind] != name) {
            kind++;
        }

        if (kind == event_names.size() || (to.events >> kind & 1) != 0) {
            return "connect, message or disconnect, each once, separated by "
                   "commas";
        }

        to.events |= static_cast<std::uint8_t>(1U << kind);

        if (name.size() == value.size()) {
            return nullptr;
        }

        value.remove_prefix(name.size() + 1);
    }
}

const char *read_timeout(ngx_str_t value, settings &to) noexcept
{
    const ngx_int_t time = ngx_parse_time(&value, 0);

    if (time == NGX_ERROR || time == 0) {
        return "a time above 0";
    }

    to.timeout = static_cast<ngx_msec_t>(time);
    return nullptr;
}

const char *read_concurrency(ngx_str_t value, settings &to) noexcept
{
    const ngx_int_t number = ngx_atoi(value.data, value.len);

    if (number <= 0) {
        return "a number above 0";
    }

    to.concurrency = static_cast<ngx_uint_t>(number);
    return nullptr;
}

const char *read_on_error(std::string_view value, settings &to) noexcept
{
    if (value != "close" && value != "report") {
        return "close or report";
    }

    to.closes_on_error = value == "close";
    return nullptr;
}

// Returns what is expected instead, or null.
const char *read_parameter(const named_value &given, settings &to) noexcept
{
    const ngx_str_t value = borrowed(given.value);

    if (given.name == "pass") {
        return read_pass(value, to);
    }
    if (given.name == "events") {
        return read_events(given.value, to);
    }
    if (given.name == "timeout") {
        return read_timeout(value, to);
    }
    if (given.name == "concurrency") {
        return read_concurrency(value, to);
    }
    if (given.name == "on_error") {
        return read_on_error(given.value, to);
    }

    return "one of pass, events, timeout, concurrency and on_error";
}

bool is_repeated(parameter_list parameters, const named_value &given) noexcept
{
    for (const named_value &each : parameters) {
        if (&each == &given) {
            return false;
        }
        if (each.name == given.name) {
            return true;
        }
    }

    return false;
}

} // namespace

std::string_view name_of(event_kind kind) noexcept
{
    return event_names[static_cast<std::size_t>(kind)];
}

settings *read_settings(ngx_conf_t *cf, parameter_list parameters) noexcept
{
    auto *to = static_cast<settings *>(ngx_pcalloc(cf->pool, sizeof(settings)));

    if (to == nullptr) {
        return nullptr;
    }

    to->events = (1U << event_names.size()) - 1;
    to->closes_on_error = true;
    to->timeout = default_timeout;
    to->concurrency = default_concurrency;
    to->pool = cf->pool;
    to->server = static_cast<ngx_http_core_srv_conf_t *>(
        ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module));

    for (const named_value &each : parameters) {
        const bool repeated = is_repeated(parameters, each);

        if (const char *expected =
                repeated ? "each parameter once" : read_parameter(each, *to);
            expected != nullptr) {
            ngx_str_t name = borrowed(each.name);
            ngx_str_t value = borrowed(each.value);

            conf_error(cf,
                       "invalid parameter \"%V=%V\" of handler \"http\" in "
                       "\"websocket\" directive; expected %s",
                       &name, &value, expected);
            return nullptr;
        }
    }

    if (to->pass.len == 0) {
        conf_error(cf, "the handler \"http\" in \"websocket\" directive needs "
                       "the parameter \"pass=URI\" or \"pass=@name\"");
        return nullptr;
    }

    return to;
}

std::uint32_t id_of(const settings &of, std::string_view location,
                    std::string_view key) noexcept
{
    std::uint32_t sum;

    ngx_crc32_init(sum);

    for (const std::string_view part :
         {view(of.server->server_name), location, key, view(of.pass)}) {
        ngx_crc32_update(&sum, borrowed(part).data, part.size());
        ngx_crc32_update(&sum, borrowed("\n").data, 1);
    }

    ngx_crc32_final(sum);
    return sum;
}

bool check_pass(ngx_conf_t *cf, const settings &of) noexcept
{
    if (!of.passes_to_name()) {
        return true; // the locations of URIs are found by each request
    }

    for (auto **at = of.server->named_locations;
         at != nullptr && *at != nullptr; at++) {
        if (view((*at)->name) == view(of.pass)) {
            return true;
        }
    }

    write_log(NGX_LOG_EMERG, cf->log,
              "websocket: the server \"%V\" has no location \"%V\", which "
              "\"pass\" of a \"websocket\" directive names",
              of.server->server_name, of.pass);
    return false;
}

} // namespace websocket::nginx::backend
