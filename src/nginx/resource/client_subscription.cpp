// Subscribes a client to a further resource, in steps: after the event in which
// a handler asked for it, the host waits until it has all messages of the
// resource, and the worker until it has delivered what was published before.
#include "nginx/resource/client_subscription.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/resource/host_wait.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstdlib>
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

class client_subscription::join final : host_wait {
public:
    join(client_subscription &place, const options &how) noexcept
        : host_wait{place.target_.log_name(), how.log}, place_{place}, how_{how}
    {
        begin_.data = this;
        begin_.handler = on_begin;
        begin_.log = how.log;
        ngx_post_event(&begin_, &ngx_posted_events);
    }
    join(const join &) = delete;
    join &operator=(const join &) = delete;

    // Ends an unfinished join.
    ~join()
    {
        if (begin_.posted) {
            ngx_delete_posted_event(&begin_);
        }

        if (state_ == state::waiting) {
            stop();
            place_.target_.end_waiting();

        } else if (state_ == state::joining) {
            place_.target_.withdraw_client(place_);
        }
    }

    std::uint64_t position() const noexcept { return position_; }

    const websocket_message_id_t *since() const noexcept
    {
        return how_.since ? &*how_.since : nullptr;
    }

    void finish() noexcept { state_ = state::ended; }

private:
    static constexpr ngx_msec_t held = 1000;

    enum class state { created, waiting, joining, ended };

    static void on_begin(ngx_event_t *event)
    {
        static_cast<join *>(event->data)->begin();
    }

    // With Redis, as the handshake of a client.
    void begin() noexcept
    {
        if (!backplane::enabled()) {
            reserve();
            return;
        }

        if (const auto result = place_.target_.begin_waiting(how_.settings);
            result != broker::outcome::done) {
            fail(reason_of(result));
            return;
        }

        state_ = state::waiting;

        if (place_.target_.in_sync()) {
            on_hosts_synced();

        } else if (!start(held)) {
            fail("no memory");
        }
    }

    void on_hosts_synced() noexcept override
    {
        stop();
        reserve();
    }

    // At first the client is not read, for a short time.
    void on_hosts_timeout() noexcept override
    {
        const ngx_msec_t limit = std::max(backplane::handshake_timeout(),
                                          backplane::accepted_timeout());

        if (!std::exchange(slow_, true) && limit > held &&
            start(limit - held)) {
            place_.on_slow_subscription();
            return;
        }

        fail("not in sync with the other hosts: Redis is unreachable or too "
             "slow");
    }

    void reserve() noexcept
    {
        resource &target = place_.target_;
        const broker::outcome result =
            target.reserve_client(how_.settings, how_.max_clients, position_);

        if (std::exchange(state_, state::created) == state::waiting) {
            target.end_waiting();
        }

        if (result != broker::outcome::done) {
            fail(reason_of(result));
            return;
        }

        state_ = state::joining;

        if (target.confirm_reservation(place_)) {
            place_.on_join_position();
        }
    }

    // This object has ended on return.
    void fail(std::string_view reason) noexcept
    {
        place_.on_subscription_failed(reason);
    }

    client_subscription &place_;
    options how_;
    std::uint64_t position_ = 0;
    ngx_event_t begin_{};
    bool slow_ = false;
    state state_ = state::created;
};

client_subscription::client_subscription(session &owner,
                                         resource &target) noexcept
    : membership{owner}, target_{target}
{
    ngx_queue_init(link());
}

client_subscription::~client_subscription() = default;

client_subscription::owned
client_subscription::create(session &owner, resource &target,
                            const options &how) noexcept
{
    const std::size_t size =
        sizeof(client_subscription) + target.handler().subscription_size;
    void *memory = std::calloc(1, size);

    if (memory == nullptr) {
        return nullptr;
    }

    owned created(::new (memory) client_subscription(owner, target));

    target.retain();
    created->join_.reset(new (std::nothrow) join(*created, how));

    if (!created->join_) {
        target.release();
        std::free(created.release());
    }

    return created;
}

void client_subscription::deleter::operator()(
    client_subscription *deleted) const noexcept
{
    resource &left = deleted->target_;

    if (!std::exchange(deleted->join_, nullptr)) {
        left.remove_client(*deleted);

        if (left.handler().client_unsubscribed != nullptr) {
            left.handler().client_unsubscribed(
                left.object(), deleted->client_object(), deleted->object());
        }
    }

    deleted->~client_subscription();
    std::free(deleted);
    left.release();
}

std::uint64_t client_subscription::join_position() const noexcept
{
    return join_->position();
}

// The log is delivered up to the position: the client is in the resource.
void client_subscription::on_join_position() noexcept
{
    if (!owner_is_open()) {
        on_subscription_failed("the connection is closing");
        return;
    }

    const std::unique_ptr<join> finished = std::move(join_);

    finished->finish();
    target_.add_client(*this);
    on_subscribed(finished->since());
}

} // namespace websocket::nginx
