// Resources across hosts, for the rest of the module. Messages are published to
// Redis, and come back into the host's logs from there.
//
// Call these functions only if enabled(). Without `websocket_redis`, resources
// live on this host alone.
#pragma once

#include "nginx/backplane/publisher.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/redis_nodes/router.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace websocket::nginx::backplane {

// Called after the process has claimed its slot, and before it releases it.
void start(ngx_cycle_t *cycle) noexcept;

// Fails all pending requests.
void stop() noexcept;

bool enabled() noexcept;

// The id, unique across hosts, of the client with this number on this host.
std::uint64_t client_id(std::uint64_t number) noexcept;

// The id prefix of the client's host. Nothing: it is this one.
std::optional<std::uint64_t> other_host_of(std::uint64_t id) noexcept;

// The shard of clients whose ids have the same prefix.
unsigned shard_of_client(std::uint64_t id) noexcept;

// The worker's connections to Redis. Null: there are none.
shard_router *router() noexcept;

// They learn about the shards; to be set before start(). Null: none.
inline std::array<shard_router::listener *, 2> listeners{};

// The host's clients of HTTP backends had no lease in the shard. May be null.
inline void (*on_clients_unleased)(unsigned shard) noexcept = nullptr;

// Whether the host has no other worker.
bool is_last_worker() noexcept;

// False: the queue is full. Otherwise on_result of the request is called.
bool publish(const publish_request &request) noexcept;

// Whether publishers should wait, and the function to call when they may
// continue. Null: none.
inline bool congested = false;
inline void (*on_congestion_end)() noexcept = nullptr;

// The number of clients of the resource on this host has changed. `lost`: their
// worker died.
void clients_changed(std::string_view name, bool lost) noexcept;

// A user may have joined or left the resource on this host. The other hosts
// learn of it by publish(), but not for certain.
void user_changed(std::string_view name, std::string_view user) noexcept;

// The most time, in milliseconds, that a handshake may wait before its
// response, and that the accepted client may wait after it. 0: it is refused
// instead.
ngx_msec_t handshake_timeout() noexcept;
ngx_msec_t accepted_timeout() noexcept;

// Waits until the host's log has all messages that Redis had at the time of the
// call.
class sync_waiter {
public:
    // Called once, after the waiter has been removed.
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
