// Key files that cannot be used, and those of which a part is skipped.
#include "token_builder.hpp"

#include <gtest/gtest.h>

#include <array>

using namespace token_builder;

namespace {

std::string x_of(EVP_PKEY *key)
{
    std::array<unsigned char, 64> bytes;
    std::size_t size = bytes.size();

    EVP_PKEY_get_raw_public_key(key, bytes.data(), &size);
    return base64url({reinterpret_cast<const char *>(bytes.data()), size});
}

std::string point_member(EVP_PKEY *key, const char *name, std::size_t size)
{
    BIGNUM *read = nullptr;

    EVP_PKEY_get_bn_param(key, name, &read);

    const ssl_ptr<BIGNUM> number(read);
    std::string bytes(size, '\0');

    BN_bn2binpad(read, reinterpret_cast<unsigned char *>(bytes.data()),
                 static_cast<int>(size));
    return base64url(bytes);
}

std::string error_in(std::string_view keys)
{
    return parse_keys(R"({"keys":[)" + std::string(keys) + "]}").error;
}

} // namespace

TEST(key_files, jwks_of_elliptic_curves)
{
    const pkey_ptr p256 = ec_key("P-256");
    const pkey_ptr p384 = ec_key("P-384");
    const pkey_ptr edwards = edwards_key("ED25519");
    const verifier by =
        by_keys(R"({"keys":[{"kty":"EC","crv":"P-256","x":")" +
                point_member(p256.get(), "qx", 32) + R"(","y":")" +
                point_member(p256.get(), "qy", 32) +
                R"("},{"kty":"EC","crv":"P-384","x":")" +
                point_member(p384.get(), "qx", 48) + R"(","y":")" +
                point_member(p384.get(), "qy", 48) +
                R"("},{"kty":"OKP","crv":"Ed25519","x":")" +
                x_of(edwards.get()) + R"("}],"more":1})");
    const auto token = [](const char *name, EVP_PKEY *key, const EVP_MD *digest,
                          int size) {
        const std::string text =
            signed_text(R"({"alg":")" + std::string(name) + "\"}", "{}");
        std::string signature = raw_signature(key, text, digest);

        if (size != 0) {
            signature = numbers_of(signature, size);
        }

        return text + "." + base64url(signature);
    };

    ASSERT_EQ(by.keys.size(), 3U);
    EXPECT_EQ(error_of(by, token("ES256", p256.get(), EVP_sha256(), 32)), "");
    EXPECT_EQ(error_of(by, token("ES384", p384.get(), EVP_sha384(), 48)), "");
    EXPECT_EQ(error_of(by, token("EdDSA", edwards.get(), nullptr, 0)), "");
}

TEST(key_files, unusable_files)
{
    const pkey_ptr key = ec_key("P-256");
    const std::string pem = pem_of(key.get());

    for (const std::string &file :
         {std::string(), std::string("secret"), std::string("hello\n"),
          pem.substr(0, 60), pem.substr(0, pem.size() - 10), std::string("{}"),
          std::string(R"({"keys":1})"), std::string(R"({"keys":[]})"),
          std::string(R"({"keys":[],"keys":[]})"),
          std::string("-----BEGIN PUBLIC KEY-----\nAAAA\n"
                      "-----END PUBLIC KEY-----\n"),
          std::string("-----BEGIN CERTIFICATE-----\nAAAA\n"
                      "-----END CERTIFICATE-----\n")}) {
        EXPECT_NE(parse_keys(file).error, "") << file;
    }
}

TEST(key_files, private_keys_are_refused)
{
    const pkey_ptr key = ec_key("P-256");
    const ssl_ptr<BIO> file(BIO_new(BIO_s_mem()));
    char *text = nullptr;

    PEM_write_bio_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0,
                             nullptr, nullptr);
    const long size = BIO_get_mem_data(file.get(), &text);

    EXPECT_NE(parse_keys({text, static_cast<std::size_t>(size)})
                  .error.find("private key"),
              std::string::npos);
    EXPECT_NE(error_in(R"({"kty":"EC","crv":"P-256","d":"AA"})")
                  .find("key 1 of \"keys\": it is a private key"),
              std::string::npos);
}

TEST(key_files, short_rsa_keys_are_refused)
{
    EXPECT_EQ(parse_keys(pem_of(rsa_key(1024).get())).error,
              "an RSA key is shorter than 2048 bits");
}

TEST(key_files, malformed_jwks_are_refused)
{
    const std::string x = base64url(std::string(32, 'x'));

    for (const std::string &jwk :
         {std::string("1"), std::string("{}"), std::string(R"({"kty":1})"),
          std::string(R"({"kty":"oct"})"),
          std::string(R"({"kty":"oct","k":"YQ=="})"),
          std::string(R"({"kty":"oct","k":"YWJj"})"),
          std::string(R"({"kty":"RSA","n":"AQ"})"),
          std::string(R"({"kty":"RSA","n":"AQ","e":"AQ"})"),
          std::string(R"({"kty":"OKP","crv":"Ed25519","x":"AQ"})"),
          // Not on the curve
          R"({"kty":"EC","crv":"P-256","x":")" + x + R"(","y":")" + x + "\"}",
          R"({"kty":"EC","crv":"P-384","x":")" + x + R"(","y":")" + x + "\"}",
          R"({"kty":"oct","kid":1,"k":")" + x + "\"}",
          R"({"kty":"oct","alg":"RS256","k":")" + x + "\"}"}) {
        EXPECT_NE(error_in(jwk), "") << jwk;
        EXPECT_EQ(error_in(jwk).find(x), std::string::npos);
    }
}

TEST(key_files, other_jwks_are_skipped)
{
    const std::string good =
        R"({"kty":"oct","k":")" + base64url(secret) + "\"}";

    for (const char *other :
         {R"({"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"})",
          R"({"kty":"OKP","crv":"X25519","x":"AQ"})", R"({"kty":"new"})",
          R"({"kty":"RSA","use":"enc","n":"AQ","e":"AQ"})",
          R"({"kty":"RSA","alg":"RSA-OAEP","n":"AQ","e":"AQ"})",
          R"({"kty":"RSA","key_ops":["encrypt"],"n":"AQ","e":"AQ"})"}) {
        const parsed_keys parsed =
            parse_keys(R"({"keys":[)" + std::string(other) + "," + good + "]}");

        EXPECT_EQ(parsed.error, "") << other;
        EXPECT_EQ(parsed.keys.size(), 1U) << other;
    }
}

TEST(key_files, no_error_is_left_in_openssls_queue)
{
    ERR_clear_error();
    (void)parse_keys("-----BEGIN PUBLIC KEY-----\nAAAA\n"
                     "-----END PUBLIC KEY-----\n");
    (void)error_in(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})");

    const verifier by = by_keys(pem_of(ec_key("P-256").get()));

    (void)error_of(by, signed_text(R"({"alg":"ES256"})", "{}") + "." +
                           base64url(std::string(64, '\xFF')));
    EXPECT_EQ(ERR_peek_error(), 0U);
}
