// Builds signed tokens, with OpenSSL alone, and keys for them.
#pragma once

#include "tokens/key_set.hpp"
#include "tokens/openssl.hpp"
#include "tokens/verifier.hpp"

#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace token_builder {

using namespace websocket::tokens;

inline const std::string secret(64, 's');
inline constexpr std::uint64_t now = 1'790'000'000'000;

inline std::string base64url(std::string_view bytes)
{
    std::string text(bytes.size() / 3 * 4 + 5, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char *>(text.data()),
                        reinterpret_cast<const unsigned char *>(bytes.data()),
                        static_cast<int>(bytes.size()));

    text.resize(static_cast<std::size_t>(size));
    text.erase(std::min(text.find('='), text.size()));
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

inline std::string hmac(std::string_view key, std::string_view text,
                        const EVP_MD *digest = EVP_sha256())
{
    std::string result(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;

    HMAC(digest, key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char *>(text.data()), text.size(),
         reinterpret_cast<unsigned char *>(result.data()), &size);
    result.resize(size);
    return result;
}

inline std::string signed_text(std::string_view header, std::string_view claims)
{
    return base64url(header) + "." + base64url(claims);
}

// A token of a secret, whatever its header says.
inline std::string hs(std::string_view claims,
                      std::string_view header = R"({"alg":"HS256"})",
                      std::string_view key = secret,
                      const EVP_MD *digest = EVP_sha256())
{
    const std::string text = signed_text(header, claims);

    return text + "." + base64url(hmac(key, text, digest));
}

inline pkey_ptr rsa_key(unsigned bits = 2048)
{
    return pkey_ptr(EVP_RSA_gen(bits));
}

inline pkey_ptr ec_key(const char *curve)
{
    return pkey_ptr(EVP_EC_gen(curve));
}

inline pkey_ptr edwards_key(const char *type)
{
    return pkey_ptr(EVP_PKEY_Q_keygen(nullptr, nullptr, type));
}

// Signs as EVP does: of ECDSA that is DER.
inline std::string raw_signature(EVP_PKEY *by, std::string_view text,
                                 const EVP_MD *digest, bool pss = false)
{
    const ssl_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX *options = nullptr;
    std::size_t size = 0;
    const auto *bytes = reinterpret_cast<const unsigned char *>(text.data());

    EVP_DigestSignInit(context.get(), &options, digest, nullptr, by);

    if (pss) {
        EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }

    EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size());

    std::string signature(size, '\0');

    EVP_DigestSign(context.get(),
                   reinterpret_cast<unsigned char *>(signature.data()), &size,
                   bytes, text.size());
    signature.resize(size);
    return signature;
}

// The two numbers of an ECDSA signature, as tokens have them.
inline std::string numbers_of(const std::string &der, int size)
{
    const auto *at = reinterpret_cast<const unsigned char *>(der.data());
    const ssl_ptr<ECDSA_SIG> read(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    std::string both(static_cast<std::size_t>(2 * size), '\0');
    auto *to = reinterpret_cast<unsigned char *>(both.data());

    BN_bn2binpad(ECDSA_SIG_get0_r(read.get()), to, size);
    BN_bn2binpad(ECDSA_SIG_get0_s(read.get()), to + size, size);
    return both;
}

inline std::string pem_of(EVP_PKEY *key)
{
    const ssl_ptr<BIO> file(BIO_new(BIO_s_mem()));
    char *text = nullptr;

    PEM_write_bio_PUBKEY(file.get(), key);
    const long size = BIO_get_mem_data(file.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

inline verifier by_keys(std::string_view file)
{
    parsed_keys parsed = parse_keys(file);

    return {std::move(parsed.keys), {}, {}, 5000};
}

inline verifier by_secret()
{
    return by_keys("secret:" + secret);
}

// "" if the token is valid, else why it is not.
inline std::string error_of(const verifier &by, std::string_view token)
{
    const verified result = by.verify(token, now);

    return result.value != nullptr ? "" : result.error;
}

} // namespace token_builder
