// Fuzzes what a stranger chooses of a token: its form, its header, and, as an
// issuer may sign anything, its claims. Also key files.
//
// The first byte of the input selects which of these the rest is.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tokens/base64url.hpp"
#include "tokens/verifier.hpp"

#include "fuzzing.hpp"

using namespace websocket::tokens;

namespace {

constexpr std::uint64_t now = 1'790'000'000'000;
const std::string secret(64, 's');

std::string encode(std::string_view bytes)
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

std::string sign(std::string_view header, std::string_view claims)
{
    const std::string text = encode(header) + "." + encode(claims);
    std::string signature(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;

    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char *>(text.data()), text.size(),
         reinterpret_cast<unsigned char *>(signature.data()), &size);
    signature.resize(size);
    return text + "." + encode(signature);
}

const verifier &shared_verifier()
{
    static const verifier by{parse_keys("secret:" + secret).keys, {}, {}, 5000};
    return by;
}

// Returns whether the token is valid.
bool verify(std::string_view text)
{
    const exact_text exact(text);
    const verified result = shared_verifier().verify(exact.view(), now);

    require((result.value == nullptr) == (result.error != nullptr));

    if (result.value == nullptr) {
        return false;
    }

    const token &read = *result.value;
    const auto exp = read.claim("exp");

    require(text.size() <= max_token_size);
    require(read.subject().size() <= 256);
    require(subject_error(read.subject()) == nullptr);
    require(!read.claim("sub") || read.claim("sub") == read.subject());
    require(read.expires() == 0 || (exp && read.expires() + 5000 > now));
    (void)read.covers("news.a");
    return true;
}

// Each value has one form only.
void check_base64(std::string_view text)
{
    const exact_text exact(text);

    if (const auto bytes = decode_base64url(exact.view()); bytes) {
        require(encode(*bytes) == text);
    }
}

// A form with another letter must not be another token of the same content.
void check_form(std::string_view text)
{
    const std::size_t end = text.rfind('.');

    if (verify(text)) {
        require(end != text.npos);
        require(!verify(text.substr(0, end + 1)));
        require(!verify(std::string(text) + "A"));
    }
}

void check_header(std::string_view header)
{
    (void)verify(sign(header, "{}"));

    // A signature that is not of the secret
    const std::string text = sign(header, "{}");

    require(!verify(text.substr(0, text.rfind('.') + 1)));
}

void check_members(std::string_view text)
{
    const exact_text exact(text);
    const auto members = read_object(exact.view());

    for (const json_member &each : members ? *members : json_members{}) {
        require(each.kind != json_kind::object || read_object(each.text));
        require(each.kind != json_kind::array || read_array(each.text));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    const std::string_view input(reinterpret_cast<const char *>(data), size);

    if (input.empty()) {
        return 0;
    }

    const std::string_view rest = input.substr(1);

    switch (input.front()) {
    case 'f':
        check_form(rest);
        check_base64(rest);
        break;
    case 'h':
        check_header(rest);
        break;
    case 'c':
        (void)verify(sign(R"({"alg":"HS256"})", rest));
        check_members(rest);
        break;
    default:
        const exact_text exact(rest);
        const parsed_keys parsed = parse_keys(exact.view());

        require(parsed.error.empty() == !parsed.keys.empty());
    }

    return 0;
}
