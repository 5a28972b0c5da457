// Which origins may open a WebSocket here (RFC 6455 4.2.2 and 10.2).
#include "protocol/origin.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

#include "protocol/tokens.hpp"

namespace websocket::protocol {

namespace {

// What is wrong with a text, for the person who wrote it; empty if nothing.
using fault = std::string_view;

constexpr fault bad_form =
    "expected https://host[:port], http://host[:port] or *.host[:port]";
constexpr fault bad_host =
    "the host has to be a name or an IPv6 address in brackets";
constexpr fault bad_letters =
    "a host with non-ASCII letters has to be written in its xn-- form";
constexpr fault bad_port = "the port has to be a number from 1 to 65535";
constexpr fault has_path = "nothing may follow the host and port, not even /";
constexpr fault address_below =
    "*. has to be followed by a name, not by an address";

struct authority {
    std::string_view host;
    std::uint16_t port = 0; // 0: not given
};

struct parsed_origin {
    authority at;
    std::uint16_t default_port = 0;

    std::uint16_t port() const noexcept
    {
        return at.port != 0 ? at.port : default_port;
    }
    bool secure() const noexcept { return default_port == 443; }
};

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

constexpr bool is_name_char(char c) noexcept
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '-' || c == '_' || c == '.';
}

constexpr bool is_address_char(char c) noexcept
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
           c == ':' || c == '.';
}

// Labels between single dots; one dot at the end may stand for the DNS root.
bool is_name(std::string_view host) noexcept
{
    return !host.empty() && !host.starts_with('.') &&
           host.find("..") == std::string_view::npos &&
           std::all_of(host.begin(), host.end(), is_name_char);
}

// Only the characters are checked: addresses are compared as text, so one
// that means nothing equals no origin that a browser sends.
bool is_bracketed_address(std::string_view host) noexcept
{
    if (!host.starts_with('[') || !host.ends_with(']')) {
        return false;
    }
    const std::string_view inner = host.substr(1, host.size() - 2);
    return std::count(inner.begin(), inner.end(), ':') >= 2 &&
           std::all_of(inner.begin(), inner.end(), is_address_char);
}

// Browsers write no leading zero, so a port has one form only.
bool parse_port(std::string_view text, std::uint16_t &port) noexcept
{
    if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit) ||
        text.front() == '0') {
        return false;
    }
    const char *end = text.data() + text.size();
    return std::from_chars(text.data(), end, port).ec == std::errc();
}

fault judge_host(std::string_view host) noexcept
{
    if (is_name(host) || is_bracketed_address(host)) {
        return {};
    }
    if (host.starts_with('*')) {
        return bad_form;
    }
    const bool ascii = std::all_of(host.begin(), host.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x80;
    });
    return ascii ? bad_host : bad_letters;
}

// Takes host[:port], the whole of the text.
fault parse_authority(std::string_view text, authority &result) noexcept
{
    if (text.find('/') != std::string_view::npos) {
        return has_path;
    }
    // The colons of an address are behind its bracket.
    const std::size_t from =
        text.starts_with('[') ? std::min(text.find(']'), text.size()) : 0;
    const std::size_t colon = std::min(text.find(':', from), text.size());

    result.host = text.substr(0, colon);
    if (const fault found = judge_host(result.host); !found.empty()) {
        return found;
    }
    if (colon < text.size() &&
        !parse_port(text.substr(colon + 1), result.port)) {
        return bad_port;
    }
    return {};
}

fault parse_origin(std::string_view text, parsed_origin &result) noexcept
{
    constexpr std::string_view separator = "://";
    const std::size_t end = text.find(separator);

    if (end == std::string_view::npos) {
        return bad_form;
    }
    const std::string_view scheme = text.substr(0, end);
    if (equals_ignoring_case(scheme, "https")) {
        result.default_port = 443;
    } else if (equals_ignoring_case(scheme, "http")) {
        result.default_port = 80;
    } else {
        return bad_form;
    }
    return parse_authority(text.substr(end + separator.size()), result.at);
}

// Without this rule "*.0.0.1" would match the address 127.0.0.1.
bool is_address(std::string_view host) noexcept
{
    if (host.starts_with('[')) {
        return true;
    }
    if (host.ends_with('.')) {
        host.remove_suffix(1);
    }
    const std::string_view last = host.substr(host.rfind('.') + 1);
    return std::all_of(last.begin(), last.end(), is_digit);
}

// The dot is compared too: "evil-example.com" is not below "example.com".
bool is_below(std::string_view host, std::string_view parent) noexcept
{
    if (host.size() <= parent.size()) {
        return false;
    }
    const std::size_t dot = host.size() - parent.size() - 1;
    return host[dot] == '.' &&
           equals_ignoring_case(host.substr(dot + 1), parent);
}

} // namespace

std::optional<origin_pattern>
origin_pattern::parse(std::string_view text, std::string_view *reason) noexcept
{
    parsed_origin origin;
    kind what = kind::subdomains;
    fault found;

    if (text.starts_with("*.")) {
        found = parse_authority(text.substr(2), origin.at);
        if (found.empty() && is_address(origin.at.host)) {
            found = address_below;
        }
    } else {
        found = parse_origin(text, origin);
        what = origin.secure() ? kind::https : kind::http;
    }
    if (!found.empty()) {
        if (reason != nullptr) {
            *reason = found;
        }
        return std::nullopt;
    }
    return origin_pattern(what, origin.at.host, origin.at.port);
}

bool origin_pattern::matches(std::string_view origin) const noexcept
{
    parsed_origin parsed;

    if (!parse_origin(origin, parsed).empty()) {
        return false;
    }
    const std::uint16_t port = port_ != 0 ? port_ : parsed.default_port;
    if (parsed.port() != port) {
        return false;
    }
    if (kind_ == kind::subdomains) {
        return is_below(parsed.at.host, host_);
    }
    return parsed.secure() == (kind_ == kind::https) &&
           equals_ignoring_case(parsed.at.host, host_);
}

bool is_same_origin(std::string_view origin,
                    std::string_view host_header) noexcept
{
    parsed_origin parsed;
    authority host;

    if (!parse_origin(origin, parsed).empty() ||
        !parse_authority(host_header, host).empty()) {
        return false;
    }
    const std::uint16_t port = host.port != 0 ? host.port : parsed.default_port;
    return parsed.port() == port &&
           equals_ignoring_case(parsed.at.host, host.host);
}

} // namespace websocket::protocol
