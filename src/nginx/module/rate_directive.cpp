// The directive websocket_limit_messages.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/messages/rate_limit.hpp"

#include <new>
#include <optional>

namespace websocket::nginx {

namespace {

using protocol::rate_limit;

struct rate_arguments {
    std::optional<std::uint32_t> messages;
    bool per_minute = false;
    std::optional<std::uint32_t> burst;
};

std::optional<std::uint32_t> read_number(std::string_view digits,
                                         std::uint32_t min) noexcept
{
    const ngx_str_t text = borrowed(digits);
    const ngx_int_t number = ngx_atoi(text.data, text.len);

    if (number < static_cast<ngx_int_t>(min) ||
        number > static_cast<ngx_int_t>(rate_limit::max)) {
        return std::nullopt;
    }

    return static_cast<std::uint32_t>(number);
}

// Accepts "10/s" and, as limit_req does, "10r/s". False for any other text.
bool read_rate(std::string_view text, rate_arguments &args) noexcept
{
    if (!text.ends_with("/s") && !text.ends_with("/m")) {
        return false;
    }

    args.per_minute = text.ends_with('m');
    text.remove_suffix(2);

    if (text.ends_with('r')) {
        text.remove_suffix(1);
    }

    args.messages = read_number(text, 1);
    return args.messages.has_value();
}

bool read_parameter(std::string_view text, rate_arguments &args) noexcept
{
    constexpr std::string_view rate = "rate=";
    constexpr std::string_view burst = "burst=";

    if (text.starts_with(rate) && !args.messages) {
        return read_rate(text.substr(rate.size()), args);
    }

    if (text.starts_with(burst) && !args.burst) {
        args.burst = read_number(text.substr(burst.size()), 0);
        return args.burst.has_value();
    }

    return false;
}

// The default burst is the messages of one second: messages do not arrive
// evenly, and clients often send two in a row.
rate_limit rate_of(const rate_arguments &args) noexcept
{
    const std::uint32_t messages = *args.messages;

    return args.per_minute
               ? rate_limit::per_minute(
                     messages, args.burst.value_or((messages + 59) / 60))
               : rate_limit::per_second(messages,
                                        args.burst.value_or(messages));
}

char *invalid_parameter(ngx_conf_t *cf, ngx_str_t &text)
{
    return conf_error(cf,
                      "invalid value \"%V\" in \"%V\" directive; expected "
                      "\"rate=N/s\" or \"rate=N/m\" with an optional "
                      "\"burst=N\", with N up to %uD, or \"off\"",
                      &text, &arguments(cf)[0], rate_limit::max);
}

} // namespace

char *set_limit_messages(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);
    const auto texts = arguments(cf).subspan(1);

    if (location.limit_messages != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    location.limit_messages = nullptr;

    if (texts.size() == 1 && view(texts[0]) == "off") {
        return NGX_CONF_OK;
    }

    rate_arguments args;

    for (ngx_str_t &text : texts) {
        if (!read_parameter(view(text), args)) {
            return invalid_parameter(cf, text);
        }
    }

    if (!args.messages) {
        return invalid_parameter(cf, texts[0]);
    }

    void *memory = ngx_palloc(cf->pool, sizeof(rate_limit));

    if (memory == nullptr) {
        return conf_failed();
    }

    location.limit_messages = new (memory) rate_limit(rate_of(args));
    return NGX_CONF_OK;
}

} // namespace websocket::nginx
