// Verifies a token in this order: its form, the header, the signature, and then
// the claims, so that unsigned claims are never parsed.
#include "tokens/verifier.hpp"

#include "tokens/base64url.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace websocket::tokens {

namespace {

constexpr std::size_t max_header_size = 4096;

// The year 10000, in seconds: what is later is not a time in seconds.
constexpr double end_of_time = 253402300800.0;

constexpr const char *not_a_token = "it is not a signed token in compact form";

struct parts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_text;
};

std::optional<parts> split(std::string_view text) noexcept
{
    const std::size_t first = text.find('.');
    const std::size_t second =
        first == text.npos ? text.npos : text.find('.', first + 1);

    if (second == text.npos || text.find('.', second + 1) != text.npos) {
        return std::nullopt;
    }

    return parts{text.substr(0, first),
                 text.substr(first + 1, second - first - 1),
                 text.substr(second + 1), text.substr(0, second)};
}

struct header {
    std::optional<algorithm> by;
    const std::string *id = nullptr; // null: none
    const char *error = nullptr;
};

// RFC 7515 4.1.11: no extension is understood here. RFC 7797: "b64".
header read_header(const json_members &fields)
{
    const json_member *id = find_member(fields, "kid");
    const json_member *base64 = find_member(fields, "b64");
    const std::string *by = find_string(fields, "alg");

    if (find_member(fields, "crit") != nullptr) {
        return {std::nullopt, nullptr, "its header has \"crit\""};
    }

    if (base64 != nullptr && base64->text != "true") {
        return {std::nullopt, nullptr, "its header has \"b64\""};
    }

    if (id != nullptr && id->kind != json_kind::string) {
        return {std::nullopt, nullptr, "\"kid\" is not a string"};
    }

    if (by == nullptr || !find_algorithm(*by)) {
        return {std::nullopt, nullptr, "\"alg\" is none of the algorithms"};
    }

    return {find_algorithm(*by), id == nullptr ? nullptr : &id->text, nullptr};
}

std::string_view as_text(const std::string *text) noexcept
{
    return text == nullptr ? std::string_view{} : *text;
}

// A key without an id may be that of any token.
bool is_key_of(const key &which, const header &of) noexcept
{
    return of.id == nullptr || !which.id || *which.id == *of.id;
}

// Returns what is wrong, or null.
const char *check_signature(const key_set &keys, const header &of,
                            std::string_view text, std::string_view signature)
{
    std::size_t named = 0;
    std::size_t tried = 0;

    for (const auto &each : keys) {
        if (!is_key_of(*each, of)) {
            continue;
        }

        named++;

        if (!each->fits(*of.by)) {
            continue;
        }

        if (++tried > max_keys_tried) {
            return "too many keys fit: the token needs a \"kid\"";
        }

        if (each->verify(*of.by, text, signature)) {
            return nullptr;
        }
    }

    return named == 0   ? "no key has its \"kid\""
           : tried == 0 ? "\"alg\" does not fit the key"
                        : "the signature is wrong";
}

// A time of the claims in ms; nothing: it is not one. RFC 7519 2: fractions are
// allowed.
std::optional<std::uint64_t> read_time(const json_member &claim) noexcept
{
    double seconds = -1;

    if (claim.kind != json_kind::number) {
        return std::nullopt;
    }

    const char *end = claim.text.data() + claim.text.size();
    const auto [at, error] = std::from_chars(claim.text.data(), end, seconds);

    return error == std::errc{} && at == end && seconds >= 0 &&
                   seconds < end_of_time
               ? std::optional(static_cast<std::uint64_t>(seconds * 1000))
               : std::nullopt;
}

// Whether a string or an array of strings has one of the names.
bool has_one_of(const json_member &claim, const std::vector<std::string> &names,
                bool &well_formed)
{
    const auto known = [&names](const json_member &each) {
        return std::find(names.begin(), names.end(), each.text) != names.end();
    };

    if (claim.kind == json_kind::string) {
        return known(claim);
    }

    const auto list =
        claim.kind == json_kind::array ? read_array(claim.text) : std::nullopt;

    well_formed =
        list && std::all_of(list->begin(), list->end(), [](const auto &each) {
            return each.kind == json_kind::string;
        });
    return well_formed && std::any_of(list->begin(), list->end(), known);
}

class claims_check {
public:
    claims_check(const verifier &by, const json_members &claims,
                 std::uint64_t now) noexcept
        : by_{by}, claims_{claims}, now_{now}
    {}

    // Returns what is wrong, or null.
    const char *run()
    {
        for (const auto check :
             {&claims_check::expiry, &claims_check::not_before,
              &claims_check::issuer, &claims_check::audience,
              &claims_check::subject}) {
            if (const char *error = (this->*check)(); error != nullptr) {
                return error;
            }
        }

        return nullptr;
    }

    std::uint64_t expires() const noexcept { return expires_; }

private:
    const char *expiry()
    {
        const json_member *claim = find_member(claims_, "exp");

        if (claim == nullptr) {
            return nullptr;
        }

        const auto time = read_time(*claim);

        if (!time) {
            return "\"exp\" is not a time";
        }

        expires_ = *time;
        return now_ < *time + by_.leeway ? nullptr : "it has expired";
    }

    const char *not_before()
    {
        const json_member *claim = find_member(claims_, "nbf");
        const auto time = claim == nullptr ? std::nullopt : read_time(*claim);

        return claim == nullptr             ? nullptr
               : !time                      ? "\"nbf\" is not a time"
               : now_ + by_.leeway >= *time ? nullptr
                                            : "it is not valid yet";
    }

    const char *issuer()
    {
        const json_member *claim = find_member(claims_, "iss");

        if (claim != nullptr && claim->kind != json_kind::string) {
            return "\"iss\" is not a string";
        }

        return by_.issuers.empty() ||
                       (claim != nullptr &&
                        std::find(by_.issuers.begin(), by_.issuers.end(),
                                  claim->text) != by_.issuers.end())
                   ? nullptr
                   : "\"iss\" is not the issuer";
    }

    const char *audience()
    {
        const json_member *claim = find_member(claims_, "aud");
        bool well_formed = true;
        const bool found =
            claim != nullptr && has_one_of(*claim, by_.audiences, well_formed);

        return !well_formed ? "\"aud\" is neither a string nor a list of them"
               : found || by_.audiences.empty() ? nullptr
                                                : "\"aud\" is not the audience";
    }

    const char *subject()
    {
        const json_member *claim = find_member(claims_, "sub");

        return claim == nullptr                   ? nullptr
               : claim->kind != json_kind::string ? "\"sub\" is not a string"
                                                  : subject_error(claim->text);
    }

    const verifier &by_;
    const json_members &claims_;
    std::uint64_t now_;
    std::uint64_t expires_ = 0;
};

verified invalid(const char *error) noexcept
{
    return {nullptr, error};
}

} // namespace

verified verifier::verify(std::string_view text, std::uint64_t now) const
{
    if (text.size() > max_token_size) {
        return invalid("it is longer than 8192 bytes");
    }

    const auto found = split(text);
    const auto header_text =
        found ? decode_base64url(found->header) : std::nullopt;
    const auto signature =
        found ? decode_base64url(found->signature) : std::nullopt;

    if (!header_text || !signature || header_text->size() > max_header_size) {
        return invalid(not_a_token);
    }

    const auto fields = read_object(*header_text);

    if (!fields) {
        return invalid("its header is not a valid JSON object");
    }

    const header head = read_header(*fields);

    if (head.error != nullptr) {
        return invalid(head.error);
    }

    if (const char *error =
            check_signature(keys, head, found->signed_text, *signature);
        error != nullptr) {
        return invalid(error);
    }

    const auto payload = decode_base64url(found->payload);
    const auto claims = payload ? read_object(*payload) : std::nullopt;

    if (!claims) {
        return invalid("its claims are not a valid JSON object");
    }

    claims_check check(*this, *claims, now);

    if (const char *error = check.run(); error != nullptr) {
        return invalid(error);
    }

    return {std::make_shared<const token>(
                *claims, as_text(find_string(*claims, "sub")), check.expires()),
            nullptr};
}

} // namespace websocket::tokens
