// Creates the shared memory in the master, or keeps that of the previous
// configuration.
#include "nginx/workers/shared_zone.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/directive_args.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/redis_settings.hpp"
#include "nginx/workers/wakeup_fds.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

#include <sys/random.h>

namespace websocket::nginx {

namespace {

// Unlike the names that users give to zones of their own.
ngx_str_t zone_name = ngx_string("websocket_shared_memory");

std::size_t workers_of(const ngx_cycle_t &cycle) noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(cycle.conf_ctx, ngx_core_module));

    return static_cast<std::size_t>(core->worker_processes);
}

// Enough for the workers of several generations, as a reload leaves old ones.
std::size_t wakeup_fd_count(const ngx_cycle_t &cycle) noexcept
{
    return std::clamp<std::size_t>(4 * workers_of(cycle), 64,
                                   broker::max_slots);
}

// Files that nginx's master may open yet: two for each worker, those of a
// reload included; listening sockets, logs and configuration files.
std::size_t reserved_files(const ngx_cycle_t &cycle) noexcept
{
    return 4 * workers_of(cycle) + 64;
}

// A later configuration may have more workers. The counters of a slot take
// about a kilobyte, a small part of the memory per slot.
std::size_t slots_for(const ngx_cycle_t &cycle, std::size_t memory) noexcept
{
    constexpr std::size_t memory_per_slot = 64 * 1024;

    return std::clamp<std::size_t>(memory / memory_per_slot,
                                   wakeup_fd_count(cycle), broker::max_slots);
}

std::size_t count_workers(const shared_zone &zone) noexcept
{
    const std::span blocks(zone.slot_counters, zone.slots);

    return static_cast<std::size_t>(
        std::count_if(blocks.begin(), blocks.end(),
                      [](const auto &block) { return block.pid.load() != 0; }));
}

// Allocates the largest piece that nginx's slab allocator has left.
std::span<std::byte> allocate_remaining(ngx_slab_pool_t *pool) noexcept
{
    for (std::size_t pages = pool->pfree; pages != 0; pages--) {
        const std::size_t size = pages * ngx_pagesize;

        if (void *memory = ngx_slab_alloc(pool, size); memory != nullptr) {
            return {static_cast<std::byte *>(memory), size};
        }
    }

    return {};
}

std::size_t counters_size(std::size_t slots) noexcept
{
    return slots * sizeof(counters::slot_counters);
}

// The size is more than a page, so that nginx's slab allocator returns whole
// pages and no two slots share a cache line.
bool create_counters(shared_zone &zone, ngx_slab_pool_t *pool) noexcept
{
    void *memory = ngx_slab_alloc(pool, counters_size(zone.slots));

    if (memory == nullptr) {
        return false;
    }

    zone.slot_counters = static_cast<counters::slot_counters *>(memory);
    std::uninitialized_value_construct_n(zone.slot_counters, zone.slots);
    return true;
}

std::uint64_t random_number() noexcept
{
    std::uint64_t number = 0;

    if (getrandom(&number, sizeof number, 0) != sizeof number) {
        number = static_cast<std::uint64_t>(ngx_random());
    }

    return number;
}

} // namespace

void host_identity::choose() noexcept
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::uint64_t number = random_number();

    for (char &digit : uid_bytes) {
        digit = digits[number % digits.size()];
        number /= digits.size();
    }

    choose_id_prefix();
}

void host_identity::choose_id_prefix() noexcept
{
    constexpr std::uint64_t max_prefix = 8191;

    id_prefix.store(
        static_cast<std::uint32_t>(1 + random_number() % max_prefix));
}

namespace {

// The parts of this module, and pages that nginx's slab allocator may need for
// itself and for allocations smaller than a page.
std::size_t min_memory(std::size_t slots) noexcept
{
    constexpr std::size_t kilobyte = 1024;
    constexpr std::size_t step = 64 * kilobyte;
    const std::size_t parts = counters_size(slots) +
                              broker::broker::min_size(slots) +
                              sizeof(shared_zone);

    return (parts + parts / 64 + step) / step * step / kilobyte;
}

ngx_int_t too_small(const ngx_shm_zone_t &zone, const ngx_cycle_t &cycle,
                    std::size_t slots) noexcept
{
    write_log(NGX_LOG_EMERG, cycle.log,
              "\"websocket_shared_memory\" of %uzk is too small for %uz worker "
              "slots; expected at least %uzk with these \"worker_processes\"",
              zone.shm.size / 1024, slots, min_memory(slots));
    return NGX_ERROR;
}

ngx_int_t create_zone(ngx_shm_zone_t &zone, ngx_cycle_t &cycle) noexcept
{
    auto *pool = reinterpret_cast<ngx_slab_pool_t *>(zone.shm.addr);

    pool->log_nomem = 0; // too_small() reports it
    auto *shared =
        static_cast<shared_zone *>(ngx_slab_calloc(pool, sizeof(shared_zone)));

    if (shared == nullptr) {
        return NGX_ERROR;
    }

    shared->mutex = &pool->mutex;
    shared->slots = slots_for(cycle, zone.shm.size);
    shared->created_at = worker_bus::host_time();
    shared->host.choose();

    if (!create_counters(*shared, pool)) {
        return too_small(zone, cycle, shared->slots);
    }

    shared->memory = allocate_remaining(pool);

    zone_mutex mutex(*shared);
    broker::broker broker(mutex);

    if (!broker.create(shared->memory, shared->slots, random_number())) {
        return too_small(zone, cycle, shared->slots);
    }

    wakeup_fd_set *fds =
        create_wakeup_fds(cycle, wakeup_fd_count(cycle), reserved_files(cycle));

    if (fds == nullptr) {
        return NGX_ERROR;
    }

    main_conf_of(cycle).wakeup_fds = fds;

    main_conf_of(cycle).number = shared->configurations = 1;
    zone.data = shared;
    return NGX_OK;
}

// `before` is the data of the previous configuration's zone if the memory is
// the same, and since nginx 1.27.3 also if it must not be reused.
ngx_int_t init_zone(ngx_shm_zone_t *zone, void *before)
{
    auto &cycle = *static_cast<ngx_cycle_t *>(zone->data);

    if (before != nullptr && !zone->noreuse) {
        wakeup_fd_set *kept = main_conf_of(*cycle.old_cycle).wakeup_fds;

        zone->data = before;
        main_conf_of(cycle).number =
            ++static_cast<shared_zone *>(before)->configurations;
        main_conf_of(cycle).wakeup_fds = kept;

        const auto &shared = *static_cast<shared_zone *>(before);
        const std::size_t wanted = std::min(
            count_workers(shared) + 2 * workers_of(cycle), shared.slots);

        return retain_fds(cycle, *kept) && add_wakeup_fds(cycle, *kept, wanted,
                                                          reserved_files(cycle))
                   ? NGX_OK
                   : NGX_ERROR;
    }

    // A single process would free the memory that it uses
    if (worker_bus::running()) {
        write_log(NGX_LOG_EMERG, cycle.log,
                  "\"websocket_shared_memory\" and \"websocket_redis\" cannot "
                  "change without a master process; restart nginx");
        return NGX_ERROR;
    }

    return create_zone(*zone, cycle);
}

// False, and logged, if they are invalid.
bool resolve_sizes(ngx_conf_t *cf, main_configuration &main) noexcept
{
    constexpr std::size_t default_size = 32 * 1024 * 1024;

    if (main.shared_memory == NGX_CONF_UNSET_SIZE) {
        main.shared_memory = default_size;
    }

    if (main.room_memory == NGX_CONF_UNSET_SIZE) {
        main.room_memory = main.shared_memory / 8;
    }

    if (main.room_memory > main.shared_memory) {
        conf_error(cf,
                   "invalid value %uz in \"websocket_room_memory\" directive; "
                   "expected a size of at most %uz bytes, as "
                   "\"websocket_shared_memory\" has",
                   main.room_memory, main.shared_memory);
        return false;
    }

    return true;
}

bool same_log(const redis_settings *one, const redis_settings *other)
{
    if (one == nullptr || other == nullptr) {
        return one == other;
    }

    return one->prefix == other->prefix &&
           redis::same_database(one->server.address, other->server.address);
}

// A module that a reload loads is in the new configuration only.
bool has_module(const ngx_cycle_t &cycle) noexcept
{
    const std::span modules(cycle.modules, cycle.modules_n);

    return std::find(modules.begin(), modules.end(),
                     &ngx_http_websocket_module) != modules.end();
}

// Null without one, or if it has not this module or no block `http`.
const main_configuration *previous_conf(const ngx_cycle_t &cycle) noexcept
{
    const ngx_cycle_t *before = cycle.old_cycle;

    return before == nullptr || before->conf_ctx == nullptr ||
                   !has_module(*before) ||
                   before->conf_ctx[ngx_http_module.index] == nullptr
               ? nullptr
               : &main_conf_of(*before);
}

// Two Redis servers number the messages of a room differently, so the workers
// of a configuration with another server get another memory.
bool redis_changes(const ngx_cycle_t &cycle, const main_configuration &main)
{
    const main_configuration *before = previous_conf(cycle);

    return before != nullptr && !same_log(before->redis, main.redis);
}

} // namespace

ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept
try {
    auto &main = *main_conf(cf);

    if (!resolve_sizes(cf, main)) {
        return NGX_ERROR;
    }

    if (!main.zone_needed && !worker_bus::running()) {
        return NGX_OK;
    }

    main.zone = ngx_shared_memory_add(cf, &zone_name, main.shared_memory,
                                      &ngx_http_websocket_module);

    if (main.zone == nullptr) {
        return NGX_ERROR;
    }

    main.zone->init = init_zone;
    main.zone->data = cf->cycle;
    main.zone->noreuse = redis_changes(*cf->cycle, main);
    return NGX_OK;

} catch (const std::bad_alloc &) {
    return NGX_ERROR;
}

void commit_zone(ngx_cycle_t &cycle) noexcept
{
    const main_configuration *main =
        zone_of(&cycle) == nullptr ? nullptr : &main_conf_of(cycle);

    if (main == nullptr || !main->zone->noreuse) {
        return;
    }

    main->zone->noreuse = 0;

    if (const auto *before = previous_conf(cycle);
        before != nullptr && before->zone != nullptr) {
        before->zone->noreuse = 1;
        static_cast<shared_zone *>(before->zone->data)->replaced.store(true);
    }
}

shared_zone *zone_of(ngx_cycle_t *cycle) noexcept
{
    auto *conf = static_cast<main_configuration *>(
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_websocket_module));

    return conf == nullptr || conf->zone == nullptr
               ? nullptr
               : static_cast<shared_zone *>(conf->zone->data);
}

} // namespace websocket::nginx
