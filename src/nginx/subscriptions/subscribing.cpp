// The handler that resources of subscribed clients have is that of the client,
// or the one that it names for this purpose.
#include "nginx/subscriptions/subscribing.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/subscriptions/allowed_rooms.hpp"

#include <memory>
#include <new>
#include <optional>

namespace websocket::nginx {

namespace {

constexpr std::string_view no_memory = "no memory";

resource_id further_resource(const session &client,
                             std::string_view name) noexcept
{
    const websocket_handler_t *named = client.handler().subscribed_handler;

    return {named != nullptr ? named : &client.handler(), name};
}

// A place in any state; null: none.
client_subscription *place_in(const session &client,
                              std::string_view name) noexcept
{
    const subscription_set *places = client.subscriptions();
    const resource *target =
        places == nullptr ? nullptr
                          : resource::find(further_resource(client, name));

    return target == nullptr ? nullptr : places->find(target);
}

// Input is held while a place is pending, but for a slow one.
void continue_reading(session &client) noexcept
{
    if (client.subscriptions() == nullptr ||
        !client.subscriptions()->hold_input()) {
        client.release_input();
    }
}

std::string_view add_place(session &client, resource &target,
                           const websocket_message_id_t *since,
                           const subscription_terms &terms)
{
    auto &places = client.subscriptions();

    if (!places) {
        places = std::make_unique<subscription_set>(client.connection()->log);
    }

    if (places->find(&target) != nullptr) {
        return "already subscribed";
    }

    client_subscription::owned created =
        client_subscription::create(client, target, terms, since);

    if (!created) {
        return no_memory;
    }

    places->add(std::move(created));
    client.hold_input();
    return {};
}

// A publication of a client in a further resource. The resource of the client
// is retained until the result.
struct home_publication {
    resource &home;
    resource::publish_callback on_result;
    void *data;

    static void done(void *self, int result, websocket_message_id_t id) noexcept
    {
        const std::unique_ptr<home_publication> call(
            static_cast<home_publication *>(self));

        call->on_result(call->data, result, id);
        call->home.release();
    }
};

struct releaser {
    void operator()(resource *target) const noexcept { target->release(); }
};

// With a reference; null: there is no memory, or the handler has failed.
std::unique_ptr<resource, releaser>
retained(const session &client, std::string_view name,
         const resource_settings &settings) noexcept
{
    resource *target = resource::get_or_create(further_resource(client, name),
                                               settings, false);

    if (target != nullptr) {
        target->retain();
    }

    return std::unique_ptr<resource, releaser>(target);
}

// Ends the turn if this worker does not deliver as fast. A client that is in
// the resource pauses until it does, see publishing_congested().
void slow_down(const session &client, const resource &published_to) noexcept
{
    const subscription_set *places = client.subscriptions();

    if (published_to.congested() &&
        (places == nullptr || places->find(&published_to) == nullptr)) {
        this_worker().current_turn.end();
    }
}

} // namespace

const resource_settings *settings_for(const session &client,
                                      std::string_view name) noexcept
{
    const location_configuration &conf = client.configuration();

    if (conf.room_patterns == nullptr) {
        return conf.terms;
    }

    const room_pattern *pattern = pattern_of(client, name);
    return pattern == nullptr ? nullptr : pattern->terms;
}

std::string_view subscribe(session &client, std::string_view name,
                           const websocket_message_id_t *since) noexcept
try {
    const location_configuration &conf = client.configuration();

    this_worker().current_turn.spend(turn::message_cost);

    if (!client.open()) {
        return "the connection is closing";
    }

    if (name.empty()) {
        return "the name is empty";
    }

    if (client.subscriptions() != nullptr &&
        client.subscriptions()->size() >= conf.max_rooms) {
        return "websocket_max_rooms reached";
    }

    const resource_settings *settings = settings_for(client, name);

    if (settings == nullptr) {
        return "the name fits no websocket_rooms of this location";
    }

    const auto target = retained(client, name, *settings);

    if (!target) {
        return "the handler failed to create the resource";
    }

    return add_place(client, *target, since,
                     {settings, static_cast<std::uint32_t>(conf.max_clients)});

} catch (const std::bad_alloc &) {
    return no_memory;
}

void publish_to(const session &client, std::string_view name,
                const broker::publication &message, std::string_view user,
                resource::publish_callback on_result, void *data,
                std::size_t callback_bytes) noexcept
{
    const resource_settings *settings = settings_for(client, name);
    const auto target =
        settings == nullptr || name.empty() || client.home() == nullptr
            ? nullptr
            : retained(client, name, *settings);

    if (!target) {
        on_result(data, WEBSOCKET_INVALID, {});
        return;
    }

    auto *call =
        new (std::nothrow) home_publication{*client.home(), on_result, data};

    if (call == nullptr) {
        on_result(data, WEBSOCKET_DROPPED, {});
    } else {
        client.home()->retain();
        target->publish(message, user, home_publication::done, call,
                        callback_bytes);
        slow_down(client, *target);
    }
}

bool unsubscribe(session &client, std::string_view name) noexcept
{
    client_subscription *place = place_in(client, name);

    this_worker().current_turn.spend(turn::message_cost);

    if (place == nullptr) {
        return false;
    }

    client.subscriptions()->remove(*place);
    continue_reading(client);
    return true;
}

client_subscription *subscription_of(const session &client,
                                     std::string_view name) noexcept
{
    client_subscription *place = place_in(client, name);

    return place == nullptr || place->pending() ? nullptr : place;
}

// The functions through which a place uses its client. The place may have ended
// when they return.

void membership::on_subscribed(const websocket_message_id_t *since) noexcept
{
    session &client = owner();
    auto &place = static_cast<client_subscription &>(*this);
    resource &target = place.target();

    client.subscriptions()->stop_holding(place);

    if (target.handler().client_subscribed != nullptr) {
        target.retain();
        {
            const resource::delivery_scope scope(target);

            client.close_if_failed(target.handler().client_subscribed(
                target.object(), client.object(), place.object(), since));
        }
        target.release();
    }

    continue_reading(client);
}

void membership::on_subscription_failed(std::string_view reason) noexcept
{
    session &client = owner();
    auto &place = static_cast<client_subscription &>(*this);
    resource &target = place.target();
    const auto on_failure = client.handler().subscription_failed;

    target.retain();
    client.subscriptions()->remove(place);

    if (client.open() && on_failure != nullptr) {
        client.close_if_failed(
            on_failure(client.home()->object(), client.object(),
                       {target.name().data(), target.name().size()},
                       {reason.data(), reason.size()}));
    }

    target.release();
    continue_reading(client);
}

void membership::on_slow_subscription() noexcept
{
    session &client = owner();

    client.subscriptions()->stop_holding(
        static_cast<client_subscription &>(*this));
    continue_reading(client);
}

} // namespace websocket::nginx
