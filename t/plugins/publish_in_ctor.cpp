// A test plug-in whose resources publish in constructor and destructor.
#include "websocket.hpp"

#include <string>

namespace {

class publish_in_ctor : public websocket::resource<> {
public:
    publish_in_ctor() { announce("begins"); }
    ~publish_in_ctor() override { announce("ends"); }

    void client_connected(websocket::client &who) override
    {
        who.send_text_message("welcome");
    }

    void message_published(const websocket::message &message) override
    {
        for (websocket::client &each : clients()) {
            each.send_text_message(message.text());
        }
    }

private:
    // Works while the resource is created and destroyed.
    void announce(const std::string &what)
    {
        publish(what, {});
        publish(what + " and asks", {}, [](const auto &) {});
        broadcast(what + " for all");
    }
};

} // namespace

WEBSOCKET_HANDLER("publish_in_ctor", publish_in_ctor)
