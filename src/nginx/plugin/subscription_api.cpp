// Maps the functions of the interface to those of sessions and resources.
#include "nginx/plugin/subscription_api.hpp"

#include "nginx/plugin/request_api.hpp"
#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/session.hpp"
#include "nginx/subscriptions/subscribing.hpp"

namespace websocket::nginx {

namespace {

session &client_session(websocket_client_t *client) noexcept
{
    return *reinterpret_cast<session *>(client);
}

const session &client_session(const websocket_client_t *client) noexcept
{
    return *reinterpret_cast<const session *>(client);
}

} // namespace

websocket_text_t subscribe_client(websocket_client_t *client,
                                  websocket_text_t key,
                                  const websocket_message_id_t *since) noexcept
{
    const std::string_view refusal =
        subscribe(client_session(client), text_of(key), since);

    return refusal.empty() ? websocket_text_t{nullptr, 0} : as_c(refusal);
}

int unsubscribe_client(websocket_client_t *client,
                       websocket_text_t key) noexcept
{
    return unsubscribe(client_session(client), text_of(key)) ? 1 : 0;
}

int find_subscription(const websocket_client_t *client, websocket_text_t key,
                      void **resource, void **subscription) noexcept
{
    client_subscription *place =
        subscription_of(client_session(client), text_of(key));

    if (place == nullptr) {
        return 0;
    }

    *resource = place->target().object();
    *subscription = place->object();
    return 1;
}

void each_subscriber(websocket_resource_t *handle,
                     void (*each)(void *, void *, void *), void *data) noexcept
{
    constexpr int prefetched = 4; // sessions are rarely in the cache

    const resource &target = *reinterpret_cast<resource *>(handle);
    membership *next = target.next_subscriber(nullptr);
    membership *ahead = next;

    for (int i = 0; i != prefetched && ahead != nullptr; i++) {
        ahead = target.next_subscriber(ahead);
    }

    while (next != nullptr) {
        auto &place = static_cast<client_subscription &>(*next);

        next = target.next_subscriber(next);

        if (ahead != nullptr) {
            ahead->owner().prefetch_sending();
            ahead = target.next_subscriber(ahead);
        }

        if (next != nullptr) {
            __builtin_prefetch(next->owner().object());
        }

        each(data, place.owner().object(), place.object());
    }
}

void each_subscription(const websocket_client_t *client,
                       int (*each)(void *, void *, void *), void *data) noexcept
{
    const subscription_set *places = client_session(client).subscriptions();

    if (places == nullptr) {
        return;
    }

    for (const auto &place : *places) {
        if (!place->pending() &&
            each(data, place->target().object(), place->object()) != 0) {
            return;
        }
    }
}

websocket_text_t subscription_parameter(const websocket_client_t *client,
                                        websocket_text_t key,
                                        websocket_text_t name) noexcept
{
    const resource_settings *settings =
        settings_for(client_session(client), text_of(key));

    return settings == nullptr
               ? websocket_text_t{nullptr, 0}
               : find_parameter(settings->parameters, text_of(name));
}

} // namespace websocket::nginx
