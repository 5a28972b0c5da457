// Writes the clients of this worker to Redis, and what has become of them.
#include "nginx/kept_clients/client_register.hpp"

#include "nginx/kept_clients/client_claims.hpp"
#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>

namespace websocket::nginx::backend {

namespace {

// Of one shard. The notes of the first ones stay in the shared memory.
constexpr std::size_t max_gone = 200'000;
constexpr std::size_t max_gone_with_notes = 10'000;

constexpr ngx_msec_t retry_interval = 1000;

// If Redis does not say more, clients count as not taken.
constexpr ngx_msec_t max_doubt = 2000;

void warn_of_many_gone() noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: Redis does not take that more than %uz clients "
                  "of HTTP backends have gone: if this worker dies, another "
                  "host may send their disconnect events again%V",
                  max_gone_with_notes, permit.suppressed());
    }
}

bool is_later(ngx_msec_t moment) noexcept
{
    return static_cast<ngx_msec_int_t>(moment - ngx_current_msec) > 0;
}

} // namespace

client_register &client_register::instance() noexcept
{
    static client_register of_this_worker;

    return of_this_worker;
}

client_register::client_register()
{
    for (unsigned shard = 0; shard != lanes_.size(); shard++) {
        lanes_[shard].shard = shard;
    }
}

client_register::lane &client_register::lane_of(std::uint64_t id) noexcept
{
    return lanes_[backplane::shard_of_client(id)];
}

// Throws std::bad_alloc.
void client_register::mark_changed(lane &in, std::uint64_t id, kept &which)
{
    in.changed.push_back(id);
    which.changed = true;

    // While Redis is away many may come and go
    if (in.changed.size() > 2 * in.clients.size() + max_gone_with_notes) {
        std::erase_if(in.changed, [&in](std::uint64_t each) {
            return !in.clients.contains(each);
        });
    }
}

void client_register::keep(client &added, std::uint64_t id,
                           std::uint32_t kind) noexcept
try {
    if (!backplane::enabled()) {
        return;
    }

    lane &in = lane_of(id);
    kept &which = in.clients.emplace(id, kept{&added, kind}).first->second;

    use_client_shard(in.shard);
    mark_changed(in, id, which);
    work(in);
} catch (const std::bad_alloc &) {
    // As if the host had died a moment before
}

void client_register::update(std::uint64_t id) noexcept
try {
    lane &in = lane_of(id);
    const auto found = in.clients.find(id);

    if (found != in.clients.end() && !found->second.changed) {
        mark_changed(in, id, found->second);
        work(in);
    }
} catch (const std::bad_alloc &) {
    // Redis has what was before
}

void client_register::count(std::uint64_t id, std::uint64_t sequence) noexcept
{
    lane &in = lane_of(id);
    const auto found = in.clients.find(id);

    if (found == in.clients.end()) {
        return;
    }

    found->second.sequence = sequence;

    if (sequence + sequence_margin > found->second.announced) {
        update(id);
    }
}

bool client_register::forget(std::uint64_t id, std::uint32_t kind,
                             broker::note which) noexcept
try {
    if (!backplane::enabled()) {
        return false;
    }

    lane &in = lane_of(id);
    const auto found = in.clients.find(id);
    const bool unsent = found != in.clients.end() && !found->second.sent;

    if (found != in.clients.end()) {
        in.clients.erase(found);
    }

    if (unsent) {
        return false;
    }

    const bool keeps_note = in.gone.size() < max_gone_with_notes;

    if (!keeps_note) {
        warn_of_many_gone();
    }

    if (in.gone.size() < max_gone) {
        in.gone.push_back({id, kind, keeps_note ? which : broker::note{}});
    }

    if (keeps_note) {
        worker_bus::broker().end_note(which, answered_code);
    }

    work(in);
    return keeps_note;

} catch (const std::bad_alloc &) {
    return false;
}

void client_register::abandon(std::uint64_t id) noexcept
{
    lane_of(id).clients.erase(id);
}

// Without memory all are written again, which shows the same.
void client_register::check(unsigned shard) noexcept
{
    lane &in = lanes_[shard];

    try {
        in.unchecked.clear();
        in.unchecked.reserve(in.clients.size());

        for (const auto &[id, each] : in.clients) {
            if (each.known) {
                in.unchecked.push_back(id);
            }
        }
    } catch (const std::bad_alloc &) {
        in.rewrites = true;
    }

    work(in);
}

void client_register::doubt() noexcept
{
    for (lane &in : lanes_) {
        if (!in.clients.empty()) {
            in.doubted = true;
            in.doubted_at = ngx_current_msec;
            check(in.shard);
        }
    }
}

bool client_register::is_doubtful(std::uint64_t id) noexcept
{
    const lane &in = lane_of(id);

    return (client_claims::instance().stood_still() ||
            (in.doubted && ngx_current_msec - in.doubted_at < max_doubt)) &&
           in.clients.contains(id);
}

// Redis may have lost clients meanwhile, or another host has taken them.
void client_register::on_shard_ready(unsigned shard) noexcept
{
    lanes_[shard].retry_at = 0;
    forget_again(lanes_[shard]);
    check(shard);
}

void client_register::work(lane &in) noexcept
try {
    shard_router *redis = backplane::router();

    if (in.busy || redis == nullptr || !redis->ready(in.shard) ||
        (in.retry_at != 0 && is_later(in.retry_at))) {
        return;
    }

    in.retry_at = 0;

    if (in.rewrites) {
        for (auto &[id, each] : in.clients) {
            if (!each.changed) {
                mark_changed(in, id, each);
            }
        }

        in.rewrites = false;
    }

    in.busy = ask(in, *redis) || write(in, *redis);
    in.doubted = in.doubted && in.busy;
} catch (const std::bad_alloc &) {
    in.rewrites = true;
    retry_later(in);
}

void client_register::retry_later(lane &in) noexcept
{
    in.retry_at = ngx_current_msec + retry_interval;

    if (!timer_.timer_set) {
        init_timer(timer_, on_timer, ngx_cycle->log);
        ngx_add_timer(&timer_, retry_interval);
    }
}

void client_register::on_timer(ngx_event_t *)
{
    client_register &self = instance();

    for (lane &each : self.lanes_) {
        self.work(each);

        if (each.retry_at != 0) {
            self.retry_later(each);
        }
    }
}

// A call that is out may be repeated here, which changes nothing.
void client_register::flush() noexcept
try {
    shard_router *redis = backplane::router();

    if (redis == nullptr) {
        return;
    }

    for (lane &each : lanes_) {
        for (const forgotten &gone : each.gone) {
            const std::string key =
                redis->settings().prefix +
                redis::kept_clients_key(each.shard, std::to_string(gone.kind),
                                        worker_bus::zone().host.uid());
            const std::string id = std::to_string(gone.id);
            const std::array<std::string_view, 3> args{"HDEL", key, id};

            (void)redis->command(each.shard, args, nullptr, nullptr);
        }
    }

    redis->flush();
} catch (const std::bad_alloc &) {
    // Another host may send these disconnect events again
}

} // namespace websocket::nginx::backend
