// The memory that all workers share: the broker's logs, and counters.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/redis_counters.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace websocket::nginx {

// How other hosts identify this one, as long as the memory exists.
struct host_identity {
    std::array<char, 16> uid_bytes;       // random hexadecimal digits
    std::atomic<std::uint32_t> id_prefix; // of its client ids: 1 to 8191

    std::string_view uid() const noexcept
    {
        return {uid_bytes.data(), uid_bytes.size()};
    }
    void choose() noexcept;
    void choose_id_prefix() noexcept;
};

// Located in the shared memory itself, at the same address in all processes of
// one master. A reload keeps it if the size is unchanged.
struct shared_zone {
    ngx_shmtx_t *mutex; // nginx's master unlocks it when its owner dies
    std::span<std::byte> memory;
    std::size_t slots;
    counters::slot_counters *slot_counters; // by slot
    std::uint64_t created_at;               // in milliseconds since 1970

    // By slot, one more than the eventfds that its worker has inherited: it
    // cannot wake the later slots, so their workers poll. 0: no worker.
    std::array<std::atomic<std::uint16_t>, broker::max_slots> inherited_fds;

    log_throttle full_log;
    std::atomic<std::uint64_t>
        dropped_logged; // messages, in the last such line

    // Written by the master
    std::uint32_t configurations; // so far
    std::atomic<bool> replaced;   // a reload has changed the Redis

    std::atomic<bool> has_backends; // a configuration had such locations

    // With Redis
    host_identity host;
    std::atomic<std::uint32_t> link_generation; // connections so far

    // A bit for each shard that may have clients of HTTP backends of the host
    std::atomic<std::uint32_t> client_shards;

    // Redis's clock minus the monotonic clock, in milliseconds; 0: unknown
    std::atomic<std::int64_t> redis_clock;
    redis_counters redis;
};

// Adds the zone once the configuration is read. NGX_ERROR is logged.
ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept;

// Called when the new configuration is in use, before the old workers drain.
// nginx frees the memory of a zone that is marked `noreuse`: clears the mark of
// the new zone, and sets that of the old one.
void commit_zone(ngx_cycle_t &cycle) noexcept;

// The zone of a configuration; null if no location needs it.
shared_zone *zone_of(ngx_cycle_t *cycle) noexcept;

} // namespace websocket::nginx
