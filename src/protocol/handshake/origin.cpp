// Parses and matches origins (RFC 6454).
#include "protocol/handshake/origin.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

#include "protocol/text/tokens.hpp"

namespace websocket::protocol {

namespace {

// The fault of a text, for its author; empty if there is none.
using fault = std::string_view;

constexpr fault bad_form = "expected scheme://host[:port], "
                           "scheme://*.host[:port], *.host[:port] or null";
constexpr fault bad_scheme =
    "a scheme is a letter, then letters, digits, +, - or .";
constexpr fault not_of_pages =
    "an origin has the scheme of the page, https or http, not wss or ws";
constexpr fault bad_host =
    "the host must be a name or an IPv6 address in brackets";
constexpr fault bad_letters =
    "a host with non-ASCII letters must be written in its xn-- form";
constexpr fault bad_port = "the port must be a number from 1 to 65535";
constexpr fault has_path = "nothing may follow the host and port, not even /";
constexpr fault address_below =
    "*. must be followed by a name, not by an address";

constexpr std::string_view null_origin = "null";
constexpr std::string_view any_subdomain = "*.";

struct authority {
    std::string_view host;
    std::uint16_t port = 0; // 0: not given
};

std::uint16_t default_port(std::string_view scheme) noexcept
{
    return equals_ignoring_case(scheme, "https")  ? 443
           : equals_ignoring_case(scheme, "http") ? 80
                                                  : 0;
}

struct parsed_origin {
    std::string_view scheme;
    authority at;

    std::uint16_t port() const noexcept
    {
        return at.port != 0 ? at.port : default_port(scheme);
    }
    // False for programs with pages of their own, such as browser extensions
    bool of_the_web() const noexcept { return default_port(scheme) != 0; }
};

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

constexpr bool is_letter(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_name_char(char c) noexcept
{
    return is_digit(c) || is_letter(c) || c == '-' || c == '_' || c == '.';
}

constexpr bool is_address_char(char c) noexcept
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
           c == ':' || c == '.';
}

// RFC 3986 3.1
bool is_scheme(std::string_view text) noexcept
{
    return !text.empty() && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return is_letter(c) || is_digit(c) || c == '+' || c == '-' ||
                      c == '.';
           });
}

// Labels between single dots; a final dot may name the DNS root.
bool is_name(std::string_view host) noexcept
{
    return !host.empty() && !host.starts_with('.') &&
           host.find("..") == std::string_view::npos &&
           std::all_of(host.begin(), host.end(), is_name_char);
}

// Checks only the characters: addresses are compared as text, so a meaningless
// one equals no origin that a browser sends.
bool is_bracketed_address(std::string_view host) noexcept
{
    if (!host.starts_with('[') || !host.ends_with(']')) {
        return false;
    }
    const std::string_view inner = host.substr(1, host.size() - 2);
    return std::count(inner.begin(), inner.end(), ':') >= 2 &&
           std::all_of(inner.begin(), inner.end(), is_address_char);
}

// Browsers write no leading zero, so a port has one form.
bool parse_port(std::string_view text, std::uint16_t &port) noexcept
{
    if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit) ||
        text.front() == '0') {
        return false;
    }
    const char *end = text.data() + text.size();
    return std::from_chars(text.data(), end, port).ec == std::errc();
}

fault check_host(std::string_view host) noexcept
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

// Parses host[:port], the whole text.
fault parse_authority(std::string_view text, authority &result) noexcept
{
    if (text.find('/') != std::string_view::npos) {
        return has_path;
    }
    // The colons of an IPv6 address are before its closing bracket.
    const std::size_t from =
        text.starts_with('[') ? std::min(text.find(']'), text.size()) : 0;
    const std::size_t colon = std::min(text.find(':', from), text.size());

    result.host = text.substr(0, colon);
    if (const fault found = check_host(result.host); !found.empty()) {
        return found;
    }
    if (colon < text.size() &&
        !parse_port(text.substr(colon + 1), result.port)) {
        return bad_port;
    }
    return {};
}

// Removes scheme:// from the front of the text.
fault take_scheme(std::string_view &text, std::string_view &scheme) noexcept
{
    constexpr std::string_view separator = "://";
    const std::size_t end = text.find(separator);

    if (end == std::string_view::npos) {
        return bad_form;
    }
    scheme = text.substr(0, end);
    text.remove_prefix(end + separator.size());
    if (!is_scheme(scheme)) {
        return bad_scheme;
    }
    return equals_ignoring_case(scheme, "ws") ||
                   equals_ignoring_case(scheme, "wss")
               ? not_of_pages
               : fault();
}

// Some programs use file:// without a host.
bool is_files(std::string_view scheme, std::string_view rest) noexcept
{
    return rest.empty() && equals_ignoring_case(scheme, "file");
}

fault parse_origin(std::string_view text, parsed_origin &result) noexcept
{
    if (const fault found = take_scheme(text, result.scheme); !found.empty()) {
        return found;
    }
    return is_files(result.scheme, text) ? fault()
                                         : parse_authority(text, result.at);
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

// Compares the dot too: "evil-example.com" is not below "example.com".
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

fault origin_pattern::read(std::string_view text) noexcept
{
    parsed_origin origin;
    fault found;

    if (text == null_origin) {
        kind_ = kind::null;
        return {};
    }
    if (!text.starts_with(any_subdomain)) {
        found = take_scheme(text, scheme_);
    }
    if (!found.empty() || is_files(scheme_, text)) {
        return found;
    }
    if (text.starts_with(any_subdomain)) {
        kind_ = kind::subdomains;
        text.remove_prefix(any_subdomain.size());
    }
    found = parse_authority(text, origin.at);
    host_ = origin.at.host;
    port_ = origin.at.port;
    return found.empty() && kind_ == kind::subdomains && is_address(host_)
               ? address_below
               : found;
}

std::optional<origin_pattern>
origin_pattern::parse(std::string_view text, std::string_view *reason) noexcept
{
    origin_pattern result;

    if (const fault found = result.read(text); !found.empty()) {
        if (reason != nullptr) {
            *reason = found;
        }
        return std::nullopt;
    }
    return result;
}

bool origin_pattern::matches(std::string_view origin) const noexcept
{
    parsed_origin parsed;

    if (kind_ == kind::null) {
        return origin == null_origin;
    }
    if (!parse_origin(origin, parsed).empty()) {
        return false;
    }
    if (scheme_.empty() ? !parsed.of_the_web()
                        : !equals_ignoring_case(parsed.scheme, scheme_)) {
        return false;
    }
    const std::uint16_t port = port_ != 0 ? port_ : default_port(parsed.scheme);
    if (parsed.port() != port) {
        return false;
    }
    return kind_ == kind::subdomains
               ? is_below(parsed.at.host, host_)
               : equals_ignoring_case(parsed.at.host, host_);
}

bool is_same_origin(std::string_view origin,
                    std::string_view host_header) noexcept
{
    parsed_origin parsed;
    authority host;

    if (!parse_origin(origin, parsed).empty() || !parsed.of_the_web() ||
        !parse_authority(host_header, host).empty()) {
        return false;
    }
    const std::uint16_t port =
        host.port != 0 ? host.port : default_port(parsed.scheme);
    return parsed.port() == port &&
           equals_ignoring_case(parsed.at.host, host.host);
}

} // namespace websocket::protocol
