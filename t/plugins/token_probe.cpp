// A test plug-in that uses the functions about tokens. Each message is a
// command and a text; the answer says what came of it.
#include "websocket.hpp"

#include <string>

namespace {

std::string describe(const websocket::token_view &token)
{
    return token ? "ends " + std::to_string(token.expires()) : "none";
}

struct token_client : websocket::client {
    std::string first = describe(current_token());
};

struct token_clients : websocket::resource<token_client> {
    void client_connected(token_client &who) override
    {
        who.send_text_message(who.first);
    }

    void text_message_received(token_client &from,
                               std::string_view text) override
    {
        const std::size_t space = text.find(' ');

        from.send_text_message(
            answer(from, text.substr(0, space), text.substr(space + 1)));
    }

private:
    static std::string answer(token_client &from, std::string_view command,
                              std::string_view text)
    {
        if (command == "current") {
            return describe(from.current_token());
        }

        if (command == "covers") {
            return from.current_token().covers(text) ? "yes" : "no";
        }

        const websocket::token read = from.read_token(text);

        if (!read) {
            return "error " + std::string(read.error());
        }

        return command == "use" ? from.use_token(read) ? "used" : "refused"
                                : describe(read);
    }
};

} // namespace

WEBSOCKET_HANDLER("token_probe", token_clients)
