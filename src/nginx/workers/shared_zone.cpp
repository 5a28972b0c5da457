// Makes the shared memory in the master, or takes it over from the
// configuration before.
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

ngx_str_t zone_name = ngx_string("websocket");

std::size_t workers_of(const ngx_cycle_t &cycle) noexcept
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(
        ngx_get_conf(cycle.conf_ctx, ngx_core_module));

    return static_cast<std::size_t>(core->worker_processes);
}

// During a reload and after it workers of several generations live side by
// side.
std::size_t wakeup_fd_count(const ngx_cycle_t &cycle) noexcept
{
    return std::clamp<std::size_t>(4 * workers_of(cycle), 64,
                                   broker::max_slots);
}

// That nginx's master opens for its workers, two for each, and for those of a
// reload; and for listening, logs and configurations.
std::size_t reserved_files(const ngx_cycle_t &cycle) noexcept
{
    return 4 * workers_of(cycle) + 64;
}

// A later configuration may have more workers. A slot's counters take about a
// kilobyte: they get a part of the memory.
std::size_t slots_for(const ngx_cycle_t &cycle, std::size_t memory) noexcept
{
    constexpr std::size_t memory_of_a_slot = 64 * 1024;

    return std::clamp<std::size_t>(memory / memory_of_a_slot,
                                   wakeup_fd_count(cycle), broker::max_slots);
}

std::size_t count_workers(const shared_zone &zone) noexcept
{
    const std::span blocks(zone.slot_counters, zone.slots);

    return static_cast<std::size_t>(
        std::count_if(blocks.begin(), blocks.end(),
                      [](const auto &block) { return block.pid.load() != 0; }));
}

// All that nginx's slab allocator has left, as one piece.
std::span<std::byte> allocate_remaining(ngx_slab_pool_t *pool) noexcept
{
    for (std::size_t pages = pool->pfree; pages != 0; pages--) {
        const std::size_t size = pages * ngx_pagesize;

        if (void *found = ngx_slab_alloc(pool, size); found != nullptr) {
            return {static_cast<std::byte *>(found), size};
        }
    }

    return {};
}

std::size_t counters_size(std::size_t slots) noexcept
{
    return slots * sizeof(counters::slot_counters);
}

// More than a page: nginx's slab allocator gives whole ones, so that no two
// slots share a line of cache.
bool create_counters(shared_zone &made, ngx_slab_pool_t *pool) noexcept
{
    void *place = ngx_slab_alloc(pool, counters_size(made.slots));

    if (place == nullptr) {
        return false;
    }

    made.slot_counters = static_cast<counters::slot_counters *>(place);
    std::uninitialized_value_construct_n(made.slot_counters, made.slots);
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

    for (char &letter : uid_bytes) {
        letter = digits[number % digits.size()];
        number /= digits.size();
    }

    choose_id_prefix();
}

void host_identity::choose_id_prefix() noexcept
{
    constexpr std::uint64_t most = 8191;

    id_prefix.store(static_cast<std::uint32_t>(1 + random_number() % most));
}

namespace {

// Our own parts, with as many pages as nginx's slab allocator may take for
// itself and for what is smaller than a page.
std::size_t min_memory(std::size_t slots) noexcept
{
    constexpr std::size_t kilobyte = 1024;
    constexpr std::size_t step = 64 * kilobyte;
    const std::size_t own = counters_size(slots) +
                            broker::broker::min_size(slots) +
                            sizeof(shared_zone);

    return (own + own / 64 + step) / step * step / kilobyte;
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

    pool->log_nomem = 0; // a memory that is too small is reported below
    auto *made =
        static_cast<shared_zone *>(ngx_slab_calloc(pool, sizeof(shared_zone)));

    if (made == nullptr) {
        return NGX_ERROR;
    }

    made->mutex = &pool->mutex;
    made->slots = slots_for(cycle, zone.shm.size);
    made->created_at = worker_bus::now();
    made->host.choose();

    if (!create_counters(*made, pool)) {
        return too_small(zone, cycle, made->slots);
    }

    made->memory = allocate_remaining(pool);

    zone_mutex mutex(*made);
    broker::broker fresh(mutex);

    if (!fresh.create(made->memory, made->slots, random_number())) {
        return too_small(zone, cycle, made->slots);
    }

    wakeup_fd_set *fds =
        create_wakeup_fds(cycle, wakeup_fd_count(cycle), reserved_files(cycle));

    if (fds == nullptr) {
        return NGX_ERROR;
    }

    main_conf_of(cycle).wakeup_fds = fds;

    main_conf_of(cycle).number = made->configurations = 1;
    zone.data = made;
    return NGX_OK;
}

// `before` is what the zone of the configuration before has, if it is the
// same memory.
ngx_int_t init_zone(ngx_shm_zone_t *zone, void *before)
{
    auto &cycle = *static_cast<ngx_cycle_t *>(zone->data);

    if (before != nullptr) {
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

    // A single process would have to give up memory that it works in
    if (worker_bus::running()) {
        write_log(NGX_LOG_EMERG, cycle.log,
                  "\"websocket_shared_memory\" and \"websocket_redis\" cannot "
                  "change while nginx runs without a master");
        return NGX_ERROR;
    }

    return create_zone(*zone, cycle);
}

// False: it has been said why.
bool resolve_sizes(ngx_conf_t *cf, main_configuration &own) noexcept
{
    constexpr std::size_t usual = 32 * 1024 * 1024;

    if (own.shared_memory == NGX_CONF_UNSET_SIZE) {
        own.shared_memory = usual;
    }

    if (own.room_memory == NGX_CONF_UNSET_SIZE) {
        own.room_memory = own.shared_memory / 8;
    }

    if (own.room_memory > own.shared_memory) {
        conf_error(cf,
                   "invalid value %uz in \"websocket_room_memory\" directive; "
                   "expected a size of at most %uz bytes, as "
                   "\"websocket_shared_memory\" has",
                   own.room_memory, own.shared_memory);
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
           one->target.name() == other->target.name() &&
           one->target.database == other->target.database;
}

// A module that is loaded at a reload gets a place in the new configuration
// alone.
bool has_module(const ngx_cycle_t &cycle) noexcept
{
    const std::span modules(cycle.modules, cycle.modules_n);

    return std::find(modules.begin(), modules.end(),
                     &ngx_http_websocket_module) != modules.end();
}

// Null: there is none, or without this module, or without a block `http`.
const main_configuration *previous_conf(const ngx_cycle_t &cycle) noexcept
{
    const ngx_cycle_t *before = cycle.old_cycle;

    return before == nullptr || before->conf_ctx == nullptr ||
                   !has_module(*before) ||
                   before->conf_ctx[ngx_http_module.index] == nullptr
               ? nullptr
               : &main_conf_of(*before);
}

// Workers of two configurations cannot give the same rooms numbers of two
// Redis servers: the new ones have memory of their own then.
bool redis_changes(const ngx_cycle_t &cycle, const main_configuration &own)
{
    const main_configuration *before = previous_conf(cycle);

    return before != nullptr && !same_log(before->redis, own.redis);
}

} // namespace

ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept
try {
    auto &own = *main_conf(cf);

    if (!resolve_sizes(cf, own)) {
        return NGX_ERROR;
    }

    if (!own.zone_needed && !worker_bus::running()) {
        return NGX_OK;
    }

    own.zone = ngx_shared_memory_add(cf, &zone_name, own.shared_memory,
                                     &ngx_http_websocket_module);

    if (own.zone == nullptr) {
        return NGX_ERROR;
    }

    own.zone->init = init_zone;
    own.zone->data = cf->cycle;
    own.zone->noreuse = redis_changes(*cf->cycle, own);
    return NGX_OK;

} catch (const std::bad_alloc &) {
    return NGX_ERROR;
}

void commit_zone(ngx_cycle_t &cycle) noexcept
{
    const main_configuration *own =
        zone_of(&cycle) == nullptr ? nullptr : &main_conf_of(cycle);

    if (own == nullptr || !own->zone->noreuse) {
        return;
    }

    own->zone->noreuse = 0;

    if (const auto *before = previous_conf(cycle);
        before != nullptr && before->zone != nullptr) {
        before->zone->noreuse = 1;
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
