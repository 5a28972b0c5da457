// The C++ SDK over a server that is a table of plain functions.
#include "sdk/websocket.hpp"

#include "fake_server.hpp"

#include <gtest/gtest.h>

#include <map>

namespace {

const websocket_handler_t *handler(std::string_view name)
{
    const websocket_plugin_t *plugin = websocket_plugin(&fake_server);

    for (std::size_t i = 0; i != plugin->handler_count; i++) {
        if (plugin->handlers[i]->name == name) {
            return plugin->handlers[i];
        }
    }

    return nullptr;
}

struct user : websocket::client {
    std::string name = request().arg("name", request().header("User-Agent"));

    user()
    {
        if (name == "throws") {
            throw std::runtime_error("no such user");
        }
    }
};

struct busy_room : websocket::resource<user> {
    std::vector<websocket::timer> timers;
    std::vector<websocket::client_ref<user>> refs;
    std::string calls;

    busy_room()
    {
        if (parameter("constructor") == "throws") {
            throw 5;
        }
        if (name() != "key") {
            throw std::logic_error("no name in the constructor");
        }
    }

    std::string check_parameters() override
    {
        if (parameter("limit") == "throws") {
            throw std::runtime_error("thrown limit");
        }
        return parameter("limit", "1") == "1" ? "" : "a limit is 1";
    }

    unsigned client_connecting(const websocket::request &asked) override
    {
        if (asked.header("Cookie") == "throws") {
            throw std::runtime_error("no cookie");
        }
        return asked.header("Cookie").empty() ? 401 : 101;
    }

    void client_connected(user &u) override
    {
        refs.emplace_back(u);
        broadcast(u.name + " in " + std::string(name()));
    }

    void client_disconnected(user &u, std::uint16_t status,
                             std::string_view reason) override
    {
        calls += u.name + " left " + std::to_string(status) +
                 std::string(reason) + "|";
    }

    void text_message_received(user &u, std::string_view text) override
    {
        if (text == "throw") {
            throw std::runtime_error("bad text");
        }
        if (text == "throw 5") {
            throw 5;
        }
        u.send_text_message(text);
    }

    // Overrides may be private.
private:
    std::string_view
    select_subprotocol(const websocket::request &,
                       std::span<const std::string_view> offered) override
    {
        if (offered.size() == 1) {
            throw std::runtime_error("only one");
        }

        return offered.size() == 3 ? "never offered" : offered.back();
    }

    std::uint16_t check_message(user &, websocket::opcode kind,
                                std::uint64_t fragment,
                                std::uint64_t total) override
    {
        if (total == 1) {
            throw std::runtime_error("one");
        }
        return kind == websocket::opcode::text && fragment > 10 ? 1009 : 0;
    }

    void pong_received(user &, std::string_view payload) override
    {
        calls += "pong " + std::string(payload) + "|";
    }

    void client_drained(user &) override { throw std::bad_alloc(); }
};

struct quiet_room : websocket::resource<> {};

// Overrides the deprecated name of check_parameters().
struct deprecated_room : websocket::resource<> {
    std::string configured() override
    {
        return std::string(parameter("wrong"));
    }
};

// What an intermediate class overrides counts.
struct derived_room : busy_room {};

WEBSOCKET_HANDLER("busy", busy_room)
WEBSOCKET_HANDLER("quiet", quiet_room)
WEBSOCKET_HANDLER("deprecated", deprecated_room)
WEBSOCKET_HANDLER("derived", derived_room)

// One resource with its clients.
class sdk : public testing::Test {
public:
    void SetUp() override { logged.clear(); }

    void TearDown() override
    {
        while (!peers_.empty()) {
            destroy(peers_.back());
        }
        if (object_ != nullptr) {
            busy_->resource_destroyed(object_);
        }
        for (const websocket_timer &left : server_side_.timers) {
            EXPECT_EQ(left.fired, nullptr) << "a timer outlived its resource";
        }
    }

    busy_room &room()
    {
        if (object_ == nullptr) {
            object_ = busy_->resource_created(&server_side_);
        }
        return static_cast<busy_room &>(
            *static_cast<websocket::resource<user> *>(object_));
    }

    user *connect(websocket_client &side)
    {
        room();
        void *peer = busy_->client_created(object_, &side);
        peers_.push_back(peer);
        EXPECT_EQ(busy_->client_connected(object_, peer), 0);
        return static_cast<user *>(peer);
    }

    void destroy(void *peer)
    {
        std::erase(peers_, peer);
        busy_->client_disconnected(object_, peer, 1001, {"!", 1});
        busy_->client_destroyed(object_, peer);
    }

    int text(void *peer, std::string_view words)
    {
        return busy_->message_received(object_, peer, WEBSOCKET_TEXT,
                                       words.data(), words.size());
    }

    const websocket_handler_t *busy_ = handler("busy");
    websocket_resource server_side_;
    void *object_ = nullptr;
    std::vector<void *> peers_;
};

} // namespace

// Three of this file, and the room: the program has the module's objects.
constexpr std::size_t handlers = 4;

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

TEST_F(sdk, a_server_of_another_version_is_told_ours)
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

TEST_F(sdk, nobody_else_builds_clients_and_resources)
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

TEST_F(sdk, a_timer_fires_once_or_again)
{
    int once = 0;
    int often = 0;

    const websocket::timer single = room().after(5, [&] { once++; });
    const websocket::timer repeated = room().every(10, [&] { often++; });
    EXPECT_TRUE(single.active());
    EXPECT_EQ(server_side_.timers.front().milliseconds, 5U);

    fire(server_side_.timers.front());
    fire(server_side_.timers.back());
    fire(server_side_.timers.back());

    EXPECT_EQ(once, 1);
    EXPECT_EQ(often, 2);
    EXPECT_FALSE(single.active());
    EXPECT_TRUE(repeated.active());
}

TEST_F(sdk, a_timer_may_be_cancelled_in_its_own_call)
{
    const std::string kept(100, 'k');
    std::string seen;

    for (const bool repeats : {false, true}) {
        websocket::timer own;
        const auto call = [&own, &seen, kept] {
            own.cancel();
            own.cancel();
            seen += kept;
        };

        own = repeats ? room().every(1, call) : room().after(1, call);
        fire(server_side_.timers.back());
        EXPECT_EQ(server_side_.timers.back().fired, nullptr);
        EXPECT_FALSE(own.active());
    }

    EXPECT_EQ(seen, kept + kept);
}

TEST_F(sdk, a_timer_that_throws_is_logged_and_goes_on)
{
    room().every(1, [] { throw std::runtime_error("late"); });
    fire(server_side_.timers.back());
    fire(server_side_.timers.back());

    EXPECT_EQ(logged, "4:exception in a timer: late|"
                      "4:exception in a timer: late|");
}

TEST_F(sdk, timers_end_with_the_resource_and_handles_outlive_it)
{
    websocket::timer left = room().every(1, [] {});

    busy_->resource_destroyed(std::exchange(object_, nullptr));
    EXPECT_EQ(server_side_.timers.back().fired, nullptr);
    EXPECT_FALSE(left.active());
    left.cancel();
}

TEST_F(sdk, a_timer_that_the_server_does_not_give_is_none)
{
    server_side_.gives_timers = false;
    websocket::timer none = room().after(1, [] {});

    EXPECT_FALSE(none.active());
    none.cancel();
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

// A server that ends a client inside close() is the hardest case.
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
