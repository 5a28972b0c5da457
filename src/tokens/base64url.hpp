// Base64url without padding (RFC 7515 2), in its only canonical form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace websocket::tokens {

// Nothing for padding, white space, letters of another alphabet, an impossible
// length, and unused bits that are not zero. Throws std::bad_alloc.
std::optional<std::string> decode_base64url(std::string_view text);

} // namespace websocket::tokens
