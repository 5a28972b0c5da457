// The keys of a key file: PEM public keys, a JWK set (RFC 7517), or a secret.
#pragma once

#include "tokens/key.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::tokens {

using key_set = std::vector<std::unique_ptr<key>>;

// `error` never has bytes of the file; empty: the keys can be used.
struct parsed_keys {
    key_set keys;
    std::string error;
};

// Reads the text of a key file. After "secret:" come the bytes of a secret. A
// line break at the end of a secret that is text is not part of it. Throws
// std::bad_alloc.
parsed_keys parse_keys(std::string_view file);

// The same for a JWK set. Keys for other uses, and of types or curves that no
// algorithm here has, are skipped (RFC 7517 5).
parsed_keys parse_jwk_set(std::string_view text);

} // namespace websocket::tokens
