// Reads JWK sets (RFC 7517, RFC 7518 6, RFC 8037 2).
#include "tokens/base64url.hpp"
#include "tokens/json_members.hpp"
#include "tokens/key_set.hpp"
#include "tokens/openssl.hpp"

#include <algorithm>
#include <array>

#include <openssl/core_names.h>

namespace websocket::tokens {

namespace {

constexpr const char *malformed = "a member is missing or malformed";

// Neither a key nor an error: the key is skipped.
using jwk_result = key::result;

std::optional<std::string> bytes_of(const json_members &jwk,
                                    std::string_view name)
{
    const std::string *text = find_string(jwk, name);

    return text == nullptr || text->empty() ? std::nullopt
                                            : decode_base64url(*text);
}

ssl_ptr<BIGNUM> number_of(const std::string &bytes) noexcept
{
    return ssl_ptr<BIGNUM>(
        BN_bin2bn(reinterpret_cast<const unsigned char *>(bytes.data()),
                  static_cast<int>(bytes.size()), nullptr));
}

// Null: the parameters are no valid key.
pkey_ptr key_from(const char *type, OSSL_PARAM_BLD *builder) noexcept
{
    const ssl_ptr<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder));
    const ssl_ptr<EVP_PKEY_CTX> context(
        EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY *read = nullptr;

    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &read, EVP_PKEY_PUBLIC_KEY,
                          parameters.get()) != 1) {
        return nullptr;
    }

    pkey_ptr key(read);
    const ssl_ptr<EVP_PKEY_CTX> check(EVP_PKEY_CTX_new(read, nullptr));

    return check && EVP_PKEY_public_check(check.get()) == 1 ? std::move(key)
                                                            : nullptr;
}

jwk_result public_key(pkey_ptr key)
{
    return key == nullptr ? jwk_result{nullptr, malformed}
                          : key::from_public_key(std::move(key));
}

jwk_result read_rsa(const json_members &jwk)
{
    const auto modulus = bytes_of(jwk, "n");
    const auto exponent = bytes_of(jwk, "e");
    const ssl_ptr<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());

    if (!modulus || !exponent) {
        return {nullptr, malformed};
    }

    // The builder refers to the numbers
    const ssl_ptr<BIGNUM> n = number_of(*modulus);
    const ssl_ptr<BIGNUM> e = number_of(*exponent);

    return public_key(
        n && e && builder &&
                OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N,
                                       n.get()) == 1 &&
                OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E,
                                       e.get()) == 1
            ? key_from("RSA", builder.get())
            : nullptr);
}

jwk_result read_ec(const json_members &jwk, std::string_view curve)
{
    const std::size_t size = curve == "P-256" ? 32 : 48;
    const char *group = curve == "P-256" ? "prime256v1" : "secp384r1";
    const auto x = bytes_of(jwk, "x");
    const auto y = bytes_of(jwk, "y");
    const ssl_ptr<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());

    // RFC 7518 6.2.1.2: with the zeros in front
    if (!x || !y || x->size() != size || y->size() != size) {
        return {nullptr, malformed};
    }

    const std::string point = '\x04' + *x + *y;

    return public_key(
        builder &&
                OSSL_PARAM_BLD_push_utf8_string(
                    builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
                OSSL_PARAM_BLD_push_octet_string(
                    builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                    point.size()) == 1
            ? key_from("EC", builder.get())
            : nullptr);
}

jwk_result read_edwards(const json_members &jwk, int type)
{
    const auto x = bytes_of(jwk, "x");

    return public_key(
        x ? pkey_ptr(EVP_PKEY_new_raw_public_key(
                type, nullptr,
                reinterpret_cast<const unsigned char *>(x->data()), x->size()))
          : nullptr);
}

jwk_result read_secret(const json_members &jwk)
{
    auto bytes = bytes_of(jwk, "k");

    return bytes ? key::from_secret(secret_bytes(std::move(*bytes)))
                 : jwk_result{nullptr, malformed};
}

jwk_result read_key(const json_members &jwk)
{
    const std::string *type = find_string(jwk, "kty");
    const std::string *curve = find_string(jwk, "crv");

    if (type == nullptr) {
        return {nullptr, malformed};
    }

    if (*type == "oct") {
        return read_secret(jwk);
    }

    if (find_member(jwk, "d") != nullptr) {
        return {nullptr, "it is a private key; the file must have the public "
                         "one only"};
    }

    if (*type == "RSA") {
        return read_rsa(jwk);
    }

    if (*type == "EC" && curve != nullptr &&
        (*curve == "P-256" || *curve == "P-384")) {
        return read_ec(jwk, *curve);
    }

    if (*type == "OKP" && curve != nullptr && *curve == "Ed25519") {
        return read_edwards(jwk, EVP_PKEY_ED25519);
    }

    if (*type == "OKP" && curve != nullptr && *curve == "Ed448") {
        return read_edwards(jwk, EVP_PKEY_ED448);
    }

    return {};
}

// Whether "key_ops", if there is one, has "verify".
bool may_verify(const json_members &jwk)
{
    const json_member *operations = find_member(jwk, "key_ops");
    const auto names =
        operations == nullptr ? std::nullopt : read_array(operations->text);

    return operations == nullptr ||
           (names && std::any_of(names->begin(), names->end(),
                                 [](const json_member &each) {
                                     return each.kind == json_kind::string &&
                                            each.text == "verify";
                                 }));
}

// RFC 7517 4.2 to 4.4: "use", "key_ops" and "alg".
jwk_result read_signature_key(const json_members &jwk)
{
    const json_member *use = find_member(jwk, "use");
    const json_member *by = find_member(jwk, "alg");
    const auto only = by == nullptr ? std::nullopt : find_algorithm(by->text);

    if ((use != nullptr && use->text != "sig") || !may_verify(jwk) ||
        (by != nullptr && !only)) {
        return {};
    }

    jwk_result read = read_key(jwk);

    if (read.created == nullptr) {
        return read;
    }

    if (only && !read.created->fits(*only)) {
        return {nullptr, "\"alg\" does not fit its type"};
    }

    read.created->only = only;

    if (const json_member *id = find_member(jwk, "kid"); id != nullptr) {
        if (id->kind != json_kind::string) {
            return {nullptr, malformed};
        }

        read.created->id = id->text;
    }

    return read;
}

} // namespace

parsed_keys parse_jwk_set(std::string_view text)
{
    const ssl_error_mark mark;
    const auto set = read_object(text);
    const json_member *list = set ? find_member(*set, "keys") : nullptr;
    const auto jwks = list == nullptr ? std::nullopt : read_array(list->text);
    parsed_keys parsed;

    if (!jwks) {
        return {{},
                "it is not a JWK set: a JSON object with an array \"keys\""};
    }

    for (std::size_t i = 0; i != jwks->size(); i++) {
        const auto jwk = (*jwks)[i].kind == json_kind::object
                             ? read_object((*jwks)[i].text)
                             : std::nullopt;
        jwk_result read =
            jwk ? read_signature_key(*jwk) : jwk_result{nullptr, malformed};

        if (read.error != nullptr) {
            return {{},
                    "key " + std::to_string(i + 1) +
                        " of \"keys\": " + read.error};
        }

        if (read.created != nullptr) {
            parsed.keys.push_back(std::move(read.created));
        }
    }

    return parsed;
}

} // namespace websocket::tokens
