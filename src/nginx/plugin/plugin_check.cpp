// Checks the structures of a plug-in.
#include "nginx/plugin/plugin_check.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace websocket::nginx {

namespace {

bool is_handler_name(std::string_view name) noexcept
{
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "0123456789_-";

    return !name.empty() && name.find_first_not_of(allowed) == name.npos;
}

// Checks the version and size of a library's structure. Returns "" or an error.
std::string check_structure(const char *type, std::size_t size,
                            std::size_t max_size, std::uint32_t version)
{
    if (version != WEBSOCKET_PLUGIN_VERSION) {
        return "it is built for version " + std::to_string(version) +
               " of the plug-in interface, this module has version " +
               std::to_string(WEBSOCKET_PLUGIN_VERSION);
    }

    if (size > max_size) {
        return std::string("it is built for a newer plug-in interface: its ") +
               type + " has " + std::to_string(size) +
               " bytes, this module knows " + std::to_string(max_size);
    }

    return "";
}

// The structure must include the required callbacks.
bool is_valid(const websocket_handler_t &handler) noexcept
{
    return handler.size > offsetof(websocket_handler_t, client_created) &&
           handler.name != nullptr && is_handler_name(handler.name) &&
           handler.resource_created != nullptr &&
           handler.client_created != nullptr;
}

// Checks a handler. Returns "" or an error.
std::string check_handler(const websocket_handler_t &handler)
{
    if (std::string why =
            check_structure("websocket_handler_t", handler.size,
                            sizeof(websocket_handler_t), handler.version);
        !why.empty()) {
        return why;
    }

    if (!is_valid(handler)) {
        return "a handler needs a name of letters, digits, \"_\", \"-\", "
               "and the callbacks resource_created and client_created";
    }

    return "";
}

} // namespace

std::string check_plugin(const websocket_plugin_t *plugin)
{
    if (plugin == nullptr) {
        return WEBSOCKET_PLUGIN_ENTRY "() returned NULL";
    }

    if (std::string why =
            check_structure("websocket_plugin_t", plugin->size,
                            sizeof(websocket_plugin_t), plugin->version);
        !why.empty()) {
        return why;
    }

    if (plugin->size < sizeof(websocket_plugin_t)) {
        return "its websocket_plugin_t has " + std::to_string(plugin->size) +
               " bytes, less than the required " +
               std::to_string(sizeof(websocket_plugin_t));
    }

    for (std::size_t i = 0; i != plugin->handler_count; i++) {
        const websocket_handler_t &handler = *plugin->handlers[i];
        std::string why = check_handler(handler);

        if (why.empty() &&
            handler.size > offsetof(websocket_handler_t, subscribed_handler) &&
            handler.subscribed_handler != nullptr) {
            why = check_handler(*handler.subscribed_handler);
        }

        if (!why.empty()) {
            return why;
        }
    }

    return plugin->handler_count == 0 ? "it has no handlers" : "";
}

} // namespace websocket::nginx
