// The memory that all workers share: the broker's, with what wakes a worker
// that has news, and the figures of each.
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

// What other hosts know this one by, as long as the memory lives.
struct host_identity {
    std::array<char, 16> uid_bytes;       // at random
    std::atomic<std::uint32_t> id_prefix; // begins its clients' ids: 1 to 8191

    std::string_view uid() const noexcept
    {
        return {uid_bytes.data(), uid_bytes.size()};
    }
    void choose() noexcept;
    void choose_id_prefix() noexcept;
};

// Lies in the shared memory itself, at the same address in all processes of
// one master. A reload takes it over if the size is unchanged.
struct shared_zone {
    ngx_shmtx_t *mutex; // nginx's master frees it when its owner dies
    std::span<std::byte> memory;
    std::size_t slots;
    counters::slot_counters *slot_counters; // for each slot
    std::uint64_t created_at;               // in milliseconds since 1970

    // One more than the eventfds that the worker of a slot has inherited: it
    // wakes no slots behind them, so that their workers look for themselves.
    // 0: no worker.
    std::array<std::atomic<std::uint16_t>, broker::max_slots> inherited_fds;

    log_throttle full_log;
    std::atomic<std::uint64_t>
        dropped_logged; // messages, in the last such line

    // That have used the zone, one after the other: written by the master.
    std::uint32_t configurations;

    // Of many hosts
    host_identity host;
    std::atomic<std::uint32_t> link_generation; // with Redis, so far
    redis_counters redis;
};

// Asks nginx for the zone, once the configuration is read. NGX_ERROR: it has
// been said why.
ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept;

// When the configuration is in use. nginx frees the memory of a zone that is
// not to be used again: this is not the new one any more, but the one before.
void commit_zone(ngx_cycle_t &cycle) noexcept;

// The zone of a configuration, or null if no location needs it.
shared_zone *zone_of(ngx_cycle_t *cycle) noexcept;

} // namespace websocket::nginx
