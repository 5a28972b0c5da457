// A key that verifies signatures of tokens (RFC 7518 3, RFC 8037). Its type
// says which algorithms it verifies, so a token cannot choose another one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_pkey_st; // EVP_PKEY

namespace websocket::tokens {

enum class algorithm : std::uint8_t {
    hs256,
    hs384,
    hs512,
    rs256,
    rs384,
    rs512,
    ps256,
    es256,
    es384,
    eddsa,
};

// The names are case-sensitive. Nothing for "none" and all others.
std::optional<algorithm> find_algorithm(std::string_view name) noexcept;

struct free_pkey {
    void operator()(evp_pkey_st *key) const noexcept;
};

using pkey_ptr = std::unique_ptr<evp_pkey_st, free_pkey>;

// Overwritten when it ends.
class secret_bytes {
public:
    explicit secret_bytes(std::string bytes) noexcept
        : bytes_{std::make_unique<std::string>(std::move(bytes))}
    {}
    secret_bytes(secret_bytes &&) noexcept = default;
    secret_bytes &operator=(secret_bytes &&) noexcept = default;
    ~secret_bytes();

    std::string_view view() const noexcept { return *bytes_; }

private:
    std::unique_ptr<std::string> bytes_;
};

class key {
public:
    static constexpr std::size_t min_secret_size = 32; // RFC 7518 3.2
    static constexpr int min_rsa_bits = 2048;          // RFC 7518 3.3

    // `created` is null if the key cannot be used, for the reason in `error`.
    struct result {
        std::unique_ptr<key> created;
        const char *error = nullptr;
    };

    // Throw std::bad_alloc.
    static result from_secret(secret_bytes secret);
    static result from_public_key(pkey_ptr public_key);

    // The key id; nothing: tokens with any id, or none, may be of this key.
    std::optional<std::string> id;

    // Only tokens with this algorithm are of this key.
    std::optional<algorithm> only;

    bool fits(algorithm by) const noexcept;

    // Requires that the algorithm fits. Leaves no error in OpenSSL's queue.
    bool verify(algorithm by, std::string_view text,
                std::string_view signature) const noexcept;

private:
    enum class type : std::uint8_t { secret, rsa, p256, p384, ed25519, ed448 };

    static std::optional<type> type_of(const evp_pkey_st *key) noexcept;
    explicit key(type of) noexcept : type_{of} {}

    bool verify_secret(algorithm by, std::string_view text,
                       std::string_view signature) const noexcept;

    type type_;
    std::optional<secret_bytes> secret_;
    pkey_ptr public_; // null: a secret
};

} // namespace websocket::tokens
