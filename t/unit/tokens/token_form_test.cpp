// The outer form of tokens: base64url, JSON, and the parts of a token.
#include "tokens/base64url.hpp"
#include "tokens/json_members.hpp"

#include "token_builder.hpp"

#include <gtest/gtest.h>

using namespace token_builder;

TEST(base64url, decodes_what_was_encoded)
{
    std::string bytes;

    for (int i = 0; i != 300; i++) {
        EXPECT_EQ(decode_base64url(base64url(bytes)), bytes);
        bytes += static_cast<char>(i * 7);
    }
}

TEST(base64url, refuses_other_forms)
{
    for (const char *text :
         {"YQ==", "YQ=", "Y", "YWJjZ", "YW+j", "YW/j", "YW j", "YWJj\n",
          " YWJj", "YWJj\r\n", "YQ\t", "YR", "YWK", "YW.j", "YW\xC3\xA9"}) {
        EXPECT_FALSE(decode_base64url(text)) << text;
    }

    EXPECT_FALSE(decode_base64url(std::string_view("YW\0j", 4)));
    EXPECT_EQ(decode_base64url("YW-j_w"), "\x61\x6f\xa3\xff");
}

TEST(json_members, reads_each_kind)
{
    const auto read = read_object(
        R"( {"s":"a\"\u00e9","n":-1.50e3,"i":12345678901234567890,"t":true,)"
        R"("z":null,"o":{"a":[1,{"b":"\n"}],"c":{}},"l":[[],"x",2]} )");

    ASSERT_TRUE(read);
    EXPECT_EQ(*find_string(*read, "s"), "a\"\u00e9");
    EXPECT_EQ(find_member(*read, "n")->text, "-1.50e3");
    EXPECT_EQ(find_member(*read, "i")->text, "12345678901234567890");
    EXPECT_EQ(find_member(*read, "t")->text, "true");
    EXPECT_EQ(find_member(*read, "z")->kind, json_kind::null);
    EXPECT_EQ(find_member(*read, "o")->text, R"({"a":[1,{"b":"\n"}],"c":{}})");
    EXPECT_EQ(find_member(*read, "l")->text, R"([[],"x",2])");
    EXPECT_EQ(find_string(*read, "n"), nullptr);
    EXPECT_EQ(find_member(*read, "x"), nullptr);
}

TEST(json_members, reads_elements_of_arrays)
{
    const auto read = read_array(R"(["a",[1],{"b":2}])");

    ASSERT_TRUE(read);
    ASSERT_EQ(read->size(), 3U);
    EXPECT_EQ((*read)[0].text, "a");
    EXPECT_EQ((*read)[1].text, "[1]");
    EXPECT_EQ((*read)[2].kind, json_kind::object);
}

TEST(json_members, refuses_what_is_no_object)
{
    for (const char *text :
         {"", "[]", "1", "\"a\"", "{", "{}x", "{} {}", "{\"a\":1,}", "{'a':1}",
          "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":1e999}", "{\"a\":01}",
          "{\"a\":\"\xFF\"}", "{\"a\":\"\\ud800\"}", "\xEF\xBB\xBF{}",
          "{\"a\":1/*x*/}", "{\"a\":\"\n\"}"}) {
        EXPECT_FALSE(read_object(text)) << text;
    }

    EXPECT_FALSE(read_object(std::string_view("{}\0", 3)));
    EXPECT_FALSE(read_array("{}"));
}

TEST(json_members, refuses_a_name_that_occurs_twice)
{
    EXPECT_FALSE(read_object(R"({"a":1,"a":1})"));
    EXPECT_FALSE(read_object(R"({"a":1,"\u0061":1})"));
    EXPECT_FALSE(read_object(R"({"b":{"a":1,"a":2}})"));
    EXPECT_FALSE(read_object(R"({"b":[{"a":1,"c":2,"a":2}]})"));
    EXPECT_TRUE(read_object(R"({"a":{"a":1},"b":{"a":1}})"));
}

TEST(json_members, limits_the_depth)
{
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth - 1, '[') +
               std::string(depth - 1, ']') + "}";
    };

    EXPECT_TRUE(read_object(nested(max_json_depth)));
    EXPECT_FALSE(read_object(nested(max_json_depth + 1)));
    EXPECT_FALSE(read_object("{\"a\":" + std::string(1'000'000, '[')));
}

TEST(token_form, refuses_what_has_no_three_parts)
{
    const verifier by = by_secret();
    const std::string good = hs("{}");

    EXPECT_EQ(error_of(by, good), "");

    for (const std::string &text :
         {std::string(), std::string("."), std::string(".."),
          std::string("..."), good + ".", "." + good, good + ".x",
          good.substr(0, good.rfind('.')), good + "=", good + " ", " " + good,
          good + "\n", good + std::string(1, '\0'), "Bearer " + good}) {
        EXPECT_NE(error_of(by, text), "") << text;
    }
}

TEST(token_form, each_changed_letter_is_refused)
{
    const verifier by = by_secret();
    const std::string good = hs(R"({"sub":"42"})");

    for (std::size_t i = 0; i != good.size(); i++) {
        std::string changed = good;

        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_NE(error_of(by, changed), "") << i;
    }
}

TEST(token_form, a_prefix_is_refused)
{
    const verifier by = by_secret();
    const std::string good = hs(R"({"sub":"42"})");

    for (std::size_t i = 0; i != good.size(); i++) {
        EXPECT_NE(error_of(by, good.substr(0, i)), "") << i;
    }
}

TEST(token_form, size_is_limited)
{
    const verifier by = by_secret();
    const auto claims = [](std::size_t size) {
        return "{\"a\":\"" + std::string(size, 'x') + "\"}";
    };

    EXPECT_EQ(error_of(by, hs(claims(6000))), "");
    EXPECT_EQ(error_of(by, hs(claims(6100))), "it is longer than 8192 bytes");
    EXPECT_EQ(error_of(by, hs("{}", "{\"alg\":\"HS256\",\"x\":\"" +
                                        std::string(4100, 'x') + "\"}")),
              "it is not a signed token in compact form");
}

TEST(token_form, header_and_claims_must_be_strict_json)
{
    const verifier by = by_secret();
    const std::string deep = std::string(500, '[') + std::string(500, ']');

    for (const std::string &header :
         {std::string("[]"), std::string("{}x"),
          std::string(R"({"alg":"HS256","alg":"HS256"})"),
          std::string(R"({"alg":"none","alg":"HS256"})"),
          R"({"alg":"HS256","x":)" + deep + "}"}) {
        EXPECT_EQ(error_of(by, hs("{}", header)),
                  "its header is not a valid JSON object");
    }

    for (const std::string &claims :
         {std::string("[]"), std::string("\"x\""), std::string("{}{}"),
          std::string(R"({"sub":"1","sub":"2"})"),
          std::string(R"({"exp":NaN})"), "{\"x\":" + deep + "}",
          std::string("{}\0", 3)}) {
        EXPECT_EQ(error_of(by, hs(claims)),
                  "its claims are not a valid JSON object");
    }
}
