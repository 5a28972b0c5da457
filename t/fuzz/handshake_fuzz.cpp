// Fuzzes the opening handshake, its token lists, and the origin patterns.
//
// The input is lines of text. The first has the method and the HTTP version,
// the others are header fields as `name:value`. The fuzzer uses three names
// itself: `Prefer` is a subprotocol of the server, `Pattern` an origin pattern,
// `Host` the host that the origin is compared with.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/handshake/handshake.hpp"
#include "protocol/handshake/origin.hpp"
#include "protocol/text/tokens.hpp"

#include "fuzzing.hpp"

using namespace websocket::protocol;

namespace {

struct field {
    exact_text name;
    exact_text value;
};

std::string_view take_until(std::string_view &text, char end)
{
    const std::size_t size = std::min(text.find(end), text.size());
    const std::string_view part = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    return part;
}

std::string upper_case(std::string_view text)
{
    std::string upper(text);
    for (char &c : upper) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return upper;
}

void check_tokens(std::string_view value)
{
    std::size_t total = 0;
    for (const std::string_view element : token_list(value)) {
        require(!element.empty());
        require(element == trim_white_space(element));
        require(element.data() >= value.data() + total);
        total = static_cast<std::size_t>(element.data() - value.data()) +
                element.size();
        require(total <= value.size());
        require(list_has_token(value, element));
        require(list_has_token(upper_case(value), element));
        // Each element walks the list again, so the number is limited.
        if (total > 256) {
            break;
        }
    }
}

void check_pattern(std::string_view text, std::string_view origin)
{
    std::string_view reason;
    const auto pattern = origin_pattern::parse(text, &reason);

    require(pattern.has_value() == reason.empty());
    if (!pattern) {
        return;
    }
    if (text.find('*') == text.npos) {
        require(pattern->matches(text));
    }
    const bool matched = pattern->matches(origin);
    // RFC 6454 7.1 has null in lower case only
    require(pattern->matches(upper_case(origin)) ==
            (matched && origin != "null"));
    if (matched) {
        // An origin that matches is a valid pattern itself.
        const auto exact = origin_pattern::parse(origin);
        require(exact && exact->matches(origin));
        require(!pattern->matches(std::string(origin) + "/"));
        require(!pattern->matches(std::string(origin) + "a"));
    }
}

void check_same_origin(std::string_view origin, std::string_view host)
{
    if (is_same_origin(origin, host)) {
        const auto exact = origin_pattern::parse(origin);
        require(exact && exact->matches(origin));
        require(is_same_origin(upper_case(origin), host));
        require(is_same_origin(origin, upper_case(host)));
        require(is_same_origin("http://" + std::string(host), host));
    }
}

void check_accepted(const opening_handshake &handshake,
                    const std::vector<std::string_view> &preferred)
{
    std::array<char, 28> answer{};

    require(handshake.key().size() == 24);
    require(accept_key(handshake.key(), answer));
    require(answer[26] != '=' && answer[27] == '=');

    const std::string_view selected = handshake.select_subprotocol(preferred);
    for (const std::string_view name : preferred) {
        if (name == selected) {
            break;
        }
        require(!handshake.offers_subprotocol(name));
    }
    if (!selected.empty()) {
        require(is_token(selected));
        require(handshake.offers_subprotocol(selected));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    std::string_view input(reinterpret_cast<const char *>(data), size);
    std::string_view version = take_until(input, '\n');
    const exact_text method(take_until(version, ' '));
    const unsigned http_version =
        static_cast<unsigned>(std::atoi(std::string(version).c_str()));
    std::vector<field> fields;

    while (!input.empty()) {
        std::string_view line = take_until(input, '\n');
        const std::string_view name = take_until(line, ':');
        fields.push_back({exact_text(name), exact_text(line)});
    }

    opening_handshake handshake;
    std::vector<std::string_view> preferred;
    std::string_view host;
    for (const field &each : fields) {
        const std::string_view value = each.value.view();
        handshake.add_header(each.name.view(), value);
        if (each.name.view() == "Prefer") {
            preferred.push_back(value);
        } else if (each.name.view() == "Host") {
            host = value;
        }
        check_tokens(value);
    }

    const handshake_error error = handshake.check(method.view(), http_version);
    require(!describe(error).empty());
    require(http_status(error) == 101 || error != handshake_error::none);
    if (error == handshake_error::none) {
        check_accepted(handshake, preferred);
    }
    require(handshake.has_origin() || handshake.origin().empty());
    check_same_origin(handshake.origin(), host);
    for (const field &each : fields) {
        if (each.name.view() == "Pattern") {
            check_pattern(each.value.view(), handshake.origin());
        }
    }
    return 0;
}
