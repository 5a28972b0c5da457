// A test plug-in that delivers messages itself. It requires the parameter
// `history`, keeps a history of that size, and sends its clients the fields of
// each message.
#include "websocket.hpp"

#include <string>

namespace {

class message_echo : public websocket::resource<> {
public:
    message_echo() { keep_history(size()); }

    std::string check_parameters() override
    {
        return parameter("history").empty() ? "it needs a history" : "";
    }

    void client_connected(websocket::client &who) override
    {
        read_history({}, [&who](const websocket::message &message) {
            who.send_text_message("kept " + describe(message));
            return true;
        });
        who.send_text_message("history " + std::to_string(size()));
    }

    void message_published(const websocket::message &message) override
    {
        for (websocket::client &each : clients()) {
            each.send_text_message(describe(message));
        }
    }

private:
    std::size_t size() const
    {
        const std::string_view text = parameter("history");
        return text.empty() ? 0 : std::stoul(std::string(text));
    }

    static std::string describe(const websocket::message &message)
    {
        return (message.kind == websocket::opcode::text ? "text " : "binary ") +
               to_string(message.id) + " from " + std::to_string(message.from) +
               " " + std::string(message.text());
    }
};

} // namespace

WEBSOCKET_HANDLER("message_echo", message_echo)
