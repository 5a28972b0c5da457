// The handler `echo`: sends each message back, as its kind.
#include "handlers/echo.hpp"

#include <cstddef>

namespace {

const websocket_server_t *server;

const char *configured(const websocket_parameter_t *, std::size_t count)
{
    return count == 0 ? nullptr : "echo takes no parameters";
}

void message_received(websocket_client_t *client, int kind, const void *data,
                      std::size_t size)
{
    server->send(client, kind, data, size);
}

const websocket_handler_t echo = {
    .size = sizeof(websocket_handler_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "echo",
    .configured = configured,
    .message_received = message_received,
};

} // namespace

const websocket_handler_t *websocket_echo(const websocket_server_t *given)
{
    server = given;
    return &echo;
}
