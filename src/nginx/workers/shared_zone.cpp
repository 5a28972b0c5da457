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
std::size_t wakers_for(const ngx_cycle_t &cycle) noexcept
{
    return std::clamp<std::size_t>(4 * workers_of(cycle), 64,
                                   broker::most_slots);
}

// That nginx's master opens for its workers, two for each, and for those of a
// reload; and for listening, logs and configurations.
std::size_t files_for(const ngx_cycle_t &cycle) noexcept
{
    return 4 * workers_of(cycle) + 64;
}

// A later configuration may have more workers. A slot's counters take about a
// kilobyte: they get a part of the memory.
std::size_t slots_for(const ngx_cycle_t &cycle, std::size_t memory) noexcept
{
    constexpr std::size_t memory_of_a_slot = 64 * 1024;

    return std::clamp<std::size_t>(memory / memory_of_a_slot, wakers_for(cycle),
                                   broker::most_slots);
}

std::size_t count_workers(const shared_zone &zone) noexcept
{
    const std::span blocks(zone.figures_of, zone.slots);

    return static_cast<std::size_t>(
        std::count_if(blocks.begin(), blocks.end(),
                      [](const auto &block) { return block.pid.load() != 0; }));
}

// All that nginx's slab allocator has left, as one piece.
std::span<std::byte> take_the_rest(ngx_slab_pool_t *pool) noexcept
{
    for (std::size_t pages = pool->pfree; pages != 0; pages--) {
        const std::size_t size = pages * ngx_pagesize;

        if (void *found = ngx_slab_alloc(pool, size); found != nullptr) {
            return {static_cast<std::byte *>(found), size};
        }
    }

    return {};
}

std::size_t figures_size(std::size_t slots) noexcept
{
    return slots * sizeof(figures::slot_block);
}

// More than a page: nginx's slab allocator gives whole ones, so that no two
// slots share a line of cache.
bool make_figures(shared_zone &made, ngx_slab_pool_t *pool) noexcept
{
    void *place = ngx_slab_alloc(pool, figures_size(made.slots));

    if (place == nullptr) {
        return false;
    }

    made.figures_of = static_cast<figures::slot_block *>(place);
    std::uninitialized_value_construct_n(made.figures_of, made.slots);
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

    for (char &letter : letters) {
        letter = digits[number % digits.size()];
        number /= digits.size();
    }

    choose_number();
}

void host_identity::choose_number() noexcept
{
    constexpr std::uint64_t most = 8191;

    number.store(static_cast<std::uint32_t>(1 + random_number() % most));
}

namespace {

// Our own parts, with as many pages as nginx's slab allocator may take for
// itself and for what is smaller than a page.
std::size_t least_memory(std::size_t slots) noexcept
{
    constexpr std::size_t kilobyte = 1024;
    constexpr std::size_t step = 64 * kilobyte;
    const std::size_t own = figures_size(slots) +
                            broker::broker::smallest(slots) +
                            sizeof(shared_zone);

    return (own + own / 64 + step) / step * step / kilobyte;
}

ngx_int_t too_small(const ngx_shm_zone_t &zone, const ngx_cycle_t &cycle,
                    std::size_t slots) noexcept
{
    write_log(NGX_LOG_EMERG, cycle.log,
              "\"websocket_shared_memory\" of %uzk is too small for %uz worker "
              "slots: with these \"worker_processes\" it takes at least %uzk",
              zone.shm.size / 1024, slots, least_memory(slots));
    return NGX_ERROR;
}

ngx_int_t make_zone(ngx_shm_zone_t &zone, ngx_cycle_t &cycle) noexcept
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
    made->made = exchange::now();
    made->host.choose();

    if (!make_figures(*made, pool)) {
        return too_small(zone, cycle, made->slots);
    }

    made->memory = take_the_rest(pool);

    zone_mutex mutex(*made);
    broker::broker fresh(mutex);

    if (!fresh.create(made->memory, made->slots, random_number())) {
        return too_small(zone, cycle, made->slots);
    }

    wakers *fresh_wakers =
        make_wakers(cycle, wakers_for(cycle), files_for(cycle));

    if (fresh_wakers == nullptr) {
        return NGX_ERROR;
    }

    main_conf_of(cycle).zone_wakers = fresh_wakers;

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
        wakers *kept = main_conf_of(*cycle.old_cycle).zone_wakers;

        zone->data = before;
        main_conf_of(cycle).number =
            ++static_cast<shared_zone *>(before)->configurations;
        main_conf_of(cycle).zone_wakers = kept;

        const auto &shared = *static_cast<shared_zone *>(before);
        const std::size_t wanted = std::min(
            count_workers(shared) + 2 * workers_of(cycle), shared.slots);

        return share_wakers(cycle, *kept) &&
                       add_wakers(cycle, *kept, wanted, files_for(cycle))
                   ? NGX_OK
                   : NGX_ERROR;
    }

    // A single process would have to give up memory that it works in
    if (exchange::running()) {
        write_log(NGX_LOG_EMERG, cycle.log,
                  "\"websocket_shared_memory\" and \"websocket_redis\" cannot "
                  "change while nginx runs without a master");
        return NGX_ERROR;
    }

    return make_zone(*zone, cycle);
}

// False: it has been said why.
bool complete_sizes(ngx_conf_t *cf, main_configuration &own) noexcept
{
    constexpr std::size_t usual = 32 * 1024 * 1024;

    if (own.shared_memory == NGX_CONF_UNSET_SIZE) {
        own.shared_memory = usual;
    }

    if (own.room_memory == NGX_CONF_UNSET_SIZE) {
        own.room_memory = own.shared_memory / 8;
    }

    if (own.room_memory > own.shared_memory) {
        WEBSOCKET_SAY(cf,
                      "\"websocket_room_memory\" of %uz bytes is larger than "
                      "\"websocket_shared_memory\" of %uz bytes",
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
const main_configuration *conf_before(const ngx_cycle_t &cycle) noexcept
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
    const main_configuration *before = conf_before(cycle);

    return before != nullptr && !same_log(before->redis, own.redis);
}

} // namespace

ngx_int_t add_shared_zone(ngx_conf_t *cf) noexcept
try {
    auto &own = *main_conf(cf);

    if (!complete_sizes(cf, own)) {
        return NGX_ERROR;
    }

    if (!own.zone_needed && !exchange::running()) {
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

    if (const auto *before = conf_before(cycle);
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
