// A test plug-in that sends its clients the fields of their requests.
#include "websocket.hpp"

#include <string>

namespace {

struct request_echo : websocket::client {
    std::string name{request().header("X-Name")};
    websocket::request held = request();
};

std::string describe(const websocket::request &of)
{
    return std::string(of.uri()) + "|" + std::string(of.args()) + "|" +
           of.arg("a") + "|" + std::string(of.remote_address()) + "|" +
           std::string(of.subprotocol()) + "|" +
           std::string(of.header("X-Name")) + "|" +
           std::string(of.variable("http_x_name"));
}

struct request_echoes : websocket::resource<request_echo> {
    void client_connected(request_echo &who) override
    {
        who.send_text_message("connected " + describe(who.request()));
    }

    void text_message_received(request_echo &from, std::string_view) override
    {
        from.send_text_message(from.name + " " + describe(from.request()));
        from.send_text_message(from.name + " " + describe(from.held));
    }

    void client_disconnected(request_echo &who, std::uint16_t code,
                             std::string_view reason) override
    {
        log(websocket::log_level::info, "gone " + std::to_string(code) + " " +
                                            std::string(reason) + " " +
                                            describe(who.request()));
    }
};

} // namespace

WEBSOCKET_HANDLER("request_echo", request_echoes)
