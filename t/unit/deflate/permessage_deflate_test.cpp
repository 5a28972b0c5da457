// The negotiated parameters for each offer of permessage-deflate (RFC 7692 5,
// 7.1).
#include "protocol/deflate/permessage_deflate.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

using namespace websocket::protocol;

namespace {

constexpr deflate_settings without{.enabled = true};
constexpr deflate_settings keeping{.enabled = true, .context_takeover = true};
constexpr std::string_view go_without =
    "; server_no_context_takeover; client_no_context_takeover";

deflate_params agreement(std::initializer_list<std::string_view> fields,
                         const deflate_settings &settings = keeping)
{
    deflate_negotiation negotiation{settings};

    for (const std::string_view field : fields) {
        negotiation.add_header("Sec-WebSocket-Extensions", field);
    }
    return negotiation.result();
}

// The parameters of the response to one offer with these parameters; "no" if it
// is declined.
std::string answer(std::string_view parameters,
                   const deflate_settings &settings = keeping)
{
    const std::string offer = "permessage-deflate" + std::string(parameters);
    const deflate_params params = agreement({offer}, settings);
    const deflate_response written{params};

    if (!params.agreed) {
        EXPECT_EQ(params, deflate_params{});
        EXPECT_EQ(written.text(), "");
        return "no";
    }
    EXPECT_TRUE(written.text().starts_with("permessage-deflate"));
    return std::string(written.text().substr(18));
}

} // namespace

TEST(permessage_deflate, is_agreed_on_as_offered)
{
    EXPECT_EQ(answer(""), "");
    EXPECT_EQ(agreement({"permessage-deflate"}),
              (deflate_params{.agreed = true,
                              .server_takeover = true,
                              .client_takeover = true}));
}

TEST(permessage_deflate, is_agreed_on_only_if_enabled_and_offered)
{
    EXPECT_EQ(answer("", {}), "no");
    EXPECT_FALSE(agreement({}).agreed);
    EXPECT_FALSE(agreement({""}).agreed);
    EXPECT_FALSE(agreement({"permessage-bzip2; window=9"}).agreed);
    EXPECT_FALSE(agreement({"Permessage-Deflate"}).agreed);
    EXPECT_FALSE(agreement({"xpermessage-deflate", "permessage"}).agreed);
}

TEST(permessage_deflate, does_not_look_at_other_fields)
{
    deflate_negotiation negotiation{keeping};

    negotiation.add_header("Sec-WebSocket-Protocol", "permessage-deflate");
    EXPECT_FALSE(negotiation.result().agreed);
    negotiation.add_header("sec-websocket-EXTENSIONS", "permessage-deflate");
    EXPECT_TRUE(negotiation.result().agreed);
}

TEST(permessage_deflate, without_takeover_excludes_it_for_both_sides)
{
    EXPECT_EQ(answer("", without), go_without);
    EXPECT_EQ(answer("; client_no_context_takeover", without), go_without);
    EXPECT_EQ(answer("; server_no_context_takeover", without), go_without);

    const deflate_params params = agreement({"permessage-deflate"}, without);
    EXPECT_FALSE(params.server_takeover);
    EXPECT_FALSE(params.client_takeover);
}

TEST(permessage_deflate, honours_each_offer_without_takeover)
{
    const std::string_view server = "; server_no_context_takeover";
    const std::string_view client = "; client_no_context_takeover";

    EXPECT_EQ(answer(server), server);
    EXPECT_EQ(answer(client), client);
    EXPECT_EQ(answer(std::string(client).append(server)), go_without);

    const deflate_params params =
        agreement({"permessage-deflate; server_no_context_takeover"});
    EXPECT_FALSE(params.server_takeover);
    EXPECT_TRUE(params.client_takeover);
}

TEST(permessage_deflate, takes_the_smaller_window_of_the_server)
{
    deflate_settings settings = keeping;

    for (std::uint8_t window = 9; window <= 15; window++) {
        settings.window = window;
        EXPECT_EQ(agreement({"permessage-deflate"}, settings).server_window,
                  window);
        EXPECT_EQ(answer("", settings), "");

        for (unsigned offered = 9; offered <= 15; offered++) {
            const std::string parameter = "; server_max_window_bits=";
            EXPECT_EQ(answer(parameter + std::to_string(offered), settings),
                      parameter +
                          std::to_string(std::min<unsigned>(window, offered)));
        }
    }
}

TEST(permessage_deflate, takes_the_smaller_window_of_the_client)
{
    deflate_settings settings = keeping;

    for (std::uint8_t window = 8; window <= 15; window++) {
        settings.client_window = window;
        const std::string parameter = "; client_max_window_bits";

        // Only if it was offered
        EXPECT_EQ(answer("", settings), "");
        EXPECT_EQ(agreement({"permessage-deflate"}, settings).client_window,
                  15);
        EXPECT_EQ(answer(parameter, settings),
                  window == 15 ? "" : parameter + "=" + std::to_string(window));

        for (unsigned offered = 8; offered <= 15; offered++) {
            const unsigned least = std::min<unsigned>(window, offered);
            EXPECT_EQ(
                answer(parameter + "=" + std::to_string(offered), settings),
                least == 15 ? "" : parameter + "=" + std::to_string(least));
        }
    }
}

TEST(permessage_deflate, answers_all_four_parameters)
{
    const deflate_settings settings{
        .enabled = true, .window = 12, .client_window = 10};

    EXPECT_EQ(answer("; client_max_window_bits; server_max_window_bits=\"15\";"
                     "client_no_context_takeover;server_no_context_takeover",
                     settings),
              std::string(go_without) +
                  "; server_max_window_bits=12; client_max_window_bits=10");
}

TEST(permessage_deflate, is_declined_with_an_illegal_window)
{
    for (const std::string_view name :
         {"; server_max_window_bits", "; client_max_window_bits"}) {
        for (const std::string_view value :
             {"=7",   "=16",  "=0",        "=08",         "=09",    "=015",
              "=1",   "=150", "=80",       "=+9",         "=-9",    "=9.0",
              "=0x9", "=x",   "=12345678", "=1234567890", "=\"7\"", "=\"08\"",
              "=1a",  "=a1",  "=19",       "=20"}) {
            EXPECT_EQ(answer(std::string(name).append(value)), "no") << value;
        }
    }
    // zlib has no such window, and this parameter requires a value
    EXPECT_EQ(answer("; server_max_window_bits=8"), "no");
    EXPECT_EQ(answer("; server_max_window_bits"), "no");
}

TEST(permessage_deflate, is_declined_with_a_value_where_there_is_none)
{
    for (const std::string_view value : {"=1", "=true", "=\"1\"", "=10"}) {
        EXPECT_EQ(answer("; server_no_context_takeover" + std::string(value)),
                  "no");
        EXPECT_EQ(answer("; client_no_context_takeover" + std::string(value)),
                  "no");
    }
}

TEST(permessage_deflate, is_declined_with_a_repeated_parameter)
{
    for (const std::string_view name :
         {"; server_no_context_takeover", "; client_no_context_takeover",
          "; client_max_window_bits", "; client_max_window_bits=10",
          "; server_max_window_bits=10"}) {
        EXPECT_NE(answer(name), "no") << name;
        EXPECT_EQ(answer(std::string(name).append(name)), "no") << name;
    }
    EXPECT_EQ(answer("; client_max_window_bits=10; client_max_window_bits"),
              "no");
    EXPECT_EQ(answer("; server_max_window_bits=10; server_no_context_takeover;"
                     "server_max_window_bits=11"),
              "no");
}

TEST(permessage_deflate, is_declined_with_an_unknown_parameter)
{
    for (const std::string_view name :
         {"; mem_level=9", "; x", "; Server_No_Context_Takeover",
          "; server_no_context_takeover; x", "; x; server_no_context_takeover",
          "; server_max_window_bit=10"}) {
        EXPECT_EQ(answer(name), "no") << name;
    }
}

TEST(permessage_deflate, takes_the_first_offer_that_is_acceptable)
{
    const std::string_view bad = "permessage-deflate; server_max_window_bits=8";

    for (const std::string_view joint : {",", " , ", ",,"}) {
        deflate_negotiation negotiation{keeping};
        std::string field{bad};
        field.append(joint).append("x-other; y=1").append(joint);
        field.append("permessage-deflate; server_max_window_bits=11");
        field.append(joint).append("permessage-deflate");
        negotiation.add_header("Sec-WebSocket-Extensions", field);
        EXPECT_EQ(negotiation.result().server_window, 11);
    }

    EXPECT_EQ(agreement({bad, "permessage-deflate;server_max_window_bits=12",
                         "permessage-deflate;server_max_window_bits=9"})
                  .server_window,
              12);
    EXPECT_FALSE(agreement({bad, bad}).agreed);
}

TEST(permessage_deflate, leaves_a_declined_offer_behind)
{
    // The first offer does not affect the second
    EXPECT_EQ(agreement({"permessage-deflate; client_max_window_bits=9;"
                         "server_no_context_takeover; x, permessage-deflate"}),
              agreement({"permessage-deflate"}));
    EXPECT_EQ(agreement({"x; server_no_context_takeover, permessage-deflate"}),
              agreement({"permessage-deflate"}));
}

TEST(permessage_deflate, is_not_agreed_on_with_a_malformed_field)
{
    for (const std::string_view field :
         {"permessage-deflate;", "permessage-deflate; =",
          "permessage-deflate x", "permessage-deflate; client_max_window_bits=",
          "permessage-deflate; client_max_window_bits=\"10",
          "permessage-deflate, x y", "permessage-deflate; x=\"a b\""}) {
        EXPECT_FALSE(agreement({field}).agreed) << field;
        EXPECT_FALSE(agreement({"permessage-deflate", field}).agreed) << field;
        EXPECT_FALSE(agreement({field, "permessage-deflate"}).agreed) << field;
    }
}

TEST(permessage_deflate, takes_values_in_quotation_marks)
{
    EXPECT_EQ(answer("; server_max_window_bits=\"10\""),
              "; server_max_window_bits=10");
    EXPECT_EQ(answer("; client_max_window_bits = \"\\9\""),
              "; client_max_window_bits=9");
}

TEST(permessage_deflate, takes_any_number_of_offers_and_parameters)
{
    std::string offers;
    std::string parameters = "permessage-deflate";

    for (int i = 0; i < 50000; i++) {
        offers += "permessage-deflate; server_max_window_bits=8,";
        parameters += "; server_no_context_takeover";
    }

    EXPECT_FALSE(agreement({offers, parameters}).agreed);
    EXPECT_TRUE(agreement({offers, parameters, "permessage-deflate"}).agreed);
}
