// Verifies signatures by OpenSSL's EVP.
#include "tokens/key.hpp"

#include "tokens/openssl.hpp"

#include <array>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

namespace websocket::tokens {

namespace {

struct algorithm_name {
    std::string_view name;
    algorithm which;
};

constexpr std::array algorithm_names{
    algorithm_name{"HS256", algorithm::hs256},
    algorithm_name{"HS384", algorithm::hs384},
    algorithm_name{"HS512", algorithm::hs512},
    algorithm_name{"RS256", algorithm::rs256},
    algorithm_name{"RS384", algorithm::rs384},
    algorithm_name{"RS512", algorithm::rs512},
    algorithm_name{"PS256", algorithm::ps256},
    algorithm_name{"ES256", algorithm::es256},
    algorithm_name{"ES384", algorithm::es384},
    algorithm_name{"EdDSA", algorithm::eddsa},
};

// Null: EdDSA, which hashes by itself.
const EVP_MD *digest_of(algorithm by) noexcept
{
    switch (by) {
    case algorithm::hs256:
    case algorithm::rs256:
    case algorithm::ps256:
    case algorithm::es256:
        return EVP_sha256();
    case algorithm::hs384:
    case algorithm::rs384:
    case algorithm::es384:
        return EVP_sha384();
    case algorithm::hs512:
    case algorithm::rs512:
        return EVP_sha512();
    case algorithm::eddsa:
        break;
    }

    return nullptr;
}

const unsigned char *bytes_of(std::string_view text) noexcept
{
    return reinterpret_cast<const unsigned char *>(text.data());
}

// RFC 7518 3.4: both numbers, each of the size of the curve. OpenSSL wants
// them in DER, and rejects numbers that are not between 0 and the order.
ssl_bytes der_of(std::string_view signature, std::size_t number_size) noexcept
{
    if (signature.size() != 2 * number_size) {
        return {};
    }

    const auto size = static_cast<int>(number_size);
    ssl_ptr<ECDSA_SIG> numbers(ECDSA_SIG_new());
    ssl_ptr<BIGNUM> r(BN_bin2bn(bytes_of(signature), size, nullptr));
    ssl_ptr<BIGNUM> s(
        BN_bin2bn(bytes_of(signature) + number_size, size, nullptr));

    if (!numbers || !r || !s ||
        ECDSA_SIG_set0(numbers.get(), r.get(), s.get()) != 1) {
        return {};
    }

    (void)r.release();
    (void)s.release();

    ssl_bytes der;
    unsigned char *encoded = nullptr;
    const int length = i2d_ECDSA_SIG(numbers.get(), &encoded);

    der.bytes.reset(encoded);
    der.size = length > 0 ? static_cast<std::size_t>(length) : 0;
    return der;
}

bool set_padding(EVP_PKEY_CTX *context, algorithm by) noexcept
{
    switch (by) {
    case algorithm::rs256:
    case algorithm::rs384:
    case algorithm::rs512:
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    case algorithm::ps256:
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) ==
                   1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(context,
                                                RSA_PSS_SALTLEN_DIGEST) == 1;
    default:
        return true;
    }
}

} // namespace

std::optional<algorithm> find_algorithm(std::string_view name) noexcept
{
    for (const algorithm_name &each : algorithm_names) {
        if (each.name == name) {
            return each.which;
        }
    }

    return std::nullopt;
}

void free_pkey::operator()(evp_pkey_st *key) const noexcept
{
    EVP_PKEY_free(key);
}

secret_bytes::~secret_bytes()
{
    if (bytes_) {
        OPENSSL_cleanse(bytes_->data(), bytes_->size());
    }
}

key::result key::from_secret(secret_bytes secret)
{
    if (secret.view().size() < min_secret_size) {
        return {nullptr, "a secret is shorter than 32 bytes"};
    }

    std::unique_ptr<key> created(new key(type::secret));

    created->secret_.emplace(std::move(secret));
    return {std::move(created)};
}

key::result key::from_public_key(pkey_ptr public_key)
{
    const ssl_error_mark mark;
    const auto of = type_of(public_key.get());

    if (!of) {
        return {nullptr, "a key is not of RSA, P-256, P-384, Ed25519 or Ed448"};
    }

    if (*of == type::rsa && EVP_PKEY_bits(public_key.get()) < min_rsa_bits) {
        return {nullptr, "an RSA key is shorter than 2048 bits"};
    }

    std::unique_ptr<key> created(new key(*of));

    created->public_ = std::move(public_key);
    return {std::move(created)};
}

std::optional<key::type> key::type_of(const evp_pkey_st *key) noexcept
{
    std::array<char, 32> group{};

    switch (EVP_PKEY_base_id(key)) {
    case EVP_PKEY_RSA:
        return type::rsa;
    case EVP_PKEY_ED25519:
        return type::ed25519;
    case EVP_PKEY_ED448:
        return type::ed448;
    case EVP_PKEY_EC:
        if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) !=
            1) {
            return std::nullopt;
        }
        return std::string_view(group.data()) == "prime256v1"
                   ? std::optional(type::p256)
               : std::string_view(group.data()) == "secp384r1"
                   ? std::optional(type::p384)
                   : std::nullopt;
    default:
        return std::nullopt;
    }
}

bool key::fits(algorithm by) const noexcept
{
    if (only && *only != by) {
        return false;
    }

    switch (by) {
    case algorithm::hs256:
    case algorithm::hs384:
    case algorithm::hs512:
        // RFC 7518 3.2: the secret is as long as the hash at least
        return type_ == type::secret &&
               secret_->view().size() >=
                   static_cast<std::size_t>(EVP_MD_size(digest_of(by)));
    case algorithm::rs256:
    case algorithm::rs384:
    case algorithm::rs512:
    case algorithm::ps256:
        return type_ == type::rsa;
    case algorithm::es256:
        return type_ == type::p256;
    case algorithm::es384:
        return type_ == type::p384;
    case algorithm::eddsa:
        return type_ == type::ed25519 || type_ == type::ed448;
    }

    return false;
}

bool key::verify_secret(algorithm by, std::string_view text,
                        std::string_view signature) const noexcept
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> computed;
    unsigned size = 0;
    const std::string_view secret = secret_->view();

    return HMAC(digest_of(by), secret.data(), static_cast<int>(secret.size()),
                bytes_of(text), text.size(), computed.data(),
                &size) != nullptr &&
           signature.size() == size &&
           CRYPTO_memcmp(computed.data(), signature.data(), size) == 0;
}

bool key::verify(algorithm by, std::string_view text,
                 std::string_view signature) const noexcept
{
    const ssl_error_mark mark;

    if (type_ == type::secret) {
        return verify_secret(by, text, signature);
    }

    ssl_bytes der;

    if (type_ == type::p256 || type_ == type::p384) {
        der = der_of(signature, type_ == type::p256 ? 32 : 48);
        signature = {reinterpret_cast<const char *>(der.bytes.get()), der.size};
    }

    const ssl_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *options = nullptr; // part of the context

    return context && !signature.empty() &&
           EVP_DigestVerifyInit(context.get(), &options, digest_of(by), nullptr,
                                public_.get()) == 1 &&
           set_padding(options, by) &&
           EVP_DigestVerify(context.get(), bytes_of(signature),
                            signature.size(), bytes_of(text), text.size()) == 1;
}

} // namespace websocket::tokens
