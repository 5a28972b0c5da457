// Handlers in C++ and a server that consists of plain functions. sdk_test.cpp
// registers the handlers.
#pragma once

#include "sdk/websocket.hpp"

#include "fake_server.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sdk_tests {

inline const websocket_handler_t *handler(std::string_view name)
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

// Inherits overrides from an intermediate class.
struct derived_room : busy_room {};

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

    int text(void *peer, std::string_view text)
    {
        return busy_->message_received(object_, peer, WEBSOCKET_TEXT,
                                       text.data(), text.size());
    }

    const websocket_handler_t *busy_ = handler("busy");
    websocket_resource server_side_;
    void *object_ = nullptr;
    std::vector<void *> peers_;
};

} // namespace sdk_tests
