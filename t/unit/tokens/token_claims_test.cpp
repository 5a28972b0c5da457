// The claims of tokens: times, issuer, audience, subject, rooms, and variables.
#include "token_builder.hpp"

#include <gtest/gtest.h>

using namespace token_builder;

namespace {

std::string claims_error(std::string_view claims)
{
    return error_of(by_secret(), hs(claims));
}

std::shared_ptr<const token> token_with(std::string_view claims)
{
    return by_secret().verify(hs(claims), now).value;
}

std::string with_time(const char *name, const std::string &value)
{
    return std::string("{\"") + name + "\":" + value + "}";
}

} // namespace

TEST(token_claims, expiry_is_checked_with_the_leeway)
{
    EXPECT_EQ(claims_error("{}"), "");
    EXPECT_EQ(token_with("{}")->expires(), 0U);
    EXPECT_EQ(token_with(R"({"exp":1790000001})")->expires(), now + 1000);

    // 5 s of leeway: valid before the end, not at it (RFC 7519 4.1.4)
    EXPECT_EQ(claims_error(with_time("exp", "1789999995.001")), "");
    EXPECT_EQ(claims_error(with_time("exp", "1789999995")), "it has expired");
    EXPECT_EQ(claims_error(with_time("exp", "0")), "it has expired");
    EXPECT_EQ(claims_error(with_time("exp", "0.0001")), "it has expired");
}

TEST(token_claims, expiry_may_be_far_and_a_fraction)
{
    EXPECT_EQ(token_with(R"({"exp":1790000000.5})")->expires(), now + 500);
    EXPECT_EQ(token_with(R"({"exp":1.79e9})")->expires(), now);
    EXPECT_EQ(token_with(R"({"exp":253402300799})")->expires(),
              253402300799000U);
}

TEST(token_claims, what_is_no_time_is_refused)
{
    for (const char *value :
         {"\"1790000100\"", "null", "true", "[1790000100]", "{}", "-1",
          "-1e300", "1e300", "1790000100000", "18446744073709551616",
          "9223372036854775807", "253402300800", "-0.5"}) {
        EXPECT_EQ(claims_error(with_time("exp", value)),
                  "\"exp\" is not a time")
            << value;
        EXPECT_EQ(claims_error(with_time("nbf", value)),
                  "\"nbf\" is not a time")
            << value;
    }

    for (const char *value :
         {"NaN", "Infinity", "1e400", "0x7", "1790000100.", "1_000"}) {
        EXPECT_EQ(claims_error(with_time("exp", value)),
                  "its claims are not a valid JSON object")
            << value;
    }
}

TEST(token_claims, beginning_is_checked_with_the_leeway)
{
    EXPECT_EQ(claims_error(with_time("nbf", "1790000005")), "");
    EXPECT_EQ(claims_error(with_time("nbf", "1790000005.001")),
              "it is not valid yet");
    EXPECT_EQ(claims_error(with_time("nbf", "253402300799")),
              "it is not valid yet");
    EXPECT_EQ(claims_error(with_time("nbf", "0")), "");
}

TEST(token_claims, issuer)
{
    verifier by = by_secret();

    EXPECT_EQ(error_of(by, hs(R"({"iss":"any"})")), "");
    EXPECT_EQ(error_of(by, hs(R"({"iss":["a"]})")), "\"iss\" is not a string");

    by.issuers = {"a", "b"};
    EXPECT_EQ(error_of(by, hs(R"({"iss":"a"})")), "");
    EXPECT_EQ(error_of(by, hs(R"({"iss":"b"})")), "");

    for (const char *claims : {"{}", R"({"iss":"c"})", R"({"iss":""})",
                               R"({"iss":"a\u0000"})", R"({"iss":"A"})"}) {
        EXPECT_EQ(error_of(by, hs(claims)), "\"iss\" is not the issuer");
    }
}

TEST(token_claims, audience)
{
    verifier by = by_secret();

    EXPECT_EQ(error_of(by, hs(R"({"aud":"any"})")), "");

    by.audiences = {"chat"};

    for (const char *claims : {R"({"aud":"chat"})", R"({"aud":["chat"]})",
                               R"({"aud":["x","chat"]})"}) {
        EXPECT_EQ(error_of(by, hs(claims)), "") << claims;
    }

    for (const char *claims :
         {"{}", R"({"aud":"cha"})", R"({"aud":[]})", R"({"aud":["x"]})",
          R"({"aud":"chat\u0000"})", R"({"aud":"[\"chat\"]"})"}) {
        EXPECT_EQ(error_of(by, hs(claims)), "\"aud\" is not the audience")
            << claims;
    }

    for (const char *claims :
         {R"({"aud":[["chat"]]})", R"({"aud":["chat",1]})",
          R"({"aud":{"chat":1}})", R"({"aud":null})", R"({"aud":7})"}) {
        EXPECT_EQ(error_of(by, hs(claims)),
                  "\"aud\" is neither a string nor a list of them")
            << claims;
    }
}

TEST(token_claims, subject_must_be_usable_as_a_user)
{
    EXPECT_EQ(token_with(R"({"sub":"42"})")->subject(), "42");
    EXPECT_EQ(token_with("{}")->subject(), "");
    EXPECT_EQ(claims_error("{\"sub\":\"" + std::string(256, 'x') + "\"}"), "");
    EXPECT_EQ(claims_error("{\"sub\":\"" + std::string(257, 'x') + "\"}"),
              "\"sub\" is longer than 256 bytes");

    for (const char *sub :
         {"a\\u0000b", "a\\r\\nX-Admin: 1", "a\\tb", "a\\u007f"}) {
        EXPECT_EQ(claims_error("{\"sub\":\"" + std::string(sub) + "\"}"),
                  "\"sub\" has a control character");
    }

    EXPECT_EQ(claims_error(R"({"sub":42})"), "\"sub\" is not a string");
    EXPECT_EQ(claims_error(R"({"sub":null})"), "\"sub\" is not a string");
}

TEST(token_claims, claims_are_text)
{
    const auto read = token_with(
        R"({"s":"\u00e9 \"x\"","n":7,"f":-0.5,"t":true,"z":null,"e":"",)"
        R"("o":{"a":["b\n"]},"nul":"a\u0000b","line":"a\r\nb"})");

    EXPECT_EQ(read->claim("s"), "\u00e9 \"x\"");
    EXPECT_EQ(read->claim("n"), "7");
    EXPECT_EQ(read->claim("f"), "-0.5");
    EXPECT_EQ(read->claim("t"), "true");
    EXPECT_EQ(read->claim("z"), "null");
    EXPECT_EQ(read->claim("e"), "");
    EXPECT_EQ(read->claim("o"), R"({"a":["b\n"]})");
    EXPECT_EQ(read->claim("nul"), std::nullopt);
    EXPECT_EQ(read->claim("line"), std::nullopt);
    EXPECT_EQ(read->claim("x"), std::nullopt);
}

TEST(token_claims, claims_are_found_by_names_of_variables)
{
    const auto read = token_with(
        R"({"userId":"1","user-name":"2","USER_name":"3","user_name":"4",)"
        R"("https://x.io/roles":"5","a":"6","A":"7"})");

    EXPECT_EQ(read->claim("userid"), "1");
    EXPECT_EQ(read->claim("user_name"), "4");
    EXPECT_EQ(read->claim("https___x_io_roles"), "5");
    EXPECT_EQ(read->claim("a"), "6");
    EXPECT_EQ(token_with(R"({"user-name":"2"})")->claim("user_name"), "2");
}

TEST(token_claims, rooms)
{
    const auto read = token_with(
        R"({"rooms":["news","chat.*","a*b","",7,null,["x"],"nul\u0000.*"]})");

    EXPECT_TRUE(read->covers("news"));
    EXPECT_TRUE(read->covers("chat."));
    EXPECT_TRUE(read->covers("chat.a"));
    EXPECT_TRUE(read->covers("a*b"));
    EXPECT_TRUE(read->covers(""));
    EXPECT_TRUE(read->covers(std::string_view("nul\0.a", 6)));

    for (const char *room : {"new", "news.a", "chat", "aXb", "x", "7", "nul"}) {
        EXPECT_FALSE(read->covers(room)) << room;
    }

    EXPECT_TRUE(token_with(R"({"rooms":["*"]})")->covers("any"));
    EXPECT_FALSE(token_with(R"({"rooms":"*"})")->covers("any"));
    EXPECT_FALSE(token_with(R"({"rooms":{"*":1}})")->covers("any"));
    EXPECT_FALSE(token_with("{}")->covers("any"));
}

TEST(token_claims, rooms_with_long_names)
{
    const auto read = token_with(
        R"({"rooms":["a room with a long name","another with a long name",)"
        R"("rooms that begin with this.*"]})");

    EXPECT_TRUE(read->covers("a room with a long name"));
    EXPECT_TRUE(read->covers("another with a long name"));
    EXPECT_TRUE(read->covers("rooms that begin with this.b"));
    EXPECT_FALSE(read->covers("a room with a long namf"));
}

TEST(token_claims, rooms_in_any_order)
{
    const auto read = token_with(
        R"({"rooms":["m","chat.ab*","z*","chat.a*","b","chat.b*","chat.a*",)"
        R"("a","chat.a!","m","\u00e9*"]})");

    for (const char *room :
         {"a", "b", "m", "chat.a", "chat.ab", "chat.abc", "chat.a~", "chat.a!",
          "chat.bb", "z", "zz", "\u00e9", "\u00e9t\u00e9"}) {
        EXPECT_TRUE(read->covers(room)) << room;
    }

    for (const char *room : {"", "aa", "c", "chat.", "chat.c", "chat.A", "mm",
                             "y", "{", "\u00e8"}) {
        EXPECT_FALSE(read->covers(room)) << room;
    }
}
