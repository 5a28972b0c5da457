// The server's side of the opening handshake: which requests may become a
// WebSocket, and what is answered to them (RFC 6455 4.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::protocol {

enum class handshake_error : std::uint8_t {
    none,
    method_not_get,
    http_version_too_old,
    upgrade_missing,    // no token "websocket" in Upgrade
    connection_missing, // no token "upgrade" in Connection
    version_missing,
    version_unsupported,
    version_repeated,
    key_missing,
    key_repeated,
    key_invalid,
    subprotocol_invalid // a malformed or repeated name, none, or too many
};

// One phrase for the log, a literal that ends in a zero byte.
std::string_view describe(handshake_error error) noexcept;

// The HTTP status of the answer: 101 for none, 405 for the method, 426 where
// another protocol or version is asked for (RFC 9110 15.5.22), else 400.
unsigned http_status(handshake_error error) noexcept;

// Whether the answer has to name our version: Sec-WebSocket-Version: 13
// (RFC 6455 4.2.2 and 4.4).
bool asks_for_version(handshake_error error) noexcept;

// Collects the header fields of one request and judges them. All views are
// borrowed: the request's header has to outlive the object.
//
// Any number of fields may be added. Memory is fixed: one view each for the
// fields that may stand only once, and eight for Sec-WebSocket-Protocol.
class opening_handshake {
public:
    // Limits on the offer of subprotocols. They bound the search for repeated
    // names to 2,016 comparisons, whatever size of header the caller takes.
    static constexpr std::size_t max_subprotocol_fields = 8;
    static constexpr std::size_t max_subprotocols = 64;

    // Takes one field. Names are compared ignoring case, fields that do not
    // belong to the handshake are ignored, white space around the value too.
    void add_header(std::string_view name, std::string_view value) noexcept;

    // The rules of RFC 6455 4.2.1, always in this order: method, HTTP version,
    // Upgrade, Connection, version, key, subprotocols. The first that is
    // broken is returned. The HTTP version is major * 1000 + minor, as nginx
    // has it; refusing one that is too new is left to the caller. The origin
    // is not judged here: see origin.hpp.
    handshake_error check(std::string_view method,
                          unsigned http_version) const noexcept;

    std::string_view key() const noexcept { return key_.value; }

    // The first Origin field. An empty one is there all the same. More than
    // one is never sent by a browser and should be refused by the caller.
    std::string_view origin() const noexcept { return origin_.value; }
    bool has_origin() const noexcept { return origin_.seen; }
    bool origin_repeated() const noexcept { return origin_.repeated; }

    // The first of the server's preferred names that the client offered, an
    // empty view if there is none. Names are case-sensitive. The view returned
    // is the one in `preferred`. To be called after check() found no error:
    // that bounds the offer.
    std::string_view select_subprotocol(
        std::span<const std::string_view> preferred) const noexcept;

    bool offers_subprotocol(std::string_view name) const noexcept;

    // Puts the names offered into `names`, as many as fit, and returns how
    // many that were.
    std::size_t
    offered_subprotocols(std::span<std::string_view> names) const noexcept;

private:
    // A field that may stand only once in the request.
    struct single_field {
        std::string_view value;
        bool seen = false;
        bool repeated = false;

        void add(std::string_view text) noexcept;
    };

    void add_subprotocols(std::string_view value) noexcept;
    std::span<const std::string_view> subprotocol_fields() const noexcept;
    handshake_error check_version() const noexcept;
    handshake_error check_key() const noexcept;
    handshake_error check_subprotocols() const noexcept;

    single_field key_;
    single_field version_;
    single_field origin_;
    std::array<std::string_view, max_subprotocol_fields> subprotocols_;
    std::uint8_t subprotocol_field_count_ = 0;
    bool too_many_subprotocol_fields_ = false;
    bool upgrade_names_websocket_ = false;
    bool connection_names_upgrade_ = false;
};

// Sec-WebSocket-Accept for a key that check() accepted: base64 of the SHA-1 of
// the key and the GUID (RFC 6455 4.2.2). False, and the answer left as it was,
// if the key is not 24 characters long or libcrypto fails.
bool accept_key(std::string_view key, std::array<char, 28> &answer) noexcept;

} // namespace websocket::protocol
