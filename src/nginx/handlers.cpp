// The handlers that locations may name, and what the server does for them.
#include "handlers/echo.hpp"
#include "nginx/configuration.hpp"
#include "nginx/session.hpp"

#include <array>

namespace websocket::nginx {

namespace {

session *session_of(websocket_client_t *client) noexcept
{
    return reinterpret_cast<session *>(client);
}

int send(websocket_client_t *client, int kind, const void *data,
         std::size_t size) noexcept
{
    return session_of(client)->send_message(
        kind == WEBSOCKET_TEXT ? protocol::opcode::text
                               : protocol::opcode::binary,
        {static_cast<const std::byte *>(data), size});
}

constexpr websocket_server_t server = {
    .size = sizeof(websocket_server_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .send = send,
};

const std::array handlers = {websocket_echo(&server)};

} // namespace

const websocket_handler_t *find_handler(std::string_view name) noexcept
{
    for (const websocket_handler_t *handler : handlers) {
        if (handler->name == name) {
            return handler;
        }
    }

    return nullptr;
}

const char *handler_names() noexcept
{
    return "echo";
}

} // namespace websocket::nginx
