// A minimal test plug-in in C++, which sends each client a greeting.
#include "websocket.hpp"

#include <string>

namespace {

struct minimal : websocket::resource<> {
    void client_connected(websocket::client &who) override
    {
        who.send_text_message("welcome");
    }

    void text_message_received(websocket::client &from,
                               std::string_view text) override
    {
        from.send_text_message("hello " + std::string(text));
    }
};

} // namespace

WEBSOCKET_HANDLER("minimal", minimal)
