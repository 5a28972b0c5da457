// This worker's place in the broker: its slot, what wakes it, and who is told
// of its news.
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

// Kinds of entries in the broker's logs beside those of messages, which are
// WEBSOCKET_TEXT and WEBSOCKET_BINARY.
inline constexpr std::uint8_t kind_close_all =
    8; // code in network order, reason
inline constexpr std::uint8_t kind_clients_lost = 16; // a worker died with them

// Who has subscribed to a log of the broker's: the owner of the subscription.
struct subscriber {
    // There may be something to read. Takes what that costs off the budget,
    // and stops when there is nothing left of it.
    virtual void deliver(std::size_t &budget) noexcept = 0;

    subscriber() noexcept { ngx_queue_init(&again_.queue); }
    subscriber(const subscriber &) = delete;
    subscriber &operator=(const subscriber &) = delete;

    // In the list of those that deliver_again() was called for.
    struct retry_link {
        ngx_queue_t queue;
        subscriber *owner;
    };
    retry_link again_{{}, this};

protected:
    ~subscriber() { ngx_queue_remove(&again_.queue); }
};

namespace worker_bus {

struct settings {
    std::span<const int> wakeup_fds; // by slot; they live as long as the cycle
    std::size_t room_memory;         // bytes of a log at most
};

// Called when a process begins: takes a slot. Without one there are no
// resources, and it is tried again.
ngx_int_t start(ngx_cycle_t *cycle, shared_zone &zone,
                const settings &given) noexcept;

// Called where the process has its slot. Null: nobody.
inline void (*on_start)(ngx_cycle_t *cycle) noexcept = nullptr;

// Called where clients of a resource were lost with their worker, also before
// on_start. Null: nobody.
inline void (*on_clients_lost)(std::string_view log_name) noexcept = nullptr;

// Called when the process ends, after its resources.
void stop() noexcept;

bool running() noexcept;

// The broker, its zone and the slot of this worker: only where running() says
// so.
broker::broker &broker() noexcept;
shared_zone &zone() noexcept;
unsigned slot() noexcept;

// Has deliver() called once more, in this turn of the event loop.
void deliver_again(subscriber &reader) noexcept;

// Logs, once in a while, that a resource lost messages because it reached
// websocket_room_memory. `name`: what the broker knows it by.
void log_dropped(std::string_view name,
                 const broker::append_result &done) noexcept;

// Wakes the workers that append() and the like named.
void wake(const broker::slot_set &slots) noexcept;

// Milliseconds since 1970, at the start of the current event.
std::uint64_t now() noexcept;

} // namespace worker_bus

} // namespace websocket::nginx
