// Tokens, comparison without case, and token lists.
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/text/tokens.hpp"

using namespace websocket::protocol;

namespace {

std::vector<std::string> elements_of(std::string_view value)
{
    std::vector<std::string> elements;
    for (const std::string_view element : token_list(value)) {
        elements.emplace_back(element);
    }
    return elements;
}

using strings = std::vector<std::string>;

} // namespace

TEST(token, accepts_exactly_the_characters_of_the_rfc)
{
    const std::string_view symbols = "!#$%&'*+-.^_`|~";

    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool alphanumeric = (byte >= '0' && byte <= '9') ||
                                  (byte >= 'A' && byte <= 'Z') ||
                                  (byte >= 'a' && byte <= 'z');
        const bool legal =
            alphanumeric || symbols.find(c) != std::string_view::npos;
        EXPECT_EQ(is_token({&c, 1}), legal) << "byte " << byte;
        EXPECT_EQ(is_token(std::string("a") + c + "b"), legal)
            << "byte " << byte;
    }
}

TEST(token, refuses_the_empty_text)
{
    EXPECT_FALSE(is_token(""));
    EXPECT_FALSE(is_token(std::string_view()));
}

TEST(comparison, ignores_the_case_of_ascii_letters)
{
    EXPECT_TRUE(equals_ignoring_case("", ""));
    EXPECT_TRUE(equals_ignoring_case("WebSocket", "websocket"));
    EXPECT_TRUE(equals_ignoring_case("AZaz09-_", "azAZ09-_"));
}

TEST(comparison, distinguishes_different_texts)
{
    EXPECT_FALSE(equals_ignoring_case("upgrade", "upgrad"));
    EXPECT_FALSE(equals_ignoring_case("", "a"));
    EXPECT_FALSE(equals_ignoring_case("upgrade", "upgrads"));
}

TEST(comparison, folds_nothing_but_letters)
{
    // Pairs that differ only in the bit that is the case of letters.
    EXPECT_FALSE(equals_ignoring_case("@", "`"));
    EXPECT_FALSE(equals_ignoring_case("[", "{"));
    EXPECT_FALSE(equals_ignoring_case("\r", "-"));
    EXPECT_FALSE(equals_ignoring_case("\xC3\x84", "\xC3\xA4"));
    EXPECT_FALSE(equals_ignoring_case("k", "\xE2\x84\xAA"));
}

TEST(white_space, is_trimmed_at_both_ends_only)
{
    EXPECT_EQ(trim_white_space(" \t a b\t "), "a b");
    EXPECT_EQ(trim_white_space("a"), "a");
    EXPECT_EQ(trim_white_space(" \t "), "");
    EXPECT_EQ(trim_white_space(""), "");
    EXPECT_EQ(trim_white_space("\na\r"), "\na\r");
}

TEST(token_list, yields_trimmed_elements_in_order)
{
    EXPECT_EQ(elements_of("a"), strings({"a"}));
    EXPECT_EQ(elements_of("a,b"), strings({"a", "b"}));
    EXPECT_EQ(elements_of(" a\t,\tb , c "), strings({"a", "b", "c"}));
}

TEST(token_list, skips_empty_elements)
{
    EXPECT_EQ(elements_of(""), strings());
    EXPECT_EQ(elements_of("   "), strings());
    EXPECT_EQ(elements_of(","), strings());
    EXPECT_EQ(elements_of(" , ,\t,"), strings());
    EXPECT_EQ(elements_of(",a,,b, ,"), strings({"a", "b"}));
}

TEST(token_list, does_not_validate_its_elements)
{
    EXPECT_EQ(elements_of("a b, \"c,d\""), strings({"a b", "\"c", "d\""}));
}

TEST(token_list, can_be_walked_again)
{
    const token_list list("a, b");
    int count = 0;
    for (int round = 0; round < 2; ++round) {
        for (const std::string_view element : list) {
            count += element.empty() ? 0 : 1;
        }
    }
    EXPECT_EQ(count, 4);
}

TEST(list_has_token, finds_it_in_any_place_and_case)
{
    EXPECT_TRUE(list_has_token("upgrade", "upgrade"));
    EXPECT_TRUE(list_has_token("keep-alive, Upgrade", "upgrade"));
    EXPECT_TRUE(list_has_token("UPGRADE,keep-alive", "upgrade"));
    EXPECT_TRUE(list_has_token(",,a , upgrade\t,b", "upgrade"));
}

TEST(list_has_token, does_not_find_parts_of_elements)
{
    EXPECT_FALSE(list_has_token("", "upgrade"));
    EXPECT_FALSE(list_has_token("upgrades", "upgrade"));
    EXPECT_FALSE(list_has_token("no-upgrade", "upgrade"));
    EXPECT_FALSE(list_has_token("upgrade keep-alive", "upgrade"));
    EXPECT_FALSE(list_has_token("upgrade;q=1", "upgrade"));
    EXPECT_FALSE(list_has_token("\"upgrade\"", "upgrade"));
    EXPECT_FALSE(list_has_token("up,grade", "upgrade"));
}
