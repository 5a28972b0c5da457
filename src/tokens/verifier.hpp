// Verifies signed tokens in the compact form: JWS (RFC 7515) with the claims of
// a JWT (RFC 7519), by the rules of RFC 8725.
#pragma once

#include "tokens/key_set.hpp"
#include "tokens/token.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::tokens {

// As a token may be sent in a header field or a message, its size is limited
// before anything else is checked.
inline constexpr std::size_t max_token_size = 8192;

// A token without a key id is checked with so many keys at most.
inline constexpr std::size_t max_keys_tried = 4;

struct verified {
    std::shared_ptr<const token> value; // null: the token is not valid
    const char *error = nullptr;        // one line, valid for ever
};

struct verifier {
    key_set keys;
    std::vector<std::string> issuers;   // empty: "iss" is not checked
    std::vector<std::string> audiences; // empty: "aud" is not checked
    std::uint64_t leeway = 5000;        // ms, for "exp" and "nbf"

    // `now` is in ms since 1970. Leaves no error in OpenSSL's queue. Throws
    // std::bad_alloc.
    verified verify(std::string_view text, std::uint64_t now) const;
};

} // namespace websocket::tokens
