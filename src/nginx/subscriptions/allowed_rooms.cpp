// Compares names with patterns. The values of variables are compared as they
// are: a "*" in a value is no wildcard.
#include "nginx/subscriptions/allowed_rooms.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/resource/subscription_set.hpp"

#include <cstddef>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Nothing if a variable is empty.
std::optional<std::string> evaluate(const room_pattern &pattern,
                                    ngx_http_request_t *r)
{
    std::string text;

    for (const pattern_piece &piece : pattern.pieces) {
        if (piece.variable == NGX_ERROR) {
            text += piece.text;
            continue;
        }

        const ngx_http_variable_value_t *value = ngx_http_get_indexed_variable(
            r, static_cast<ngx_uint_t>(piece.variable));

        if (value == nullptr || value->not_found || value->len == 0) {
            return std::nullopt;
        }

        text.append(reinterpret_cast<const char *>(value->data), value->len);
    }

    return text;
}

bool fits(std::string_view name, std::string_view text, bool prefix) noexcept
{
    return prefix ? name.starts_with(text) : name == text;
}

} // namespace

std::unique_ptr<std::optional<std::string>[]>
values_of(std::span<const room_pattern> patterns, ngx_http_request_t *r) {
    std::unique_ptr<std::optional<std::string>[]> values;

    for (std::size_t i = 0; i != patterns.size(); i++) {
        if (!patterns[i].has_variables) {
            continue;
        }

        if (!values) {
            values =
                std::make_unique<std::optional<std::string>[]>(patterns.size());
        }

        values[i] = evaluate(patterns[i], r);
    }

    return values;
}

bool evaluate_patterns(session &client, ngx_http_request_t *r) noexcept
try {
    auto values =
        values_of(patterns_of(client.configuration().room_patterns), r);

    if (values) {
        client.subscriptions() =
            std::make_unique<subscription_set>(client.connection()->log);
        client.subscriptions()->allowed = std::move(values);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

const room_pattern *pattern_of(std::span<const room_pattern> patterns,
                               const std::optional<std::string> *values,
                               std::string_view name) noexcept
{
    for (std::size_t i = 0; i != patterns.size(); i++) {
        const room_pattern &pattern = patterns[i];

        if (pattern.has_variables ? values != nullptr && values[i] &&
                                        fits(name, *values[i], pattern.prefix)
                                  : fits(name, pattern.text, pattern.prefix)) {
            return &pattern;
        }
    }

    return nullptr;
}

// Values are known from the handshake to the end of the client.
const room_pattern *pattern_of(const session &client,
                               std::string_view name) noexcept
{
    const subscription_set *places = client.subscriptions();

    return pattern_of(patterns_of(client.configuration().room_patterns),
                      places == nullptr ? nullptr : places->allowed.get(),
                      name);
}

} // namespace websocket::nginx
