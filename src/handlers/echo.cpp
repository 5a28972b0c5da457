// The handler `echo`: sends each message back to its client.
#include "handlers/echo.hpp"

#include <cstddef>

namespace {

const websocket_server_t *server;

// The handler has no objects of its own and returns the server's handles.
void *resource_created(websocket_resource_t *resource)
{
    return resource;
}

void *client_created(void *, websocket_client_t *client)
{
    return client;
}

int message_received(void *, void *client, int kind, const void *data,
                     std::size_t size)
{
    server->send(static_cast<websocket_client_t *>(client), kind, data, size);
    return 0;
}

const websocket_handler_t echo = [] {
    websocket_handler_t handler{};
    handler.size = sizeof handler;
    handler.version = WEBSOCKET_PLUGIN_VERSION;
    handler.name = "echo";
    handler.resource_created = resource_created;
    handler.client_created = client_created;
    handler.message_received = message_received;
    return handler;
}();

const websocket_handler_t *const handlers[] = {&echo};

const websocket_plugin_t plugin = {
    .size = sizeof(websocket_plugin_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .handlers = handlers,
    .handler_count = 1,
};

} // namespace

const websocket_plugin_t *websocket_echo(const websocket_server_t *caller)
{
    server = caller;
    return &plugin;
}
