// The server's side of the opening handshake (RFC 6455 4.2): which requests may
// become a WebSocket, and the answer to them.
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

// One phrase for the log, zero-terminated.
std::string_view describe(handshake_error error) noexcept;

// The HTTP status of the response: 101 for none, 405 for the method, 426 if
// another protocol or version is required (RFC 9110 15.5.22), else 400.
unsigned http_status(handshake_error error) noexcept;

// Whether the response must have the field Sec-WebSocket-Version: 13 (RFC 6455
// 4.2.2 and 4.4).
bool asks_for_version(handshake_error error) noexcept;

// Collects the header fields of one request and validates them. All views are
// borrowed: the header of the request must outlive the object.
//
// Any number of fields may be added. Memory is fixed: one view for each field
// that may occur once, and eight for Sec-WebSocket-Protocol.
class opening_handshake {
public:
    // Limits of the offered subprotocols. They bound the search for duplicates
    // to 2,016 comparisons, whatever the size of the header.
    static constexpr std::size_t max_subprotocol_fields = 8;
    static constexpr std::size_t max_subprotocols = 64;

    // Adds one field. Names are compared ignoring case. White space around the
    // value, and fields that do not belong to the handshake, are ignored.
    void add_header(std::string_view name, std::string_view value) noexcept;

    // Checks the rules of RFC 6455 4.2.1 in this order: method, HTTP version,
    // Upgrade, Connection, version, key, subprotocols. Returns the first that
    // is broken. The HTTP version is major * 1000 + minor, as nginx has it; the
    // caller refuses one that is too new. The origin is checked elsewhere: see
    // origin.hpp.
    handshake_error check(std::string_view method,
                          unsigned http_version) const noexcept;

    std::string_view key() const noexcept { return key_.value; }

    // The first Origin field, which may be empty. No browser sends more than
    // one; the caller should refuse that.
    std::string_view origin() const noexcept { return origin_.value; }
    bool has_origin() const noexcept { return origin_.seen; }
    bool origin_repeated() const noexcept { return origin_.repeated; }

    // The first of the server's preferred names that the client offered, or an
    // empty view. Names are case-sensitive. The returned view is the one in
    // `preferred`. Requires that check() found no error, which bounds the
    // offer.
    std::string_view select_subprotocol(
        std::span<const std::string_view> preferred) const noexcept;

    bool offers_subprotocol(std::string_view name) const noexcept;

    // Copies offered names into `names`, as many as fit, and returns their
    // number.
    std::size_t
    offered_subprotocols(std::span<std::string_view> names) const noexcept;

private:
    // A field that may occur once in a request.
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
// the key and the GUID (RFC 6455 4.2.2). Returns false and leaves the answer
// unchanged if the key is not 24 characters long or libcrypto fails.
bool accept_key(std::string_view key, std::array<char, 28> &answer) noexcept;

} // namespace websocket::protocol
