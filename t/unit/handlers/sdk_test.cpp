// The C++ SDK with a server that consists of plain functions.
#include "sdk/websocket.hpp"

#include "sdk_fixture.hpp"

#include <gtest/gtest.h>

#include <map>

using namespace sdk_tests;

namespace {

WEBSOCKET_HANDLER("busy", busy_room)
WEBSOCKET_HANDLER("quiet", quiet_room)
WEBSOCKET_HANDLER("deprecated", deprecated_room)
WEBSOCKET_HANDLER("derived", derived_room)

} // namespace

// Four handlers of this file, and `room`, because the program has the objects
// of the module.
constexpr std::size_t handlers = 6;

TEST_F(sdk, a_library_has_its_handlers_whenever_asked)
{
    const websocket_plugin_t *plugin = websocket_plugin(&fake_server);

    EXPECT_EQ(plugin->version, std::uint32_t{WEBSOCKET_PLUGIN_VERSION});
    EXPECT_EQ(plugin->handler_count, handlers);
    EXPECT_EQ(websocket_plugin(&fake_server)->handler_count, handlers);
}

TEST_F(sdk, a_server_with_fewer_functions_is_refused)
{
    websocket_server_t old = fake_server;
    old.size -= sizeof(void *);

    EXPECT_EQ(websocket_plugin(&old), nullptr);
}

TEST_F(sdk, a_server_of_another_version_gets_ours)
{
    websocket_server_t other = fake_server;
    other.version++;
    other.size = 0;

    ASSERT_NE(websocket_plugin(&other), nullptr);
    EXPECT_EQ(websocket_plugin(&other)->version,
              std::uint32_t{WEBSOCKET_PLUGIN_VERSION});
    EXPECT_EQ(websocket_plugin(&other)->handler_count, 0U);
    EXPECT_EQ(websocket_plugin(&fake_server)->handler_count, handlers);
}

TEST_F(sdk, functions_that_are_not_overridden_are_not_called)
{
    const websocket_handler_t *quiet = handler("quiet");

    EXPECT_EQ(quiet->client_connecting, nullptr);
    EXPECT_EQ(quiet->select_subprotocol, nullptr);
    EXPECT_EQ(quiet->check_message, nullptr);
    EXPECT_EQ(quiet->pong_received, nullptr);
    EXPECT_EQ(quiet->client_drained, nullptr);

    for (const char *name : {"busy", "derived"}) {
        EXPECT_NE(handler(name)->client_connecting, nullptr);
        EXPECT_NE(handler(name)->select_subprotocol, nullptr);
        EXPECT_NE(handler(name)->check_message, nullptr);
        EXPECT_NE(handler(name)->pong_received, nullptr);
        EXPECT_NE(handler(name)->client_drained, nullptr);
    }
}

TEST_F(sdk, a_client_knows_its_request_in_its_constructor)
{
    websocket_client named{.request = {"x=1&n%61me=J%c3%b6+%2b%zz", {}}};
    websocket_client agent{.request = {"name2=x&=&", {{"User-Agent", "UA"}}}};

    EXPECT_EQ(connect(named)->name, "J\xc3\xb6 +%zz");
    EXPECT_EQ(connect(agent)->name, "UA");
    EXPECT_EQ(connect(agent)->id(), 7U);
    EXPECT_EQ(server_side_.broadcasts,
              "J\xc3\xb6 +%zz in key|UA in key|UA in key|");
}

TEST_F(sdk, callbacks_reach_the_resource_and_calls_the_server)
{
    websocket_client side{.request = {"name=Ann", {}}};
    user &ann = *connect(side);

    EXPECT_EQ(text(&ann, "hi"), 0);
    EXPECT_EQ(busy_->message_received(object_, &ann, WEBSOCKET_BINARY, "b", 1),
              0);
    EXPECT_EQ(busy_->pong_received(object_, &ann, "p", 1), 0);
    EXPECT_EQ(ann.send_binary_message(std::as_bytes(std::span("ab", 2))),
              websocket::send_result::backpressure);
    EXPECT_EQ(ann.send_ping("?"), websocket::send_result::closed);
    EXPECT_EQ(ann.buffered_amount(), 42U);
    destroy(&ann);

    EXPECT_EQ(side.sent,
              (std::vector<std::string>{"text hi", "binary ab", "ping ?"}));
    EXPECT_EQ(side.closed_with, 1003);
    EXPECT_EQ(room().calls, "pong p|Ann left 1001!|");
    EXPECT_EQ(room().client_count(), 3U);
}

TEST_F(sdk, a_message_that_throws_fails_and_is_logged)
{
    websocket_client side;
    user &peer = *connect(side);

    EXPECT_NE(text(&peer, "throw"), 0);
    EXPECT_NE(text(&peer, "throw 5"), 0);
    EXPECT_NE(busy_->client_drained(object_, &peer), 0);
    EXPECT_EQ(logged,
              "4:exception in text_message_received: bad text|"
              "4:exception in text_message_received: not a std::exception|"
              "4:exception in client_drained: std::bad_alloc|");
}

TEST_F(sdk, constructors_that_throw_make_nothing)
{
    websocket_client side{.request = {"name=throws", {}}};
    room();

    EXPECT_EQ(busy_->client_created(object_, &side), nullptr);

    websocket_resource refused{.parameters = {{"constructor", "throws"}}};
    EXPECT_EQ(busy_->resource_created(&refused), nullptr);
    EXPECT_EQ(logged,
              "4:exception in the constructor of a client: no such user|"
              "4:exception in the constructor of a resource: "
              "not a std::exception|");
}

TEST_F(sdk, only_the_sdk_builds_clients_and_resources)
{
    EXPECT_THROW(user(), std::logic_error);
    EXPECT_THROW(quiet_room(), std::logic_error);
}

TEST_F(sdk, connecting_is_accepted_refused_or_fails)
{
    const websocket_request with{"", {{"Cookie", "c"}}};
    const websocket_request without{};
    const websocket_request throwing{"", {{"Cookie", "throws"}}};
    room();

    EXPECT_EQ(busy_->client_connecting(object_, &with), 101U);
    EXPECT_EQ(busy_->client_connecting(object_, &without), 401U);
    EXPECT_EQ(busy_->client_connecting(object_, &throwing), 500U);
    EXPECT_EQ(logged, "4:exception in client_connecting: no cookie|");
}

TEST_F(sdk, a_subprotocol_is_one_that_was_offered)
{
    const websocket_request asked{};
    const websocket_text_t offered[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    room();

    websocket_text_t chosen{nullptr, 0};

    EXPECT_EQ(busy_->select_subprotocol(object_, &asked, offered, 3, &chosen),
              0);
    EXPECT_EQ(chosen.data, nullptr);
    EXPECT_EQ(busy_->select_subprotocol(object_, &asked, offered, 2, &chosen),
              0);
    EXPECT_EQ(chosen.data, offered[1].data);
    EXPECT_NE(busy_->select_subprotocol(object_, &asked, offered, 1, &chosen),
              0);
    EXPECT_EQ(logged, "4:exception in select_subprotocol: only one|");
}

TEST_F(sdk, a_message_is_checked_by_kind_and_length)
{
    websocket_client side;
    user &peer = *connect(side);
    const auto check = [&](int kind, std::uint64_t length) {
        return busy_->check_message(object_, &peer, kind, length, length);
    };

    EXPECT_EQ(check(WEBSOCKET_TEXT, 10), 0);
    EXPECT_EQ(check(WEBSOCKET_TEXT, 11), 1009);
    EXPECT_EQ(check(WEBSOCKET_BINARY, 11), 0);
    EXPECT_EQ(check(WEBSOCKET_TEXT, 1), 1011);
    EXPECT_EQ(logged, "4:exception in check_message: one|");
}

TEST_F(sdk, parameters_are_right_wrong_or_throw)
{
    room();
    EXPECT_EQ(busy_->check_parameters(object_), nullptr);

    server_side_.parameters["limit"] = "2";
    EXPECT_STREQ(busy_->check_parameters(object_), "a limit is 1");

    server_side_.parameters["limit"] = "throws";
    EXPECT_STREQ(busy_->check_parameters(object_), "thrown limit");
}

static_assert(offsetof(websocket_handler_t, check_parameters) ==
              offsetof(websocket_handler_t, configured));

TEST_F(sdk, an_override_of_configured_checks_the_parameters)
{
    const websocket_handler_t *deprecated = handler("deprecated");
    void *object = deprecated->resource_created(&server_side_);

    EXPECT_EQ(deprecated->check_parameters(object), nullptr);
    EXPECT_EQ(deprecated->configured, deprecated->check_parameters);

    server_side_.parameters["wrong"] = "so not";
    EXPECT_STREQ(deprecated->check_parameters(object), "so not");
    deprecated->resource_destroyed(object);
}

TEST_F(sdk, a_ref_is_null_after_its_client)
{
    websocket_client side;
    user &peer = *connect(side);
    const websocket::client_ref ref(peer);

    EXPECT_EQ(ref.get(), &peer);
    destroy(&peer);
    EXPECT_EQ(ref.get(), nullptr);
    EXPECT_EQ(room().refs.at(0).get(), nullptr);
    EXPECT_EQ(websocket::client_ref<user>().get(), nullptr);
}

// The server ends a client inside close(), the hardest case.
TEST_F(sdk, clients_may_end_inside_the_loop_over_them)
{
    static sdk *test;
    static std::map<websocket_client *, void *> peers;
    websocket_client sides[4];
    user *users[4];
    int met = 0;

    test = this;
    peers.clear();

    for (int i = 0; i != 4; i++) {
        peers[&sides[i]] = users[i] = connect(sides[i]);
        sides[i].when_closed = [](websocket_client *side) {
            test->destroy(peers[side]);
        };
    }

    for (user &each : room().clients()) {
        if (met++ == 0) {
            each.close_connection();
            users[2]->close_connection();
            EXPECT_EQ(std::ranges::distance(room().clients()), 2);
        }
    }

    EXPECT_EQ(met, 3); // the first, the second and the last
    EXPECT_EQ(std::ranges::distance(room().clients()), 2);

    users[1]->close_connection();
    ASSERT_EQ(std::ranges::distance(room().clients()), 1);
    EXPECT_EQ(&*room().clients().begin(), users[3]);
    users[3]->close_connection();
    EXPECT_EQ(std::ranges::distance(room().clients()), 0);
}
