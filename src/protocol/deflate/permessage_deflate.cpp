// Negotiates the four parameters of permessage-deflate (RFC 7692 7.1).
#include "protocol/deflate/permessage_deflate.hpp"

#include "protocol/text/tokens.hpp"

#include <algorithm>
#include <utility>

namespace websocket::protocol {

namespace {

constexpr std::string_view extension_name = "permessage-deflate";
constexpr std::string_view server_no_context_takeover =
    "server_no_context_takeover";
constexpr std::string_view client_no_context_takeover =
    "client_no_context_takeover";
constexpr std::string_view server_max_window_bits = "server_max_window_bits";
constexpr std::string_view client_max_window_bits = "client_max_window_bits";

// 8 to 15 without leading zeros (7.1.2), else 0.
std::uint8_t window_of(std::string_view value) noexcept
{
    if (value == "8" || value == "9") {
        return static_cast<std::uint8_t>(value[0] - '0');
    }

    if (value.size() != 2 || value[0] != '1' || value[1] < '0' ||
        value[1] > '5') {
        return 0;
    }

    return static_cast<std::uint8_t>(10 + value[1] - '0');
}

} // namespace

deflate_response::deflate_response(const deflate_params &params) noexcept
{
    if (!params.agreed) {
        return;
    }

    add(extension_name);

    if (!params.server_takeover) {
        add("; ");
        add(server_no_context_takeover);
    }
    if (!params.client_takeover) {
        add("; ");
        add(client_no_context_takeover);
    }
    if (params.server_window_answered) {
        add_window(server_max_window_bits, params.server_window);
    }
    if (params.client_window_answered) {
        add_window(client_max_window_bits, params.client_window);
    }
}

void deflate_response::add(std::string_view text) noexcept
{
    // The name and all four parameters with punctuation
    static_assert(sizeof text_ >= extension_name.size() +
                                      server_no_context_takeover.size() +
                                      client_no_context_takeover.size() +
                                      server_max_window_bits.size() +
                                      client_max_window_bits.size() + 14);

    size_ += text.copy(text_.data() + size_, text_.size() - size_);
}

void deflate_response::add_window(std::string_view name,
                                  unsigned window) noexcept
{
    const std::array<char, 2> digits{static_cast<char>('0' + window / 10),
                                     static_cast<char>('0' + window % 10)};

    add("; ");
    add(name);
    add("=");
    add(std::string_view(digits.data(), digits.size())
            .substr(window < 10 ? 1 : 0));
}

void deflate_negotiation::add_header(std::string_view name,
                                     std::string_view value) noexcept
{
    if (settings_->enabled &&
        equals_ignoring_case(name, "Sec-WebSocket-Extensions")) {
        read(value);
    }
}

void deflate_negotiation::read(std::string_view value) noexcept
{
    using part = extension_reader::part;
    extension_reader reader{value};
    offer current;

    for (;;) {
        switch (reader.next()) {
        case part::extension:
            end_offer(current);
            current = {.possible = reader.name() == extension_name};
            break;
        case part::parameter:
            current.possible = current.possible && current.take(reader);
            break;
        case part::end:
            end_offer(current);
            return;
        case part::malformed:
            malformed_ = true;
            return;
        }
    }
}

// False if the parameter declines the offer (7.1): it is unknown or repeated,
// or its value is missing, illegal or out of range.
bool deflate_negotiation::offer::take(
    const extension_reader &parameter) noexcept
{
    const std::string_view name = parameter.name();

    if (name == server_no_context_takeover) {
        return !parameter.has_value() &&
               !std::exchange(server_no_takeover, true);
    }

    if (name == client_no_context_takeover) {
        return !parameter.has_value() &&
               !std::exchange(client_no_takeover, true);
    }

    if (name == server_max_window_bits) {
        const std::uint8_t window = window_of(parameter.value());

        return parameter.has_value() &&
               std::exchange(server_window, window) == 0 &&
               window >= smallest_deflate_window;
    }

    if (name == client_max_window_bits) {
        client_window = parameter.has_value() ? window_of(parameter.value())
                                              : largest_window;

        return !std::exchange(client_window_offered, true) &&
               client_window >= smallest_window;
    }

    return false;
}

void deflate_negotiation::end_offer(const offer &ended) noexcept
{
    if (!ended.possible || result_.agreed) {
        return;
    }

    result_.agreed = true;
    result_.server_takeover =
        settings_->context_takeover && !ended.server_no_takeover;
    result_.client_takeover =
        settings_->context_takeover && !ended.client_no_takeover;
    result_.server_window = settings_->window;

    if (ended.server_window != 0) {
        result_.server_window =
            std::min(settings_->window, ended.server_window);
        result_.server_window_answered = true;
    }

    if (ended.client_window_offered) {
        result_.client_window =
            std::min(settings_->client_window, ended.client_window);
        result_.client_window_answered =
            result_.client_window != largest_window;
    }
}

} // namespace websocket::protocol
