// A server for handlers that consists of plain functions.
#pragma once

#include "sdk/websocket_plugin.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The objects of the server behind its handles.
struct websocket_request {
    std::string args;
    std::map<std::string, std::string, std::less<>> headers;
};

struct websocket_client {
    std::uint64_t id = 7;
    websocket_request request{};
    std::vector<std::string> sent{};
    std::optional<std::uint16_t> closed_with{};
    void (*when_closed)(websocket_client *) = nullptr;
};

struct websocket_timer {
    std::uint64_t milliseconds;
    bool repeats;
    void (*fired)(void *);
    void *data;
};

struct websocket_resource {
    std::map<std::string, std::string, std::less<>> parameters{};
    std::string broadcasts{};
    std::list<websocket_timer> timers{};
    bool gives_timers = true;
};

// The log of the handlers: "LEVEL:TEXT|" for each line.
inline std::string logged;

inline std::string_view of(websocket_text_t text)
{
    return {text.data, text.size};
}

inline websocket_text_t as_c(std::string_view text)
{
    return {text.data(), text.size()};
}

template <class Map>
websocket_text_t lookup(const Map &map, websocket_text_t name)
{
    const auto found = map.find(of(name));
    return found == map.end() ? websocket_text_t{nullptr, 0}
                              : as_c(found->second);
}

inline const websocket_server_t fake_server = [] {
    websocket_server_t functions{};

    functions.size = sizeof(functions);
    functions.version = WEBSOCKET_PLUGIN_VERSION;
    functions.send = [](websocket_client_t *client, int kind, const void *data,
                        std::size_t size) -> int {
        client->sent.push_back(
            (kind == WEBSOCKET_TEXT ? "text " : "binary ") +
            std::string(static_cast<const char *>(data), size));
        return WEBSOCKET_BACKPRESSURE;
    };
    functions.send_ping = [](websocket_client_t *client, const void *data,
                             std::size_t size) -> int {
        client->sent.push_back(
            "ping " + std::string(static_cast<const char *>(data), size));
        return WEBSOCKET_CLOSED;
    };
    functions.close = [](websocket_client_t *client, std::uint16_t code,
                         websocket_text_t) {
        client->closed_with = code;
        if (client->when_closed != nullptr) {
            client->when_closed(client);
        }
    };
    functions.buffered_amount = [](const websocket_client_t *) -> std::size_t {
        return 42;
    };
    functions.client_id = [](const websocket_client_t *client) {
        return client->id;
    };
    functions.client_request =
        [](const websocket_client_t *client) -> const websocket_request_t * {
        return &client->request;
    };
    functions.request_uri = [](const websocket_request_t *) {
        return as_c("/chat");
    };
    functions.request_args = [](const websocket_request_t *request) {
        return as_c(request->args);
    };
    functions.request_header = [](const websocket_request_t *request,
                                  websocket_text_t name) {
        return lookup(request->headers, name);
    };
    functions.request_remote_address = [](const websocket_request_t *) {
        return as_c("127.0.0.1");
    };
    functions.request_subprotocol = [](const websocket_request_t *) {
        return websocket_text_t{nullptr, 0};
    };
    functions.request_variable = [](const websocket_request_t *,
                                    websocket_text_t name) { return name; };
    functions.resource_name = [](const websocket_resource_t *) {
        return as_c("key");
    };
    functions.parameter = [](const websocket_resource_t *resource,
                             websocket_text_t name) {
        return lookup(resource->parameters, name);
    };
    functions.parameter_name = [](const websocket_resource_t *resource,
                                  std::size_t index) {
        auto known = resource->parameters.begin();

        while (index != 0 && known != resource->parameters.end()) {
            ++known;
            index--;
        }

        return known == resource->parameters.end()
                   ? websocket_text_t{nullptr, 0}
                   : as_c(known->first);
    };
    functions.client_count = [](const websocket_resource_t *) -> std::uint64_t {
        return 3;
    };
    functions.broadcast = [](websocket_resource_t *resource, int,
                             const void *data, std::size_t size) -> int {
        resource->broadcasts.append(static_cast<const char *>(data), size)
            .append("|");
        return WEBSOCKET_DROPPED;
    };
    functions.start_timer = [](websocket_resource_t *resource,
                               std::uint64_t milliseconds, int repeats,
                               void (*fired)(void *),
                               void *data) -> websocket_timer_t * {
        if (!resource->gives_timers) {
            return nullptr;
        }
        resource->timers.push_back({milliseconds, repeats != 0, fired, data});
        return &resource->timers.back();
    };
    functions.stop_timer = [](websocket_timer_t *timer) {
        timer->fired = nullptr;
    };
    functions.log = [](const websocket_resource_t *, int level,
                       websocket_text_t text) {
        logged += std::to_string(level) + ":" + std::string(of(text)) + "|";
    };

    return functions;
}();

// Fires a timer as the server does. A timer that does not repeat has ended when
// it fires.
inline void fire(websocket_timer &timer)
{
    const auto fired = timer.fired;
    void *data = timer.data;

    if (!timer.repeats) {
        timer.fired = nullptr;
    }

    ASSERT_NE(fired, nullptr);
    fired(data);
}
