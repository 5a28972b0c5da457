// Subscriptions: clients that belong to further resources. Included by
// websocket.hpp, whose rules apply.
//
// A client that has connected to one resource may be subscribed to others, of
// the same handler or of the one that its resource class names:
//
//     class rooms : public resource<member> {
//     public:
//         using subscribed_type = room; // resource<other, place, member>
//         static constexpr char subscribed_name[] = "room";
//
// A resource counts its subscribers among its clients. Published messages are
// sent to them, too, unless message_published() is overridden.
#pragma once

#include "websocket_client.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace websocket {

// For resources that store nothing for each subscription.
struct no_state {};

namespace detail {

// The memory of a subscription, which the server has zeroed.
template <class State>
struct state_memory {
    alignas(State) std::byte bytes[sizeof(State)];
    bool constructed;
};

template <class State>
requires std::is_nothrow_default_constructible_v<State>
struct state_memory<State> {
    alignas(State) std::byte bytes[sizeof(State)];
};

// Throws what its constructor throws.
template <class State>
State &construct_state(void *memory)
{
    auto *state = new (memory) State();

    if constexpr (!std::is_nothrow_default_constructible_v<State>) {
        static_cast<state_memory<State> *>(memory)->constructed = true;
    }

    return *state;
}

// Null: its constructor has thrown.
template <class State>
State *state_in(void *memory) noexcept
{
    if constexpr (!std::is_nothrow_default_constructible_v<State>) {
        if (!static_cast<state_memory<State> *>(memory)->constructed) {
            return nullptr;
        }
    }

    return static_cast<State *>(memory);
}

// The call of a function object for each subscription. Its exception is kept,
// since it must not cross the C frames in between.
template <class Call>
struct subscription_call {
    Call call;
    std::exception_ptr thrown{};

    template <class... Arguments>
    bool run(Arguments &...arguments) noexcept
    {
        try {
            if (!thrown) {
                return call(arguments...);
            }
        } catch (...) {
            thrown = std::current_exception();
        }

        return false;
    }

    void rethrow() const
    {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
    }
};

} // namespace detail

// The part of a resource that concerns its subscribers: clients of the class
// Subscriber, for each of which the server stores an object of the class State.
// If its constructor throws, the client is closed with 1011.
template <class State, class Subscriber>
class subscribable {
public:
    using state_type = State;
    using subscriber_type = Subscriber;

    subscribable(const subscribable &) = delete;
    subscribable &operator=(const subscribable &) = delete;
    virtual ~subscribable() = default;

    // Calls each(Subscriber &, State &) for this worker's subscribers. It may
    // send to any client, close it, and end the subscription that it is called
    // for. Throws what it throws.
    template <class Each>
    void for_each_subscriber(Each each)
    {
        auto run = [&each](Subscriber &client, State &state) {
            each(client, state);
            return true;
        };
        detail::subscription_call<decltype(run)> call{run};

        detail::server->each_subscriber(
            subscribed_resource_,
            [](void *data, void *client, void *memory) {
                if (State *state = detail::state_in<State>(memory)) {
                    static_cast<decltype(call) *>(data)->run(
                        *static_cast<Subscriber *>(client), *state);
                }
            },
            &call);
        call.rethrow();
    }

    // Sends a message to one client of this handler, or to all clients of one
    // user, on any worker and host and whatever their resources. Text must be
    // UTF-8. The message is not part of any history. Returns the number of
    // clients on this host. With Redis, other hosts get the message later, at
    // most once, and are not counted: 0 does not mean that there is no client.
    std::uint32_t send_to_client(std::uint64_t id, std::string_view text)
    {
        return send_direct(false, std::to_string(id), text);
    }
    std::uint32_t send_to_user(std::string_view user,
                               std::string_view text) noexcept
    {
        return send_direct(true, user, text);
    }

    // Closes the clients of one user, as client::close_connection() does.
    // Counts and reaches them as send_to_user() does.
    std::uint32_t close_user(std::string_view user, std::uint16_t status = 1000,
                             std::string_view reason = {}) noexcept
    {
        return detail::server->close_direct(subscribed_resource_, 1,
                                            detail::text(user), status,
                                            detail::text(reason));
    }

    // Calls bool each(std::string_view user, std::uint32_t clients) for the
    // users in this resource on this host, sorted, after the user `after`,
    // until it returns false. 0 clients: the user has not left yet, see
    // presence_grace(). Throws what it throws.
    template <class Each>
    void for_each_user(std::string_view after, Each each) const
    {
        auto run = [&each](std::string_view &user, std::uint32_t &clients) {
            return each(user, clients);
        };
        detail::subscription_call<decltype(run)> call{run};

        detail::server->list_users(
            subscribed_resource_, detail::text(after),
            [](void *data, websocket_text_t text, std::uint32_t clients) {
                std::string_view user = detail::view(text);
                return static_cast<decltype(call) *>(data)->run(user, clients)
                           ? 0
                           : 1;
            },
            &call);
        call.rethrow();
    }

    // The number of clients without a user, and of users, in this resource.
    // Further clients of a user do not change it.
    std::uint64_t count_present() const noexcept
    {
        return detail::server->count_present(subscribed_resource_);
    }

    // As resource::presence_grace(), before client_subscribed.
    virtual std::optional<std::uint64_t> subscriber_presence_grace(Subscriber &)
    {
        return std::nullopt;
    }

    // Finds the first `limit` users, at most 1000, after `after` that are in
    // this resource on all hosts. Calls `on_found` exactly once: before it
    // returns or, with Redis, when the other hosts have answered. A client may
    // have ended by then: capture it as a client_ref. The resource is retained
    // until `on_found` returns. An exception in it is logged. Throws
    // std::bad_alloc.
    void find_users(std::string_view after, std::size_t limit,
                    std::function<void(const found_users &)> on_found)
    {
        auto *call =
            new detail::users_call{subscribed_resource_, std::move(on_found)};

        detail::server->find_users(subscribed_resource_, detail::text(after),
                                   limit, detail::users_call::done, call);
    }

    // A client was subscribed to this resource. It gets what follows
    // last_message(). `since` is what subscribe() was given, or null.
    // Exception: the client is closed with 1011.
    virtual void client_subscribed(Subscriber &, State &,
                                   const message_id * /* since */)
    {}

    // The subscription has ended: exactly once after client_subscribed.
    virtual void client_unsubscribed(Subscriber &, State &) {}

protected:
    explicit subscribable(websocket_resource_t *handle) noexcept
        : subscribed_resource_{handle}
    {}

private:
    std::uint32_t send_direct(bool is_user, std::string_view target,
                              std::string_view text) noexcept
    {
        return detail::server->send_direct(
            subscribed_resource_, is_user ? 1 : 0, detail::text(target),
            WEBSOCKET_TEXT, text.data(), text.size());
    }

    websocket_resource_t *subscribed_resource_;
};

namespace detail {

inline websocket_client_t *handle_of(client &owner) noexcept
{
    return owner.handle_;
}

template <class Resource>
Resource *resource_from(void *object) noexcept
{
    return static_cast<Resource *>(
        static_cast<typename Resource::resource_type *>(object));
}

} // namespace detail

// Subscribes the client to the resource with this key. After the present
// callback, and before the next message of the client, client_subscribed() of
// the resource is called, or subscription_failed() of the client's. Returns ""
// or why the client is not subscribed. Valid for ever.
inline std::string_view client::subscribe(std::string_view key,
                                          const message_id *since) noexcept
{
    const websocket_message_id_t after =
        since == nullptr
            ? websocket_message_id_t{}
            : websocket_message_id_t{since->epoch, since->sequence};

    return detail::view(detail::server->subscribe(
        handle_, detail::text(key), since == nullptr ? nullptr : &after));
}

inline bool client::unsubscribe(std::string_view key) noexcept
{
    return detail::server->unsubscribe(handle_, detail::text(key)) != 0;
}

inline std::string_view
client::subscription_parameter(std::string_view key, std::string_view name,
                               std::string_view fallback) const noexcept
{
    const websocket_text_t value = detail::server->subscription_parameter(
        handle_, detail::text(key), detail::text(name));

    return value.data == nullptr ? fallback : detail::view(value);
}

template <class Resource>
subscription_of<Resource>
client::find_subscription(std::string_view key) const noexcept
{
    void *resource = nullptr;
    void *memory = nullptr;

    if (detail::server->find_subscription(handle_, detail::text(key), &resource,
                                          &memory) == 0) {
        return {};
    }

    auto *state = detail::state_in<typename Resource::state_type>(memory);

    if (state == nullptr) {
        return {};
    }

    return {detail::resource_from<Resource>(resource), state};
}

template <class Resource, class Each>
void client::each_subscription(Each each) const
{
    auto run = [&each](Resource &resource,
                       typename Resource::state_type &state) {
        return each(resource, state);
    };
    detail::subscription_call<decltype(run)> call{run};

    detail::server->each_subscription(
        handle_,
        [](void *data, void *resource, void *memory) {
            auto *state =
                detail::state_in<typename Resource::state_type>(memory);

            return state == nullptr ||
                           static_cast<decltype(call) *>(data)->run(
                               *detail::resource_from<Resource>(resource),
                               *state)
                       ? 0
                       : 1;
        },
        &call);
    call.rethrow();
}

} // namespace websocket
