// The handlers of a library, and the symbol that it exports. Included by
// websocket.hpp.
#pragma once

namespace websocket {

namespace detail {

constexpr bool is_handler_name(std::string_view name) noexcept
{
    return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                   "0123456789_-") == name.npos;
}

// An entry in the list of the library's handlers. It runs while the library is
// loaded, and allocates nothing.
class registration;
[[gnu::visibility("hidden")]] inline registration *first_registration = nullptr;

class registration {
public:
    explicit registration(const websocket_handler_t &handler) noexcept
        : handler_{handler}, next_{std::exchange(first_registration, this)}
    {}
    registration(const registration &) = delete;
    registration &operator=(const registration &) = delete;

    const websocket_handler_t &handler() const noexcept { return handler_; }
    registration *next() const noexcept { return next_; }

    // If the handler of subscriptions is registered, too, its resources are the
    // same objects for subscribers and for clients that connect to them.
    void find_subscribed_handler() noexcept
    {
        for (const registration *at = first_registration;
             at != nullptr && handler_.subscribed_handler != nullptr;
             at = at->next()) {
            if (at->handler().resource_created ==
                handler_.subscribed_handler->resource_created) {
                handler_.subscribed_handler = &at->handler();
            }
        }
    }

private:
    websocket_handler_t handler_;
    registration *next_;
};

// For a server of another version, which reports the version number.
[[gnu::visibility("hidden")]] inline const websocket_plugin_t bare_plugin = {
    sizeof(websocket_plugin_t), WEBSOCKET_PLUGIN_VERSION, nullptr, 0};

[[gnu::visibility("hidden")]] inline std::vector<const websocket_handler_t *>
    handlers;
[[gnu::visibility("hidden")]] inline websocket_plugin_t plugin = bare_plugin;

// The server may call it again: a reload finds an unchanged library loaded.
inline const websocket_plugin_t *
enter(const websocket_server_t *caller) noexcept
try {
    if (caller->version != WEBSOCKET_PLUGIN_VERSION) {
        return &bare_plugin;
    }
    if (caller->size < sizeof(websocket_server_t)) {
        return nullptr; // an older server lacks functions that are used here
    }

    server = caller;

    if (handlers.empty()) {
        for (registration *entry = first_registration; entry != nullptr;
             entry = entry->next()) {
            entry->find_subscribed_handler();
            handlers.push_back(&entry->handler());
        }
    }

    plugin.handlers = handlers.data();
    plugin.handler_count = handlers.size();
    return &plugin;

} catch (const std::bad_alloc &) {
    return nullptr;
}

} // namespace detail

} // namespace websocket

// The symbol that the server looks up: see WEBSOCKET_PLUGIN_ENTRY. Built-in
// handlers have entry functions of their own.
#ifndef WEBSOCKET_BUILT_IN
extern "C" {

[[gnu::visibility("default"), gnu::used]] inline const websocket_plugin_t *
websocket_plugin(const websocket_server_t *server) noexcept
{
    return websocket::detail::enter(server);
}

} // extern "C"

#endif
