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

    const broker::subscribed made = worker_bus::broker().subscribe(
        worker_bus::slot(), log_name_, static_cast<subscriber *>(this),
        history_request(terms), worker_bus::now());

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
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no room for one more resource, %V \"%V\", in "
                  "websocket_shared_memory: its clients are refused with 503%V",
                  handler_.name, name_, permit.suppressed());
    }
}

broker::outcome resource::admit(const resource_terms &terms, std::uint32_t max,
                                std::uint64_t &position) noexcept
{
    if (!worker_bus::running()) {
        return broker::outcome::gone;
    }

    if (const auto result = subscribe(terms); result != broker::outcome::done) {
        if (result == broker::outcome::no_room) {
            say_no_room_for_clients();
        }
        return result;
    }

    const broker::outcome result =
        worker_bus::broker().join(subscription_, max, &position);

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
        worker_bus::running() ? subscribe(terms) : broker::outcome::gone;

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
    return history_.messages == 0 && worker_bus::broker().linked(subscription_);
}

void resource::unsubscribe_unused() noexcept
{
    if (admitted_ == 0 && waiting_ == 0 && subscription_) {
        worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
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
    worker_bus::broker().leave(subscription_);
    admitted_--;
    clients_changed();
    unsubscribe_unused();
}

std::uint64_t resource::client_count() const noexcept
{
    if (subscription_) {
        return worker_bus::broker().clients(subscription_);
    }

    return worker_bus::running() && !checked_only_
               ? worker_bus::broker()
                     .describe(log_name_, worker_bus::now())
                     .clients
               : 0;
}

} // namespace websocket::nginx
