// The directive that takes a rate: websocket_limit_messages.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/rate_limit.hpp"

#include <new>
#include <optional>

namespace websocket::nginx {

namespace {

using protocol::message_rate;

struct wanted_rate {
    std::optional<std::uint32_t> messages;
    bool per_minute = false;
    std::optional<std::uint32_t> burst;
};

std::optional<std::uint32_t> read_number(std::string_view digits,
                                         std::uint32_t least) noexcept
{
    const ngx_str_t text = borrowed(digits);
    const ngx_int_t number = ngx_atoi(text.data, text.len);

    if (number < static_cast<ngx_int_t>(least) ||
        number > static_cast<ngx_int_t>(message_rate::most)) {
        return std::nullopt;
    }

    return static_cast<std::uint32_t>(number);
}

// False if it is no rate: limit_req has taught people to write "10r/s" too.
bool read_rate(std::string_view text, wanted_rate &wanted) noexcept
{
    if (!text.ends_with("/s") && !text.ends_with("/m")) {
        return false;
    }

    wanted.per_minute = text.ends_with('m');
    text.remove_suffix(2);

    if (text.ends_with('r')) {
        text.remove_suffix(1);
    }

    wanted.messages = read_number(text, 1);
    return wanted.messages.has_value();
}

bool read_word(std::string_view word, wanted_rate &wanted) noexcept
{
    constexpr std::string_view rate = "rate=";
    constexpr std::string_view burst = "burst=";

    if (word.starts_with(rate) && !wanted.messages) {
        return read_rate(word.substr(rate.size()), wanted);
    }

    if (word.starts_with(burst) && !wanted.burst) {
        wanted.burst = read_number(word.substr(burst.size()), 0);
        return wanted.burst.has_value();
    }

    return false;
}

// Unless it is said, what comes in a second may come at once: messages do not
// arrive evenly, and two are often sent in a row.
message_rate rate_of(const wanted_rate &wanted) noexcept
{
    const std::uint32_t messages = *wanted.messages;

    return wanted.per_minute
               ? message_rate::per_minute(
                     messages, wanted.burst.value_or((messages + 59) / 60))
               : message_rate::per_second(messages,
                                          wanted.burst.value_or(messages));
}

char *explain(ngx_conf_t *cf, ngx_command_t *cmd, ngx_str_t &word)
{
    WEBSOCKET_SAY(cf,
                  "\"%V\" takes \"rate=10/s\" or \"rate=30/m\", and "
                  "\"burst=20\", with numbers up to %uD, or \"off\", not "
                  "\"%V\"",
                  &cmd->name, message_rate::most, &word);
    return refuse();
}

} // namespace

char *set_limit_messages(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    const auto words = arguments(cf).subspan(1);

    if (own.limit_messages != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    own.limit_messages = nullptr;

    if (words.size() == 1 && view(words[0]) == "off") {
        return NGX_CONF_OK;
    }

    wanted_rate wanted;

    for (ngx_str_t &word : words) {
        if (!read_word(view(word), wanted)) {
            return explain(cf, cmd, word);
        }
    }

    if (!wanted.messages) {
        return explain(cf, cmd, words[0]);
    }

    void *place = ngx_palloc(cf->pool, sizeof(message_rate));

    if (place == nullptr) {
        return refuse();
    }

    own.limit_messages = new (place) message_rate(rate_of(wanted));
    return NGX_CONF_OK;
}

} // namespace websocket::nginx
