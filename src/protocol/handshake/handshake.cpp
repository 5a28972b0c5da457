// Validates the opening handshake of a client, and computes the accept key.
#include "protocol/handshake/handshake.hpp"

#include <algorithm>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "protocol/text/tokens.hpp"

namespace websocket::protocol {

namespace {

constexpr std::size_t key_length = 24;
constexpr std::string_view supported_version = "13";

constexpr bool is_base64_digit(char c) noexcept
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '+' || c == '/';
}

// Sixteen bytes are 22 digits and "==". The last digit carries two bits, its
// upper ones; the others are zero in the canonical form.
bool is_base64_of_16_bytes(std::string_view text) noexcept
{
    constexpr std::string_view possible_last_digits = "AQgw";

    if (text.size() != key_length || !text.ends_with("==")) {
        return false;
    }
    const std::string_view digits = text.substr(0, key_length - 2);
    return std::all_of(digits.begin(), digits.end(), is_base64_digit) &&
           possible_last_digits.find(digits.back()) != std::string_view::npos;
}

} // namespace

std::string_view describe(handshake_error error) noexcept
{
    switch (error) {
    case handshake_error::none:
        return "the opening handshake is correct";
    case handshake_error::method_not_get:
        return "the method is not GET";
    case handshake_error::http_version_too_old:
        return "the HTTP version is below 1.1";
    case handshake_error::upgrade_missing:
        return "Upgrade does not name websocket";
    case handshake_error::connection_missing:
        return "Connection does not name upgrade";
    case handshake_error::version_missing:
        return "Sec-WebSocket-Version is missing";
    case handshake_error::version_unsupported:
        return "Sec-WebSocket-Version is not 13";
    case handshake_error::version_repeated:
        return "Sec-WebSocket-Version is repeated";
    case handshake_error::key_missing:
        return "Sec-WebSocket-Key is missing";
    case handshake_error::key_repeated:
        return "Sec-WebSocket-Key is repeated";
    case handshake_error::key_invalid:
        return "Sec-WebSocket-Key is not base64 of 16 bytes";
    case handshake_error::subprotocol_invalid:
        return "Sec-WebSocket-Protocol has a malformed or repeated name, none,"
               " or too many";
    }
    return "unknown handshake error";
}

unsigned http_status(handshake_error error) noexcept
{
    switch (error) {
    case handshake_error::none:
        return 101;
    case handshake_error::method_not_get:
        return 405;
    case handshake_error::http_version_too_old:
    case handshake_error::upgrade_missing:
    case handshake_error::connection_missing:
    case handshake_error::version_missing:
    case handshake_error::version_unsupported:
        return 426;
    default:
        return 400;
    }
}

bool asks_for_version(handshake_error error) noexcept
{
    return error == handshake_error::version_missing ||
           error == handshake_error::version_unsupported;
}

void opening_handshake::single_field::add(std::string_view text) noexcept
{
    if (seen) {
        repeated = true;
        return;
    }
    value = text;
    seen = true;
}

void opening_handshake::add_header(std::string_view name,
                                   std::string_view value) noexcept
{
    value = trim_white_space(value);

    if (equals_ignoring_case(name, "Upgrade")) {
        // RFC 9110 7.8 allows name/version, but RFC 6455 4.2.1 requires the
        // value "websocket" and registers no version. "websocket/13" is another
        // protocol.
        upgrade_names_websocket_ |= list_has_token(value, "websocket");
    } else if (equals_ignoring_case(name, "Connection")) {
        connection_names_upgrade_ |= list_has_token(value, "upgrade");
    } else if (equals_ignoring_case(name, "Sec-WebSocket-Key")) {
        key_.add(value);
    } else if (equals_ignoring_case(name, "Sec-WebSocket-Version")) {
        version_.add(value);
    } else if (equals_ignoring_case(name, "Sec-WebSocket-Protocol")) {
        add_subprotocols(value);
    } else if (equals_ignoring_case(name, "Origin")) {
        origin_.add(value);
    }
}

void opening_handshake::add_subprotocols(std::string_view value) noexcept
{
    if (subprotocol_field_count_ == max_subprotocol_fields) {
        too_many_subprotocol_fields_ = true;
        return;
    }
    subprotocols_[subprotocol_field_count_++] = value;
}

std::span<const std::string_view>
opening_handshake::subprotocol_fields() const noexcept
{
    return {subprotocols_.data(), subprotocol_field_count_};
}

handshake_error opening_handshake::check(std::string_view method,
                                         unsigned http_version) const noexcept
{
    if (method != "GET") {
        return handshake_error::method_not_get;
    }
    if (http_version < 1001) {
        return handshake_error::http_version_too_old;
    }
    if (!upgrade_names_websocket_) {
        return handshake_error::upgrade_missing;
    }
    if (!connection_names_upgrade_) {
        return handshake_error::connection_missing;
    }
    if (const auto error = check_version(); error != handshake_error::none) {
        return error;
    }
    if (const auto error = check_key(); error != handshake_error::none) {
        return error;
    }
    return check_subprotocols();
}

// RFC 6455 11.3.5: at most one field. Its value is one number without leading
// zeros (4.3), so neither "013" nor "13, 8" is version 13.
handshake_error opening_handshake::check_version() const noexcept
{
    if (!version_.seen) {
        return handshake_error::version_missing;
    }
    if (version_.repeated) {
        return handshake_error::version_repeated;
    }
    return version_.value == supported_version
               ? handshake_error::none
               : handshake_error::version_unsupported;
}

// RFC 6455 11.3.1: exactly one field.
handshake_error opening_handshake::check_key() const noexcept
{
    if (!key_.seen) {
        return handshake_error::key_missing;
    }
    if (key_.repeated) {
        return handshake_error::key_repeated;
    }
    return is_base64_of_16_bytes(key_.value) ? handshake_error::none
                                             : handshake_error::key_invalid;
}

// RFC 6455 4.1: the names are distinct tokens. 11.3.4: the fields are one list.
// 4.2.2: the list is not empty.
handshake_error opening_handshake::check_subprotocols() const noexcept
{
    constexpr auto invalid = handshake_error::subprotocol_invalid;
    std::array<std::string_view, max_subprotocols> names;
    auto end = names.begin();

    if (too_many_subprotocol_fields_) {
        return invalid;
    }
    for (const std::string_view field : subprotocol_fields()) {
        for (const std::string_view name : token_list(field)) {
            if (end == names.end() || !is_token(name) ||
                std::find(names.begin(), end, name) != end) {
                return invalid;
            }
            *end++ = name;
        }
    }
    const bool empty_offer =
        end == names.begin() && subprotocol_field_count_ > 0;
    return empty_offer ? invalid : handshake_error::none;
}

std::string_view opening_handshake::select_subprotocol(
    std::span<const std::string_view> preferred) const noexcept
{
    std::string_view selected;

    // Each name that is found leaves only the names that the server prefers to
    // it, so one pass over the offer is enough.
    for (const std::string_view field : subprotocol_fields()) {
        for (const std::string_view name : token_list(field)) {
            const auto found =
                std::find(preferred.begin(), preferred.end(), name);
            if (found != preferred.end()) {
                selected = *found;
                preferred = {preferred.begin(), found};
            }
        }
    }
    return selected;
}

bool opening_handshake::offers_subprotocol(std::string_view name) const noexcept
{
    const std::array<std::string_view, 1> wanted{name};
    return !select_subprotocol(wanted).empty();
}

std::size_t opening_handshake::offered_subprotocols(
    std::span<std::string_view> names) const noexcept
{
    std::size_t count = 0;

    for (const std::string_view field : subprotocol_fields()) {
        for (const std::string_view name : token_list(field)) {
            if (count == names.size()) {
                return count;
            }
            names[count++] = name;
        }
    }
    return count;
}

bool accept_key(std::string_view key, std::array<char, 28> &answer) noexcept
{
    constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<char, key_length + guid.size()> text;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned digest_length = 0;
    // EVP_EncodeBlock ends its text with a zero byte.
    std::array<unsigned char, 28 + 1> encoded;

    if (key.size() != key_length) {
        return false;
    }
    std::copy(guid.begin(), guid.end(),
              std::copy(key.begin(), key.end(), text.begin()));
    if (EVP_Digest(text.data(), text.size(), digest.data(), &digest_length,
                   EVP_sha1(), nullptr) != 1 ||
        digest_length != 20) {
        // OpenSSL would report an error left in the queue for the next TLS
        // connection of this thread.
        ERR_clear_error();
        return false;
    }
    EVP_EncodeBlock(encoded.data(), digest.data(), 20);
    std::copy_n(encoded.begin(), answer.size(), answer.begin());
    return true;
}

} // namespace websocket::protocol
