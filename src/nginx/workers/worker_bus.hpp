// This worker's connection to the broker: its slot, its wake-up eventfd, and
// dispatch of unread logs to their subscribers.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/shared_zone.hpp"
#include "nginx/workers/zone_mutex.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::nginx {

// Kinds of entries in the broker's logs, beside WEBSOCKET_TEXT and
// WEBSOCKET_BINARY of messages: closes all clients, with the code in network
// order and the reason as payload; and reports that a worker died with clients.
inline constexpr std::uint8_t kind_close_all = 8;
inline constexpr std::uint8_t kind_clients_lost = 16;

// A user, the payload, has joined with a client, or has left with the last one.
inline constexpr std::uint8_t kind_user_joined = 9;
inline constexpr std::uint8_t kind_user_left = 10;

// Added to the kind of a message that has a user: see message_user.hpp.
inline constexpr std::uint8_t kind_with_user = 32;

// The kind of a message as handlers know it.
constexpr std::uint8_t kind_of(std::uint8_t stored) noexcept
{
    return stored & ~kind_with_user;
}

// The owner of a subscription to a log of the broker.
struct subscriber {
    // Called when the log may have unread messages. Subtracts the deliveries
    // from the budget, and returns once nothing of it is left.
    virtual void deliver(std::size_t &budget) noexcept = 0;

    subscriber() noexcept { ngx_queue_init(&retry_.queue); }
    subscriber(const subscriber &) = delete;
    subscriber &operator=(const subscriber &) = delete;

    // In the list of subscribers that deliver_again() was called for.
    struct retry_link {
        ngx_queue_t queue;
        subscriber *owner;
    };
    retry_link retry_{{}, this};

protected:
    ~subscriber() { ngx_queue_remove(&retry_.queue); }
};

namespace worker_bus {

struct settings {
    std::span<const int> wakeup_fds; // by slot; they live as long as the cycle
    std::size_t room_memory;         // bytes of a log at most
};

// Called when a process starts: claims a slot. Without a free one the worker
// has no resources, and tries again each second.
ngx_int_t start(ngx_cycle_t *cycle, shared_zone &zone,
                const settings &options) noexcept;

// Called once the worker has its slot. May be null.
inline void (*on_start)(ngx_cycle_t *cycle) noexcept = nullptr;

// Called each second while the worker shuts down gracefully. May be null.
inline void (*on_exiting)() noexcept = nullptr;

// Called when a worker died with clients of a resource, also before on_start.
// May be null.
inline void (*on_clients_lost)(std::string_view log_name) noexcept = nullptr;

// Called when the process ends, after its resources are gone.
void stop() noexcept;

// Takes the slots of dead workers back. Called each second, and at the end of a
// worker whose duties no other may take over.
void reclaim_dead() noexcept;

// False: the worker has no slot.
bool running() noexcept;

// Why requests are refused then.
inline constexpr std::string_view no_slot =
    "no free worker slot: too many old workers are still shutting down";

// The broker, its zone and the slot of this worker. Require running().
broker::broker &broker() noexcept;
shared_zone &zone() noexcept;
unsigned slot() noexcept;

// Calls deliver() once more in this turn of the event loop.
void deliver_again(subscriber &to) noexcept;

// While paused, unread logs are not dispatched. The caller must end each pause.
void pause_deliveries(bool pause) noexcept;

// Logs, with a throttle, the messages that a resource lost because it reached
// websocket_room_memory. `name` is that of its log.
void log_dropped(std::string_view name,
                 const broker::append_result &result) noexcept;

// Wakes the workers of these slots, as append() and others return them.
void wake(const broker::slot_set &slots) noexcept;

// Milliseconds since 1970 at the start of the current event, by the clock of
// this host.
std::uint64_t host_time() noexcept;

// The same for the times and ages of messages: with Redis, by its clock, as far
// as it is known.
std::uint64_t now() noexcept;

} // namespace worker_bus

} // namespace websocket::nginx
