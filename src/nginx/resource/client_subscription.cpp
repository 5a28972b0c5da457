// Subscribes a client to a further resource, in steps: the host waits until it
// has all messages of the resource, and the worker until it has delivered what
// was published before.
#include "nginx/resource/client_subscription.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/resource/host_wait.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::string_view reason_of(broker::outcome refusal) noexcept
{
    switch (refusal) {
    case broker::outcome::full:
        return "websocket_max_clients reached";
    case broker::outcome::no_memory:
        return "websocket_shared_memory is full";
    case broker::outcome::name_too_long:
        return "the name is too long";
    default:
        return worker_bus::no_slot;
    }
}

} // namespace

// The client is not read at first, but only for a short time.
class client_subscription::wait final : public host_wait {
public:
    wait(client_subscription &place, const resource_settings &settings) noexcept
        : host_wait{place.target_.log_name(), ngx_cycle->log}, place_{place},
          settings_{settings}
    {}

    bool start() noexcept { return host_wait::start(held); }

private:
    static constexpr ngx_msec_t held = 1000;

    void on_hosts_synced() noexcept override { place_.reserve(settings_); }

    void on_hosts_timeout() noexcept override
    {
        const ngx_msec_t limit = std::max(backplane::handshake_timeout(),
                                          backplane::accepted_timeout());

        if (!std::exchange(slow_, true) && limit > held &&
            host_wait::start(limit - held)) {
            place_.on_slow_subscription();
            return;
        }

        place_.on_subscription_failed(
            "not in sync with the other hosts: Redis is unreachable or too "
            "slow");
    }

    client_subscription &place_;
    const resource_settings &settings_;
    bool slow_ = false;
};

client_subscription::client_subscription(session &owner, resource &target,
                                         std::uint8_t index) noexcept
    : membership{owner}, target_{target}, max_clients_{0}, index_{index}
{
    ngx_queue_init(link());
}

client_subscription::~client_subscription() = default;

std::size_t client_subscription::size_of_object(const resource &target) noexcept
{
    return std::max(target.handler().subscription_size, sizeof(join_part));
}

std::size_t client_subscription::size_in(const resource &target) noexcept
{
    return sizeof(client_subscription) + size_of_object(target);
}

client_subscription::owned
client_subscription::create(session &owner, resource &target,
                            const subscription_terms &terms,
                            const websocket_message_id_t *since) noexcept
{
    const auto place = target.subscription_places().allocate(size_in(target));

    if (place.memory == nullptr) {
        return nullptr;
    }

    owned created(::new (place.memory)
                      client_subscription(owner, target, place.index));

    created->rest().settings = terms.settings;
    created->max_clients_ = terms.max_clients;

    if (since != nullptr) {
        created->rest().since = *since;
        created->has_since_ = true;
    }

    target.retain();
    return created;
}

void client_subscription::deleter::operator()(
    client_subscription *deleted) const noexcept
{
    resource &left = deleted->target_;

    switch (deleted->state_) {
    case state::waiting:
        deleted->wait_.reset();
        left.end_waiting();
        break;

    case state::joining:
        left.withdraw_client(*deleted);
        break;

    case state::subscribed:
        left.remove_client(*deleted);

        if (on_place_left != nullptr) {
            on_place_left(deleted->owner(), left);
        }

        if (left.handler().client_unsubscribed != nullptr) {
            left.handler().client_unsubscribed(
                left.object(), deleted->client_object(), deleted->object());
        }
        break;

    case state::created:
        ngx_queue_remove(deleted->link()); // of the list of new places
        break;
    }

    const std::uint8_t index = deleted->index_;

    deleted->~client_subscription();
    left.subscription_places().free({deleted, index}, size_in(left));
    left.release();
}

// With Redis, as the handshake of a client.
void client_subscription::join() noexcept
{
    const resource_settings &settings = *rest().settings;

    if (!backplane::enabled()) {
        reserve(settings);
        return;
    }

    if (const auto result = target_.begin_waiting(settings);
        result != broker::outcome::done) {
        on_subscription_failed(reason_of(result));
        return;
    }

    state_ = state::waiting;
    target_.in_sync() ? reserve(settings) : wait_for_hosts(settings);
}

void client_subscription::wait_for_hosts(
    const resource_settings &settings) noexcept
{
    wait_.reset(new (std::nothrow) wait(*this, settings));

    if (!wait_ || !wait_->start()) {
        on_subscription_failed("no memory");
    }
}

// Delivery of the resource pauses in between.
void client_subscription::reserve(const resource_settings &settings) noexcept
{
    const broker::outcome result =
        target_.reserve_client(settings, max_clients_, rest().position);

    if (std::exchange(state_, state::created) == state::waiting) {
        wait_.reset();
        target_.end_waiting();
    }

    if (result != broker::outcome::done) {
        on_subscription_failed(reason_of(result));
        return;
    }

    state_ = state::joining;

    if (target_.confirm_reservation(*this)) {
        on_join_position();
    }
}

// The log is delivered up to the position: the client is in the resource.
void client_subscription::on_join_position() noexcept
{
    if (!owner_is_open()) {
        on_subscription_failed("the connection is closing");
        return;
    }

    const websocket_message_id_t since = rest().since;

    std::memset(object(), 0, size_of_object(target_));
    state_ = state::subscribed;
    target_.add_client(*this);

    if (on_place_taken != nullptr) {
        on_place_taken(owner(), target_);
    }

    on_subscribed(has_since_ ? &since : nullptr);
}

} // namespace websocket::nginx
