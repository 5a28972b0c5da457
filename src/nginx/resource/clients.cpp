// Clients of a resource, connected or reserved. The broker counts them over all
// workers; the resource subscribes to its log while it has any.
#include "nginx/resource/resource.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/workers/worker_bus.hpp"

namespace websocket::nginx {

// Without clients there is no subscription, so publications do not wake this
// worker.
broker::outcome resource::subscribe(const resource_settings &settings) noexcept
{
    if (subscription_) {
        update_history_request(settings);
        return broker::outcome::done;
    }

    const broker::subscribed reply = worker_bus::broker().subscribe(
        worker_bus::slot(), log_name_, static_cast<subscriber *>(this),
        history_request(settings), worker_bus::now());

    if (reply.result == broker::outcome::done) {
        history_ = reply.history;
        last_source_ = settings.source;
    }

    subscription_ = reply.handle;
    delivered_ = reply.position;
    reset_own_publications();
    return reply.result;
}

void resource::log_no_memory_for_clients() const noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no memory for one more resource, %V \"%V\", in "
                  "websocket_shared_memory: its clients are refused with 503%V",
                  handler_.name, name_, permit.suppressed());
    }
}

broker::outcome resource::reserve_client(const resource_settings &settings,
                                         std::uint32_t max,
                                         std::uint64_t &position) noexcept
{
    if (!worker_bus::running()) {
        return broker::outcome::gone;
    }

    if (const auto result = subscribe(settings);
        result != broker::outcome::done) {
        if (result == broker::outcome::no_memory) {
            log_no_memory_for_clients();
        }
        return result;
    }

    const broker::outcome result =
        worker_bus::broker().join(subscription_, max, &position);

    if (result == broker::outcome::done) {
        counted_++;
        reserved_++;
        clients_changed();
    } else {
        unsubscribe_unused();
    }

    return result;
}

broker::outcome
resource::begin_waiting(const resource_settings &settings) noexcept
{
    const broker::outcome result =
        worker_bus::running() ? subscribe(settings) : broker::outcome::gone;

    if (result == broker::outcome::done) {
        waiting_handshakes_++;
        retain();
    } else if (result == broker::outcome::no_memory) {
        log_no_memory_for_clients();
    }

    return result;
}

void resource::end_waiting() noexcept
{
    waiting_handshakes_--;
    unsubscribe_unused();
    release();
}

// A message that the client has received from another host may not have arrived
// here. This matters only if the client can request what follows it.
bool resource::in_sync() const noexcept
{
    return history_.messages == 0 && worker_bus::broker().synced(subscription_);
}

void resource::unsubscribe_unused() noexcept
{
    if (counted_ == 0 && waiting_handshakes_ == 0 && subscription_) {
        worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
        subscription_ = {};
        reset_own_publications();
        clients_changed();
    }
}

// Notifies the worker that is this host's leader.
void resource::clients_changed() const noexcept
{
    if (backplane::enabled()) {
        backplane::clients_changed(log_name_, false);
    }
}

void resource::cancel_reservation() noexcept
{
    if (--reserved_ == 0) {
        deliver_again();
    }

    release_reservation();
}

// Messages that the client may have received elsewhere are in the log up to its
// position, and so in the history when it joins there.
bool resource::confirm_reservation(membership &client) noexcept
{
    if (--reserved_ == 0) {
        deliver_again();
    }

    if (client.join_position() <= delivered_) {
        return true;
    }

    ngx_queue_insert_tail(&joining_, client.link());
    return false;
}

void resource::withdraw_client(membership &client) noexcept
{
    ngx_queue_remove(client.link());
    release_reservation();
}

void resource::add_client(membership &client) noexcept
{
    ngx_queue_insert_tail(client.subscribed() ? &subscribers_ : &clients_,
                          client.link());
}

void resource::remove_client(membership &client) noexcept
{
    ngx_queue_remove(client.link());
    release_reservation();
}

void resource::release_reservation() noexcept
{
    worker_bus::broker().leave(subscription_);
    counted_--;
    clients_changed();
    unsubscribe_unused();
}

std::uint64_t resource::client_count() const noexcept
{
    if (subscription_) {
        return worker_bus::broker().clients(subscription_);
    }

    return worker_bus::running() && !config_check_
               ? worker_bus::broker()
                     .describe(log_name_, worker_bus::now())
                     .clients
               : 0;
}

} // namespace websocket::nginx
