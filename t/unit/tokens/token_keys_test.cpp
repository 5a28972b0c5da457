// Key files, and the signatures that keys accept.
#include "token_builder.hpp"

#include <gtest/gtest.h>

#include <array>

using namespace token_builder;

namespace {

constexpr std::string_view claims = R"({"sub":"42"})";

std::string header_with(std::string_view algorithm)
{
    return R"({"alg":")" + std::string(algorithm) + "\"}";
}

std::string by_pkey(EVP_PKEY *key, std::string_view algorithm,
                    const EVP_MD *digest, int number_size = 0)
{
    const std::string text = signed_text(header_with(algorithm), claims);
    std::string signature =
        raw_signature(key, text, digest, algorithm.starts_with("PS"));

    if (number_size != 0) {
        signature = numbers_of(signature, number_size);
    }

    return text + "." + base64url(signature);
}

EVP_PKEY *shared_rsa()
{
    static const pkey_ptr key = rsa_key();
    return key.get();
}

std::string number_of(EVP_PKEY *key, const char *name)
{
    BIGNUM *read = nullptr;

    EVP_PKEY_get_bn_param(key, name, &read);

    const ssl_ptr<BIGNUM> number(read);
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(read)), '\0');

    BN_bn2bin(read, reinterpret_cast<unsigned char *>(bytes.data()));
    return bytes;
}

std::string rsa_jwk(EVP_PKEY *key, std::string_view more = "")
{
    return R"({"kty":"RSA","n":")" + base64url(number_of(key, "n")) +
           R"(","e":")" + base64url(number_of(key, "e")) + "\"" +
           std::string(more) + "}";
}

std::string secret_jwk(std::string_view bytes, std::string_view more = "")
{
    return R"({"kty":"oct","k":")" + base64url(bytes) + "\"" +
           std::string(more) + "}";
}

std::string set_of(std::string_view keys)
{
    return R"({"keys":[)" + std::string(keys) + "]}";
}

} // namespace

TEST(token_keys, all_algorithms_verify)
{
    const pkey_ptr p256 = ec_key("P-256");
    const pkey_ptr p384 = ec_key("P-384");
    const pkey_ptr ed25519 = edwards_key("ED25519");
    const pkey_ptr ed448 = edwards_key("ED448");
    const verifier by = by_keys(pem_of(shared_rsa()) + pem_of(p256.get()) +
                                "a comment\n" + pem_of(p384.get()) +
                                pem_of(ed25519.get()) + pem_of(ed448.get()));

    ASSERT_EQ(by.keys.size(), 5U);

    for (const std::string &token :
         {by_pkey(shared_rsa(), "RS256", EVP_sha256()),
          by_pkey(shared_rsa(), "RS384", EVP_sha384()),
          by_pkey(shared_rsa(), "RS512", EVP_sha512()),
          by_pkey(shared_rsa(), "PS256", EVP_sha256()),
          by_pkey(p256.get(), "ES256", EVP_sha256(), 32),
          by_pkey(p384.get(), "ES384", EVP_sha384(), 48),
          by_pkey(ed25519.get(), "EdDSA", nullptr),
          by_pkey(ed448.get(), "EdDSA", nullptr)}) {
        EXPECT_EQ(error_of(by, token), "") << token;
    }
}

TEST(token_keys, secrets_verify_all_hashes)
{
    const verifier by = by_secret();

    EXPECT_EQ(error_of(by, hs("{}", header_with("HS256"))), "");
    EXPECT_EQ(
        error_of(by, hs("{}", header_with("HS384"), secret, EVP_sha384())), "");
    EXPECT_EQ(
        error_of(by, hs("{}", header_with("HS512"), secret, EVP_sha512())), "");
    EXPECT_EQ(error_of(by, hs("{}", header_with("HS512"))),
              "the signature is wrong");
}

TEST(token_keys, secret_must_be_as_long_as_the_hash)
{
    const std::string shorter(32, 's');
    const verifier by = by_keys("secret:" + shorter);

    EXPECT_EQ(error_of(by, hs("{}", header_with("HS256"), shorter)), "");
    EXPECT_EQ(
        error_of(by, hs("{}", header_with("HS512"), shorter, EVP_sha512())),
        "\"alg\" does not fit the key");
    EXPECT_EQ(parse_keys("secret:" + std::string(31, 's')).error,
              "a secret is shorter than 32 bytes");
}

TEST(token_keys, line_break_after_a_secret_of_text_is_not_part_of_it)
{
    EXPECT_EQ(error_of(by_keys("secret:" + secret + "\n"), hs("{}")), "");
    EXPECT_EQ(error_of(by_keys("secret:" + secret + "\r\n"), hs("{}")), "");
    EXPECT_NE(error_of(by_keys("secret:" + secret + " \n"), hs("{}")), "");

    const std::string bytes = std::string(40, '\xC8') + "\n";
    EXPECT_EQ(error_of(by_keys("secret:" + bytes),
                       hs("{}", header_with("HS256"), bytes)),
              "");
}

TEST(token_keys, none_is_refused_in_all_spellings)
{
    const verifier by = by_secret();

    for (const char *name :
         {"none", "None", "NONE", "nOnE", "none ", "", "hs256", "HS256 ",
          "Hs256", "HS1", "RS1", "ES512", "PS384", "dir", "\\u0000HS256"}) {
        const std::string text = signed_text(header_with(name), claims);

        EXPECT_EQ(error_of(by, text + "."),
                  "\"alg\" is none of the algorithms");
        EXPECT_EQ(error_of(by, text + "." + base64url(hmac(secret, text))),
                  "\"alg\" is none of the algorithms");
    }

    for (const char *header :
         {"{}", R"({"alg":null})", R"({"alg":["HS256"]})", R"({"alg":256})",
          R"({"ALG":"HS256"})", R"({"alg":{"HS256":1}})"}) {
        EXPECT_EQ(error_of(by, hs("{}", header)),
                  "\"alg\" is none of the algorithms");
    }
}

TEST(token_keys, empty_signature_is_refused)
{
    const verifier by = by_keys(pem_of(shared_rsa()));

    EXPECT_EQ(error_of(by, signed_text(header_with("RS256"), claims) + "."),
              "the signature is wrong");
    EXPECT_EQ(
        error_of(by_secret(), signed_text(header_with("HS256"), claims) + "."),
        "the signature is wrong");
}

TEST(token_keys, public_key_is_no_secret)
{
    const std::string pem = pem_of(shared_rsa());
    const verifier by = by_keys(pem);

    for (const std::string &key :
         {pem, pem.substr(0, pem.size() - 1), number_of(shared_rsa(), "n")}) {
        EXPECT_EQ(error_of(by, hs(claims, header_with("HS256"), key)),
                  "\"alg\" does not fit the key");
    }
}

TEST(token_keys, secret_is_no_public_key)
{
    EXPECT_EQ(
        error_of(by_secret(), by_pkey(shared_rsa(), "RS256", EVP_sha256())),
        "\"alg\" does not fit the key");
}

TEST(token_keys, ecdsa_signature_must_be_two_numbers)
{
    const pkey_ptr key = ec_key("P-256");
    const verifier by = by_keys(pem_of(key.get()));
    const std::string text = signed_text(header_with("ES256"), claims);
    const std::string der = raw_signature(key.get(), text, EVP_sha256());
    const std::string numbers = numbers_of(der, 32);
    const std::string zeros(32, '\0');

    EXPECT_EQ(error_of(by, text + "." + base64url(numbers)), "");

    for (const std::string &wrong :
         {der, numbers.substr(1), numbers + std::string(1, '\0'),
          std::string(1, '\0') + numbers, numbers + numbers,
          numbers_of(der, 48), numbers.substr(0, 32) + zeros,
          zeros + numbers.substr(32), zeros + zeros, std::string(64, '\xFF'),
          numbers.substr(32) + numbers.substr(0, 32)}) {
        EXPECT_EQ(error_of(by, text + "." + base64url(wrong)),
                  "the signature is wrong");
    }
}

TEST(token_keys, key_of_another_curve_is_refused)
{
    const pkey_ptr p256 = ec_key("P-256");
    const pkey_ptr p384 = ec_key("P-384");
    const pkey_ptr other = ec_key("secp256k1");
    const verifier by = by_keys(pem_of(p256.get()));

    EXPECT_EQ(error_of(by, by_pkey(p384.get(), "ES384", EVP_sha384(), 48)),
              "\"alg\" does not fit the key");
    EXPECT_EQ(error_of(by, by_pkey(p384.get(), "ES256", EVP_sha256(), 48)),
              "the signature is wrong");
    EXPECT_EQ(error_of(by, by_pkey(other.get(), "ES256", EVP_sha256(), 32)),
              "the signature is wrong");
    EXPECT_EQ(parse_keys(pem_of(other.get())).error,
              "a key is not of RSA, P-256, P-384, Ed25519 or Ed448");
    EXPECT_NE(parse_keys(pem_of(ec_key("P-521").get())).error, "");
}

TEST(token_keys, padding_of_rsa_is_that_of_the_algorithm)
{
    const verifier by = by_keys(pem_of(shared_rsa()));
    const std::string text = signed_text(header_with("PS256"), claims);

    EXPECT_EQ(error_of(by, text + "." +
                               base64url(raw_signature(shared_rsa(), text,
                                                       EVP_sha256()))),
              "the signature is wrong");
}

TEST(token_keys, header_extensions_are_refused)
{
    const verifier by = by_secret();
    const auto with = [](std::string_view more) {
        return R"({"alg":"HS256",)" + std::string(more) + "}";
    };

    EXPECT_EQ(error_of(by, hs("{}", with(R"("typ":"JWT","b64":true)"))), "");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("crit":["b64"],"b64":false)"))),
              "its header has \"crit\"");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("crit":[])"))),
              "its header has \"crit\"");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("b64":false)"))),
              "its header has \"b64\"");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("kid":7)"))),
              "\"kid\" is not a string");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("kid":["a"])"))),
              "\"kid\" is not a string");
    EXPECT_EQ(error_of(by, hs("{}", with(R"("jwk":{"kty":"oct"},"jku":"x")"))),
              "");
}

TEST(token_keys, key_is_chosen_by_its_id)
{
    const std::string one(40, '1');
    const std::string two(40, '2');
    const verifier by =
        by_keys(set_of(secret_jwk(one, R"(,"kid":"one")") + "," +
                       secret_jwk(two, R"(,"kid":"two","alg":"HS256")")));
    const auto token = [](std::string_view key, std::string_view id) {
        return hs("{}", R"({"alg":"HS256")" + std::string(id) + "}", key);
    };

    EXPECT_EQ(error_of(by, token(one, R"(,"kid":"one")")), "");
    EXPECT_EQ(error_of(by, token(two, R"(,"kid":"two")")), "");
    EXPECT_EQ(error_of(by, token(one, R"(,"kid":"two")")),
              "the signature is wrong");
    EXPECT_EQ(error_of(by, token(one, R"(,"kid":"three")")),
              "no key has its \"kid\"");
    EXPECT_EQ(error_of(by, token(one, "")), "");
    EXPECT_EQ(error_of(by, token(two, "")), "");
    EXPECT_EQ(error_of(by, token(secret, "")), "the signature is wrong");
}

TEST(token_keys, keys_without_id_are_those_of_any_token)
{
    const std::string other(40, '1');
    const verifier by =
        by_keys(set_of(secret_jwk(other) + "," + secret_jwk(secret)));

    EXPECT_EQ(error_of(by, hs("{}")), "");
    EXPECT_EQ(error_of(by, hs("{}", R"({"alg":"HS256","kid":"x"})")), "");
}

TEST(token_keys, few_keys_are_tried)
{
    std::string keys;

    for (char i = '0'; i != '4'; i++) {
        keys += secret_jwk(std::string(40, i)) + ",";
    }

    EXPECT_EQ(error_of(by_keys(set_of(keys + secret_jwk(secret))), hs("{}")),
              "too many keys fit: the token needs a \"kid\"");
}

TEST(token_keys, key_set_pins_the_algorithm)
{
    const verifier by =
        by_keys(set_of(rsa_jwk(shared_rsa(), R"(,"alg":"RS256","use":"sig")")));

    EXPECT_EQ(error_of(by, by_pkey(shared_rsa(), "RS256", EVP_sha256())), "");
    EXPECT_EQ(error_of(by, by_pkey(shared_rsa(), "RS512", EVP_sha512())),
              "\"alg\" does not fit the key");
}
