// Origins that may open a WebSocket (RFC 6455 4.2.2 and 10.2). Without this
// check any web page could connect with its visitor's cookies.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace websocket::protocol {

// An origin is scheme://host[:port] and nothing else (RFC 6454 6.2). A user, a
// path (even one slash), white space or non-ASCII text match nothing. Schemes
// and hosts are compared ignoring case, hosts as text. So a name with a final
// dot is another host, as it is for browsers, and so is another spelling of an
// IPv6 address. The default port is that of the scheme: 80, 443, or none.

// One pattern of the directive websocket_origins:
//
//     scheme://host[:port]
//         That origin. Any scheme that a page has: https, http, and those
//         of programs, such as capacitor or chrome-extension. file has no
//         host.
//     scheme://*.host[:port]
//         Each name below the host, at any depth, but not the host itself.
//     *.host[:port]
//         The same over http and https. Without a port: the default port
//         of the origin's scheme, as in the other forms.
//     null
//         Pages without an origin, which send this word.
class origin_pattern {
public:
    // Nullopt if the text is not a pattern; `reason` is then a zero-terminated
    // literal. The pattern borrows the text.
    static std::optional<origin_pattern>
    parse(std::string_view text, std::string_view *reason = nullptr) noexcept;

    bool matches(std::string_view origin) const noexcept;

private:
    enum class kind : std::uint8_t { origin, subdomains, null };

    origin_pattern() = default;

    std::string_view read(std::string_view text) noexcept;

    std::string_view scheme_; // empty: http or https
    std::string_view host_;   // without the "*." of subdomains
    std::uint16_t port_ = 0;  // 0: the default port of the origin's scheme
    kind kind_ = kind::origin;
};

// The default rule "same": the host and port of the origin are those of the
// Host header. The scheme is not compared, because TLS may end in front of
// nginx. If Host has no port, it is the default port of the origin's scheme.
bool is_same_origin(std::string_view origin,
                    std::string_view host_header) noexcept;

} // namespace websocket::protocol
