// A test plug-in that names the user of a client at all times.
#include "websocket.hpp"

#include <string>

namespace {

struct known_client : websocket::client {
    std::string name{user()};
};

struct known_clients : websocket::resource<known_client> {
    unsigned client_connecting(const websocket::request &handshake) override
    {
        log(websocket::log_level::info,
            "connecting <" + std::string(handshake.user()) + ">");
        return 101;
    }

    void client_connected(known_client &who) override
    {
        who.send_text_message(who.name + "|" + std::string(who.user()));
    }

    void text_message_received(known_client &from, std::string_view) override
    {
        from.send_text_message(from.request().user());
    }

    void client_disconnected(known_client &who, std::uint16_t,
                             std::string_view) override
    {
        log(websocket::log_level::info,
            "gone <" + std::string(who.user()) + ">");
    }
};

} // namespace

WEBSOCKET_HANDLER("user_echo", known_clients)
