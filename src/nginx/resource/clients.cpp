// Who is connected to a resource, or about to be: counted by the broker, over
// all workers, and subscribed to what is published.
#include "nginx/resource/resource.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/workers/worker_bus.hpp"

namespace websocket::nginx {

// Resources whose last client has gone are not woken by what others publish.
broker::outcome resource::subscribe(const resource_terms &terms) noexcept
{
    if (subscription_) {
        ask_history(terms);
        return broker::outcome::done;
    }

    const broker::subscribed made = exchange::shared().subscribe(
        exchange::slot(), log_name_, static_cast<news_reader *>(this),
        history_request(terms), exchange::now());

    if (made.result == broker::outcome::done) {
        history_ = made.history;
        last_source_ = terms.source;
    }

    subscription_ = made.handle;
    delivered_ = made.position;
    forget_own();
    return made.result;
}

void resource::say_no_room_for_clients() const noexcept
{
    static said_lately line;

    if (line_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no room for one more resource, %V \"%V\", in "
                  "websocket_shared_memory: its clients are refused with 503%V",
                  handler_.name, name_, permit.left_out());
    }
}

broker::outcome resource::admit(const resource_terms &terms, std::uint32_t max,
                                std::uint64_t &position) noexcept
{
    if (!exchange::running()) {
        return broker::outcome::gone;
    }

    if (const auto result = subscribe(terms); result != broker::outcome::done) {
        if (result == broker::outcome::no_room) {
            say_no_room_for_clients();
        }
        return result;
    }

    const broker::outcome result =
        exchange::shared().join(subscription_, max, &position);

    if (result == broker::outcome::done) {
        admitted_++;
        admitting_++;
        clients_changed();
    } else {
        unsubscribe_unused();
    }

    return result;
}

broker::outcome resource::begin_waiting(const resource_terms &terms) noexcept
{
    const broker::outcome result =
        exchange::running() ? subscribe(terms) : broker::outcome::gone;

    if (result == broker::outcome::done) {
        waiting_++;
        hold();
    } else if (result == broker::outcome::no_room) {
        say_no_room_for_clients();
    }

    return result;
}

void resource::end_waiting() noexcept
{
    waiting_--;
    unsubscribe_unused();
    let_go();
}

// What a client has seen on another host may be on its way to this one, which
// matters where it can ask for what follows on that.
bool resource::in_sync() const noexcept
{
    return history_.messages == 0 && exchange::shared().linked(subscription_);
}

void resource::unsubscribe_unused() noexcept
{
    if (admitted_ == 0 && waiting_ == 0 && subscription_) {
        exchange::shared().unsubscribe(subscription_, exchange::now());
        subscription_ = {};
        forget_own();
        clients_changed();
    }
}

// For the worker that leads this host.
void resource::clients_changed() const noexcept
{
    if (backplane::used()) {
        backplane::clients_changed(log_name_, false);
    }
}

void resource::give_up() noexcept
{
    if (--admitting_ == 0) {
        deliver_again();
    }

    dismiss();
}

// What the client may have seen elsewhere is in the log up to its position,
// and so in the history when it joins there.
bool resource::arrive(membership &client) noexcept
{
    if (--admitting_ == 0) {
        deliver_again();
    }

    if (client.join_position() <= delivered_) {
        return true;
    }

    ngx_queue_insert_tail(&arriving_, client.link());
    return false;
}

void resource::withdraw(membership &client) noexcept
{
    ngx_queue_remove(client.link());
    dismiss();
}

void resource::add(membership &client) noexcept
{
    ngx_queue_insert_tail(&clients_, client.link());
}

void resource::remove(membership &client) noexcept
{
    ngx_queue_remove(client.link());
    dismiss();
}

void resource::dismiss() noexcept
{
    exchange::shared().leave(subscription_);
    admitted_--;
    clients_changed();
    unsubscribe_unused();
}

std::uint64_t resource::client_count() const noexcept
{
    if (subscription_) {
        return exchange::shared().clients(subscription_);
    }

    return exchange::running() && !checked_only_
               ? exchange::shared().describe(log_name_, exchange::now()).clients
               : 0;
}

} // namespace websocket::nginx
