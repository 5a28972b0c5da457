// Maps the virtual functions of websocket.hpp to a websocket_handler_t.
// Included by websocket.hpp.
#pragma once

namespace websocket {

namespace detail {

// True if a class overrides a function of resource. A function that cannot be
// named here, being private or overloaded, counts as an override.
#define WEBSOCKET_OVERRIDES(function)                                          \
    template <class Derived>                                                   \
    constexpr bool overrides_##function = !requires                            \
    {                                                                          \
        requires std::is_same_v<decltype(&Derived::function),                  \
                                decltype(&Derived::resource_type::function)>;  \
    }
WEBSOCKET_OVERRIDES(client_connecting);
WEBSOCKET_OVERRIDES(select_subprotocol);
WEBSOCKET_OVERRIDES(check_message);
WEBSOCKET_OVERRIDES(pong_received);
WEBSOCKET_OVERRIDES(client_drained);
WEBSOCKET_OVERRIDES(message_published);
WEBSOCKET_OVERRIDES(messages_lost);
WEBSOCKET_OVERRIDES(clients_lost);
WEBSOCKET_OVERRIDES(subscription_failed);
WEBSOCKET_OVERRIDES(direct_message_received);
WEBSOCKET_OVERRIDES(user_joined);
WEBSOCKET_OVERRIDES(user_left);
#undef WEBSOCKET_OVERRIDES

// The callbacks of the C interface. `object` is of the class Resource, an
// instance of the template `resource`; `peer` is one of its clients.
template <class Resource>
struct [[gnu::visibility("hidden")]] callbacks
{
    using resource_type = Resource;
    using Client = typename Resource::client_type;
    using State = typename Resource::state_type;
    using Subscriber = typename Resource::subscriber_type;

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
        return call_guarded(resource_of(object).handle_, where, call) ? 0 : 1;
    }

    template <class Derived>
    static void *resource_created(websocket_resource_t * handle) noexcept
    {
        resource_type *created = nullptr;

        call_guarded(handle, "the constructor of a resource", [&] {
            created = construct<Derived>(pending_resource, handle);
        });

        return created;
    }

    static void resource_destroyed(void *object) noexcept
    {
        delete static_cast<resource_type *>(object);
    }

    static const char *check_parameters(void *object) noexcept
    {
        resource_type &self = resource_of(object);

        const int threw = failed(object, "check_parameters", [&] {
            try {
                self.config_error_ = self.check_parameters();
            } catch (const std::exception &thrown) {
                self.config_error_ = thrown.what();

                if (self.config_error_.empty()) {
                    throw;
                }
            }
        });

        if (threw != 0) {
            return "check_parameters() threw an exception";
        }

        return self.config_error_.empty() ? nullptr
                                          : self.config_error_.c_str();
    }

    static unsigned client_connecting(
        void *object, const websocket_request_t *incoming) noexcept
    {
        unsigned status = 500;

        failed(object, "client_connecting", [&] {
            status = resource_of(object).client_connecting(request(incoming));
        });

        return status;
    }

    static int select_subprotocol(
        void *object, const websocket_request_t *incoming,
        const websocket_text_t *offered, std::size_t count,
        websocket_text_t *chosen) noexcept
    {
        return failed(object, "select_subprotocol", [&] {
            std::vector<std::string_view> names(count);
            std::transform(offered, offered + count, names.begin(), view);

            const auto found = std::find(names.begin(), names.end(),
                                         resource_of(object).select_subprotocol(
                                             request(incoming), names));

            if (found != names.end()) {
                *chosen = text(*found);
            }
        });
    }

    static void *client_created(void *object,
                                websocket_client_t *handle) noexcept
    {
        Client *created = nullptr;

        failed(object, "the constructor of a client",
               [&] { created = construct<Client>(pending_client, handle); });

        return created;
    }

    static void client_destroyed(void *, void *peer) noexcept
    {
        client_of(peer).client::invalidate_refs();
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
        resource_type &self = resource_of(object);

        if (kind == WEBSOCKET_TEXT) {
            return failed(object, "text_message_received", [&] {
                self.text_message_received(
                    client_of(peer), {static_cast<const char *>(data), size});
            });
        }

        return failed(object, "binary_message_received", [&] {
            self.binary_message_received(
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
                                  const websocket_message_t *message) noexcept
    {
        failed(object, "message_published", [&] {
            resource_of(object).message_published(as_message(*message));
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

    // The server gives the memory of the state.
    static int client_subscribed(void *object, void *peer, void *memory,
                                 const websocket_message_id_t *since) noexcept
    {
        const message_id after =
            since == nullptr ? message_id{}
                             : message_id{since->epoch, since->sequence};

        return failed(object, "client_subscribed", [&] {
            resource_of(object).client_subscribed(
                *static_cast<Subscriber *>(peer),
                construct_state<State>(memory),
                since == nullptr ? nullptr : &after);
        });
    }

    static void client_unsubscribed(void *object, void *peer,
                                    void *memory) noexcept
    {
        State *state = state_in<State>(memory);

        if (state == nullptr) {
            return;
        }

        failed(object, "client_unsubscribed", [&] {
            resource_of(object).client_unsubscribed(
                *static_cast<Subscriber *>(peer), *state);
        });
        state->~State();
    }

    static int direct_received(void *object, void *peer,
                               const websocket_message_t *message) noexcept
    {
        return failed(object, "direct_message_received", [&] {
            resource_of(object).direct_message_received(client_of(peer),
                                                        as_message(*message));
        });
    }

    static std::int64_t presence_grace(void *object, void *peer,
                                       int subscribed) noexcept
    {
        std::optional<std::uint64_t> grace;

        failed(object, "presence_grace", [&] {
            grace = subscribed != 0
                        ? resource_of(object).subscriber_presence_grace(
                              *static_cast<Subscriber *>(peer))
                        : resource_of(object).presence_grace(client_of(peer));
        });

        return grace ? static_cast<std::int64_t>(
                           std::min<std::uint64_t>(*grace, INT64_MAX))
                     : -1;
    }

    static void user_joined(void *object, websocket_text_t user,
                            std::uint64_t client) noexcept
    {
        failed(object, "user_joined",
               [&] { resource_of(object).user_joined(view(user), client); });
    }

    static void user_left(void *object, websocket_text_t user,
                          std::uint64_t client) noexcept
    {
        failed(object, "user_left",
               [&] { resource_of(object).user_left(view(user), client); });
    }

    static int subscription_failed(void *object, void *peer,
                                   websocket_text_t key,
                                   websocket_text_t reason) noexcept
    {
        return failed(object, "subscription_failed", [&] {
            resource_of(object).subscription_failed(client_of(peer), view(key),
                                                    view(reason));
        });
    }
};

template <class Derived>
constexpr websocket_handler_t describe(const char *name) noexcept;

// The handler of the resources to which clients of Derived are subscribed.
template <class Derived>
[[gnu::visibility("hidden")]] inline const websocket_handler_t subscribed_by =
    describe<typename Derived::subscribed_type>(Derived::subscribed_name);

template <class Derived>
constexpr websocket_handler_t describe(const char *name) noexcept
{
    using client_type = typename Derived::client_type;
    using functions = callbacks<typename Derived::resource_type>;

    static_assert(std::derived_from<client_type, client>);
    static_assert(std::derived_from<Derived, typename Derived::resource_type>);
    static_assert(alignof(typename Derived::state_type) <= alignof(void *));
    static_assert(std::is_nothrow_destructible_v<typename Derived::state_type>);
    static_assert(std::is_nothrow_destructible_v<client_type> &&
                  std::is_nothrow_destructible_v<Derived>);

    websocket_handler_t handler{};

    handler.size = sizeof(handler);
    handler.version = WEBSOCKET_PLUGIN_VERSION;
    handler.name = name;
    handler.resource_created = functions::template resource_created<Derived>;
    handler.resource_destroyed = functions::resource_destroyed;
    handler.check_parameters = functions::check_parameters;
    handler.client_created = functions::client_created;
    handler.client_destroyed = functions::client_destroyed;
    handler.client_connected = functions::client_connected;
    handler.client_disconnected = functions::client_disconnected;
    handler.message_received = functions::message_received;

    if constexpr (overrides_client_connecting<Derived>) {
        handler.client_connecting = functions::client_connecting;
    }
    if constexpr (overrides_select_subprotocol<Derived>) {
        handler.select_subprotocol = functions::select_subprotocol;
    }
    if constexpr (overrides_check_message<Derived>) {
        handler.check_message = functions::check_message;
    }
    if constexpr (overrides_pong_received<Derived>) {
        handler.pong_received = functions::pong_received;
    }
    if constexpr (overrides_client_drained<Derived>) {
        handler.client_drained = functions::client_drained;
    }
    if constexpr (overrides_message_published<Derived>) {
        handler.message_published = functions::message_published;
    }
    if constexpr (overrides_messages_lost<Derived>) {
        handler.messages_lost = functions::messages_lost;
    }
    if constexpr (overrides_clients_lost<Derived>) {
        handler.clients_lost = functions::clients_lost;
    }

    handler.subscription_size =
        sizeof(state_memory<typename Derived::state_type>);
    handler.client_subscribed = functions::client_subscribed;
    handler.client_unsubscribed = functions::client_unsubscribed;

    if constexpr (overrides_direct_message_received<Derived>) {
        handler.direct_received = functions::direct_received;
    }
    if constexpr (overrides_user_joined<Derived>) {
        handler.user_joined = functions::user_joined;
    }
    if constexpr (overrides_user_left<Derived>) {
        handler.user_left = functions::user_left;
    }
    if constexpr (overrides_user_joined<Derived> ||
                  overrides_user_left<Derived>) {
        handler.presence_grace = functions::presence_grace;
    }
    if constexpr (overrides_subscription_failed<Derived>) {
        handler.subscription_failed = functions::subscription_failed;
    }
    if constexpr (requires { typename Derived::subscribed_type; }) {
        static_assert(
            std::is_same_v<typename Derived::subscribed_type::subscriber_type,
                           client_type>);
        handler.subscribed_handler = &subscribed_by<Derived>;
    }

    return handler;
}

} // namespace detail

} // namespace websocket
