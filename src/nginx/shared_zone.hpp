// The memory that all workers share: the broker's, with what wakes a worker
// that has news, and the figures of each.
#pragma once

#include "broker/broker.hpp"
#include "nginx/figures.hpp"
#include "nginx/nginx_headers.hpp"
#include "nginx/said_lately.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::nginx {

// Lies in the shared memory itself, at the same address in all processes of
// one master. A reload takes it over if the size is unchanged.
struct shared_zone {
    ngx_shmtx_t *mutex; // nginx's master frees it when its owner dies
    std::span<std::byte> memory;
    std::size_t slots;
    figures::slot_block *figures_of; // for each slot
    std::uint64_t made;              // in milliseconds since 1970

    // An eventfd for each of the broker's slots: see wakers.hpp.
    std::array<int, broker::most_slots> wakers;

    said_lately full;
};

// Asks nginx for the zone, once the configuration is read. NGX_ERROR: it has
// been said why.
ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept;

// The zone of a configuration, or null if no location needs it.
shared_zone *zone_of(ngx_cycle_t *cycle) noexcept;

} // namespace websocket::nginx
