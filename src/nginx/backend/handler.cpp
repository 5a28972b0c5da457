// The callbacks of the handler "http". Messages that are published reach all
// clients of a resource, as they do without a callback.
#include "nginx/backend/handler.hpp"

#include "nginx/backend/client.hpp"
#include "nginx/backend/connect.hpp"
#include "nginx/session/session.hpp"

namespace websocket::nginx::backend {

namespace {

client &client_of(void *object) noexcept
{
    return *static_cast<client *>(object);
}

void *resource_created(websocket_resource_t *handle)
{
    return handle; // there is no state of a resource
}

void resource_destroyed(void *)
{}

// The setter of the directive checks them, as it can show the position.
const char *check_parameters(void *)
{
    return nullptr;
}

void *client_created(void *, websocket_client_t *handle)
{
    auto &of = *reinterpret_cast<session *>(handle);
    client *created = take_client(of.request(), of.key());

    if (created != nullptr) {
        created->attach(of);
    }

    return created;
}

void client_destroyed(void *, void *object)
{
    client_of(object).detach();
}

int client_connected(void *, void *object)
{
    return client_of(object).begin();
}

void client_disconnected(void *, void *object, std::uint16_t code,
                         websocket_text_t reason)
{
    client_of(object).end(code, {reason.data, reason.size});
}

int message_received(void *, void *object, int kind, const void *data,
                     std::size_t size)
{
    return client_of(object).receive(
        kind == WEBSOCKET_BINARY, {static_cast<const std::byte *>(data), size});
}

} // namespace

const websocket_handler_t http_handler = [] {
    websocket_handler_t handler{};

    handler.size = sizeof(handler);
    handler.version = WEBSOCKET_PLUGIN_VERSION;
    handler.name = "http";
    handler.resource_created = resource_created;
    handler.resource_destroyed = resource_destroyed;
    handler.check_parameters = check_parameters;
    handler.client_created = client_created;
    handler.client_destroyed = client_destroyed;
    handler.client_connected = client_connected;
    handler.client_disconnected = client_disconnected;
    handler.message_received = message_received;
    return handler;
}();

} // namespace websocket::nginx::backend
