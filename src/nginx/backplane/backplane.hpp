// The other hosts, as the rest of the module sees them: what resources publish
// goes to Redis, and comes into the host's own logs from there.
//
// All of it is for where used() says so. Without `websocket_redis` resources
// live on this host alone, and nothing here has to do with them.
#pragma once

#include "nginx/backplane/publisher.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx::backplane {

// Called when the process has its slot, and before it gives it back.
void start(ngx_cycle_t *cycle) noexcept;

// Whoever waits for something is told that it will not be.
void stop() noexcept;

bool enabled() noexcept;

// A client's id that no client of another host has, of its number here.
std::uint64_t client_id(std::uint64_t number) noexcept;

// False: not taken, as too much waits already. Else the order is told.
bool publish(const publish_request &request) noexcept;

// Whether those who publish had better wait, and what is called when they need
// no more. Null: nobody.
inline bool congested = false;
inline void (*on_congestion_end)() noexcept = nullptr;

// The resource has more clients on this host, or less; `lost`: they did not
// leave, their worker died.
void clients_changed(std::string_view name, bool lost) noexcept;

// How long a handshake may wait.
ngx_msec_t handshake_timeout() noexcept;

// Somebody who waits until the host's log has all that Redis had at the time.
class sync_waiter {
public:
    // Called once: the waiter is forgotten before.
    virtual void on_synced() noexcept = 0;

    std::string_view resource_name; // the resource's name
    std::uint64_t token = 0;

protected:
    ~sync_waiter() = default;
};

// False: no memory.
bool wait_for_sync(sync_waiter &waiter) noexcept;
void cancel_sync(sync_waiter &waiter) noexcept;

} // namespace websocket::nginx::backplane
