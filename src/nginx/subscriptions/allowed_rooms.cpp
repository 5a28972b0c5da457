// Compares names with patterns. The values of variables are compared as they
// are: a "*" in a value is no wildcard.
#include "nginx/subscriptions/allowed_rooms.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/resource/subscription_set.hpp"

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>

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

bool evaluate_patterns(session &client, ngx_http_request_t *r) noexcept
try {
    const auto patterns = patterns_of(client.configuration().room_patterns);
    auto names =
        std::make_unique<std::optional<std::string>[]>(patterns.size());
    bool needed = false;

    for (std::size_t i = 0; i != patterns.size(); i++) {
        if (patterns[i].has_variables) {
            names[i] = evaluate(patterns[i], r);
            needed = true;
        }
    }

    if (needed) {
        client.subscriptions() =
            std::make_unique<subscription_set>(client.connection()->log);
        client.subscriptions()->allowed = std::move(names);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

const room_pattern *pattern_of(const session &client,
                               std::string_view name) noexcept
{
    const auto patterns = patterns_of(client.configuration().room_patterns);
    const subscription_set *places = client.subscriptions();

    for (std::size_t i = 0; i != patterns.size(); i++) {
        const room_pattern &pattern = patterns[i];

        if (!pattern.has_variables) {
            if (fits(name, pattern.text, pattern.prefix)) {
                return &pattern;
            }

            // Values are known from the handshake to the end of the client
        } else if (places != nullptr && places->allowed) {
            const std::optional<std::string> &text = places->allowed[i];

            if (text && fits(name, *text, pattern.prefix)) {
                return &pattern;
            }
        }
    }

    return nullptr;
}

} // namespace websocket::nginx
