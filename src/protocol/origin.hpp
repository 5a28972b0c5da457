// Which origins may open a WebSocket here (RFC 6455 4.2.2 and 10.2): without
// this check any web page could use its visitor's cookies on us.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace websocket::protocol {

// An origin is scheme://host[:port] and nothing else (RFC 6454 6.2): a user, a
// path (even one slash), white space and non-ASCII text match nothing. Schemes
// and hosts are compared ignoring case, hosts as text: a name with the dot of
// the DNS root at its end is another host, as it is for browsers, and so is an
// IPv6 address written in another way. A port not given is the scheme's own:
// 80, 443, or none for a scheme that is not of the web.

// One pattern of the directive websocket_origins:
//
//     scheme://host[:port]
//         that origin. The scheme may be any that a page has: https, http,
//         and those of programs, such as capacitor or chrome-extension; file
//         has no host;
//     scheme://*.host[:port]
//         each name below the host, at any depth, but not the host itself;
//     *.host[:port]
//         the same over http and https. Without a port: the default one of
//         the origin's scheme, as in the other forms;
//     null
//         pages that have no origin of their own, which send this word.
class origin_pattern {
public:
    // Nullopt if the text is no pattern; `reason` then tells why, in a
    // literal that ends in a zero byte. The pattern borrows the text.
    static std::optional<origin_pattern>
    parse(std::string_view text, std::string_view *reason = nullptr) noexcept;

    bool matches(std::string_view origin) const noexcept;

private:
    enum class kind : std::uint8_t { origin, subdomains, null };

    origin_pattern() = default;

    std::string_view read(std::string_view text) noexcept;

    std::string_view scheme_; // empty: http or https
    std::string_view host_;   // for subdomains without the "*."
    std::uint16_t port_ = 0;  // 0: the default one of the origin's scheme
    kind kind_ = kind::origin;
};

// The default rule "same": the origin's host and port are those of the Host
// header. The scheme is not compared, as TLS may end in front of nginx; where
// Host has no port, it is the default one of the origin's scheme.
bool is_same_origin(std::string_view origin,
                    std::string_view host_header) noexcept;

} // namespace websocket::protocol
