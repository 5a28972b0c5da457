// How the virtual functions of websocket.hpp become a websocket_handler_t, and
// the symbol that a library exports. Included by websocket.hpp.
#pragma once

namespace websocket {

namespace detail {

// Whether a class has another version of a resource's function. One that
// cannot be named from here, as it is private or overloaded, is another.
#define WEBSOCKET_OVERRIDES(function)                                          \
    template <class Derived>                                                   \
    constexpr bool overrides_##function = !requires                            \
    {                                                                          \
        requires std::is_same_v<                                               \
            decltype(&Derived::function),                                      \
            decltype(&resource<typename Derived::client_type>::function)>;     \
    }
WEBSOCKET_OVERRIDES(client_connecting);
WEBSOCKET_OVERRIDES(select_subprotocol);
WEBSOCKET_OVERRIDES(check_message);
WEBSOCKET_OVERRIDES(pong_received);
WEBSOCKET_OVERRIDES(client_drained);
WEBSOCKET_OVERRIDES(message_published);
WEBSOCKET_OVERRIDES(messages_lost);
WEBSOCKET_OVERRIDES(clients_lost);
#undef WEBSOCKET_OVERRIDES

// The functions of the C interface: `object` is a resource<Client>, `peer` a
// Client.
template <class Client>
struct [[gnu::visibility("hidden")]] callbacks
{
    using resource_type = resource<Client>;

    static resource_type &resource_of(void *object) noexcept
    {
        return *static_cast<resource_type *>(object);
    }

    static Client &client_of(void *peer) noexcept
    {
        return *static_cast<Client *>(peer);
    }

    // 0, or 1 after an exception.
    template <class Call>
    static int failed(void *object, const char *where, Call call) noexcept
    {
        return completed(resource_of(object).handle_, where, call) ? 0 : 1;
    }

    template <class Derived>
    static void *resource_created(websocket_resource_t * handle) noexcept
    {
        resource_type *made = nullptr;

        completed(handle, "the constructor of a resource",
                  [&] { made = build<Derived>(resource_being_built, handle); });

        return made;
    }

    static void resource_destroyed(void *object) noexcept
    {
        delete static_cast<resource_type *>(object);
    }

    static const char *configured(void *object) noexcept
    {
        resource_type &own = resource_of(object);

        const int wrong = failed(object, "configured", [&] {
            try {
                own.complaint_ = own.configured();
            } catch (const std::exception &thrown) {
                own.complaint_ = thrown.what();

                if (own.complaint_.empty()) {
                    throw;
                }
            }
        });

        if (wrong != 0) {
            return "configured() threw an exception";
        }

        return own.complaint_.empty() ? nullptr : own.complaint_.c_str();
    }

    static unsigned client_connecting(void *object,
                                      const websocket_request_t *asked) noexcept
    {
        unsigned status = 500;

        failed(object, "client_connecting", [&] {
            status = resource_of(object).client_connecting(request(asked));
        });

        return status;
    }

    static int select_subprotocol(
        void *object, const websocket_request_t *asked,
        const websocket_text_t *offered, std::size_t count,
        websocket_text_t *chosen) noexcept
    {
        return failed(object, "select_subprotocol", [&] {
            std::vector<std::string_view> names(count);
            std::transform(offered, offered + count, names.begin(), view);

            const auto found = std::find(
                names.begin(), names.end(),
                resource_of(object).select_subprotocol(request(asked), names));

            if (found != names.end()) {
                *chosen = text(*found);
            }
        });
    }

    static void *client_created(void *object,
                                websocket_client_t *handle) noexcept
    {
        Client *made = nullptr;

        failed(object, "the constructor of a client",
               [&] { made = build<Client>(client_being_built, handle); });

        return made;
    }

    static void client_destroyed(void *, void *peer) noexcept
    {
        client_of(peer).client::lose_refs();
        delete &client_of(peer);
    }

    static int client_connected(void *object, void *peer) noexcept
    {
        return failed(object, "client_connected", [&] {
            resource_of(object).clients_.add(client_of(peer));
            resource_of(object).client_connected(client_of(peer));
        });
    }

    static void client_disconnected(void *object, void *peer,
                                    std::uint16_t status,
                                    websocket_text_t reason) noexcept
    {
        resource_of(object).clients_.remove(client_of(peer));

        failed(object, "client_disconnected", [&] {
            resource_of(object).client_disconnected(client_of(peer), status,
                                                    view(reason));
        });
    }

    static int message_received(void *object, void *peer, int kind,
                                const void *data, std::size_t size) noexcept
    {
        resource_type &own = resource_of(object);

        if (kind == WEBSOCKET_TEXT) {
            return failed(object, "text_message_received", [&] {
                own.text_message_received(
                    client_of(peer), {static_cast<const char *>(data), size});
            });
        }

        return failed(object, "binary_message_received", [&] {
            own.binary_message_received(
                client_of(peer), {static_cast<const std::byte *>(data), size});
        });
    }

    static std::uint16_t check_message(void *object, void *peer, int kind,
                                       std::uint64_t fragment,
                                       std::uint64_t total) noexcept
    {
        std::uint16_t status = 1011;

        failed(object, "check_message", [&] {
            status = resource_of(object).check_message(
                client_of(peer), static_cast<opcode>(kind), fragment, total);
        });

        return status;
    }

    static int pong_received(void *object, void *peer, const void *data,
                             std::size_t size) noexcept
    {
        return failed(object, "pong_received", [&] {
            resource_of(object).pong_received(
                client_of(peer), {static_cast<const char *>(data), size});
        });
    }

    static int client_drained(void *object, void *peer) noexcept
    {
        return failed(object, "client_drained", [&] {
            resource_of(object).client_drained(client_of(peer));
        });
    }

    static void message_published(void *object,
                                  const websocket_message_t *given) noexcept
    {
        failed(object, "message_published", [&] {
            resource_of(object).message_published(published(*given));
        });
    }

    static void messages_lost(void *object) noexcept
    {
        failed(object, "messages_lost",
               [&] { resource_of(object).messages_lost(); });
    }

    static void clients_lost(void *object) noexcept
    {
        failed(object, "clients_lost",
               [&] { resource_of(object).clients_lost(); });
    }
};

constexpr bool is_handler_name(std::string_view name) noexcept
{
    return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                   "0123456789_-") == name.npos;
}

template <class Derived>
constexpr websocket_handler_t describe(const char *name) noexcept
{
    using client_type = typename Derived::client_type;
    using calls = callbacks<client_type>;

    static_assert(std::derived_from<client_type, client>);
    static_assert(std::derived_from<Derived, resource<client_type>>);
    static_assert(std::is_nothrow_destructible_v<client_type> &&
                  std::is_nothrow_destructible_v<Derived>);

    websocket_handler_t made{};

    made.size = sizeof(made);
    made.version = WEBSOCKET_PLUGIN_VERSION;
    made.name = name;
    made.resource_created = calls::template resource_created<Derived>;
    made.resource_destroyed = calls::resource_destroyed;
    made.configured = calls::configured;
    made.client_created = calls::client_created;
    made.client_destroyed = calls::client_destroyed;
    made.client_connected = calls::client_connected;
    made.client_disconnected = calls::client_disconnected;
    made.message_received = calls::message_received;

    if constexpr (overrides_client_connecting<Derived>) {
        made.client_connecting = calls::client_connecting;
    }
    if constexpr (overrides_select_subprotocol<Derived>) {
        made.select_subprotocol = calls::select_subprotocol;
    }
    if constexpr (overrides_check_message<Derived>) {
        made.check_message = calls::check_message;
    }
    if constexpr (overrides_pong_received<Derived>) {
        made.pong_received = calls::pong_received;
    }
    if constexpr (overrides_client_drained<Derived>) {
        made.client_drained = calls::client_drained;
    }
    if constexpr (overrides_message_published<Derived>) {
        made.message_published = calls::message_published;
    }
    if constexpr (overrides_messages_lost<Derived>) {
        made.messages_lost = calls::messages_lost;
    }
    if constexpr (overrides_clients_lost<Derived>) {
        made.clients_lost = calls::clients_lost;
    }

    return made;
}

// Links one handler into what the library has; no memory is taken, as this
// runs while the library is loaded.
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
    const registration *next() const noexcept { return next_; }

private:
    websocket_handler_t handler_;
    registration *next_;
};

// For a server of another version: it has the number that it can name.
[[gnu::visibility("hidden")]] inline const websocket_plugin_t bare_plugin = {
    sizeof(websocket_plugin_t), WEBSOCKET_PLUGIN_VERSION, nullptr, 0};

[[gnu::visibility("hidden")]] inline std::vector<const websocket_handler_t *>
    handlers;
[[gnu::visibility("hidden")]] inline websocket_plugin_t plugin = bare_plugin;

// The server may ask again: a reload finds an unchanged library loaded.
inline const websocket_plugin_t *enter(const websocket_server_t *given) noexcept
try {
    if (given->version != WEBSOCKET_PLUGIN_VERSION) {
        return &bare_plugin;
    }
    if (given->size < sizeof(websocket_server_t)) {
        return nullptr; // it has not all functions that are called here
    }

    server = given;

    if (handlers.empty()) {
        for (const registration *known = first_registration; known != nullptr;
             known = known->next()) {
            handlers.push_back(&known->handler());
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

// The symbol that the server looks for: see WEBSOCKET_PLUGIN_ENTRY. The
// server's own handlers are entered by another way.
#ifndef WEBSOCKET_BUILT_IN
extern "C" {

[[gnu::visibility("default"), gnu::used]] inline const websocket_plugin_t *
websocket_plugin(const websocket_server_t *server) noexcept
{
    return websocket::detail::enter(server);
}

} // extern "C"

#endif
