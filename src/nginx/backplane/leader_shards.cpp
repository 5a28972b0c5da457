// Subscribes to the channels of shards, passes entries of their logs to
// replicas, and does work that concerns many resources: after a new connection,
// when many clients have gone, or when events of workers were lost. One step
// follows the other, in turns of the event loop.
#include "nginx/backplane/leader.hpp"

#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx {

namespace {

// Resources of one step.
constexpr std::size_t max_resources = 64;

// The most calls of scripts for resources without a reply.
constexpr std::size_t max_calls = 256;

// Between two steps.
constexpr ngx_msec_t pause = 1;

struct scan_memory {
    std::array<broker::scanned_log, 256> logs;
    std::array<std::byte, 4 * broker::max_name_size> names;
};

scan_memory scan_memory_of_leader;

} // namespace

// An unlinked shard is subscribed when it is linked.
void redis_leader::subscribe(unsigned shard)
{
    if (registered_ && redis.linked(shard)) {
        redis.subscribe(shard);
    }
}

void redis_leader::unsubscribe(unsigned shard)
{
    redis.unsubscribe(shard);
    shards_[shard].reader.stop();
}

void redis_leader::on_subscribed(unsigned shard) noexcept
{
    with_oom_restart([this, shard] {
        shard_state &state = shards_[shard];

        if (!leading_ || state.replicas.empty()) {
            return;
        }

        state.reader.on_subscribed();

        // An empty cursor is set before the reply to the first sync
        if (state.reader.begins()) {
            visit_all(shard);
            work();
        }
    });
}

void redis_leader::on_message(unsigned shard, std::string_view text) noexcept
{
    with_oom_restart([this, shard, text] {
        if (leading_) {
            shards_[shard].reader.on_message(text);
        }
    });
}

void redis_leader::on_inbox_subscribed() noexcept
{
    with_oom_restart([this] {
        if (leading_) {
            inbox_.start();
        }
    });
}

void redis_leader::on_inbox_message() noexcept
{
    with_oom_restart([this] {
        if (leading_) {
            inbox_.wake();
        }
    });
}

void redis_leader::run_inbox_callback(inbox_reader &reader,
                                      const redisReply &reply) noexcept
{
    with_oom_restart([&] {
        if (leading_) {
            reader.read_reply(reply);
        }
    });
}

void redis_leader::on_entry(const redis::log_entry &entry,
                            std::string_view text, broker::message_id id)
{
    if (replica *log = find_replica(entry.name); log != nullptr) {
        log->on_entry(entry, text, id);
    }
}

void redis_leader::on_shard_current(unsigned shard)
{
    visit_all(shard);
    work();
}

void redis_leader::on_confirmed(std::string_view name)
{
    if (replica *log = find_replica(name); log != nullptr) {
        log->on_confirmed();
    }
}

// The visit begins the syncs.
void redis_leader::on_shard_loss(unsigned shard, broker::message_id since)
{
    for (const auto &[name, log] : shards_[shard].replicas) {
        log->on_shard_loss(since);
    }

    visit_all(shard);
    work_soon();
}

void redis_leader::run_callback(shard_reader &reader,
                                const redisReply &reply) noexcept
{
    with_oom_restart([&] {
        if (leading_) {
            reader.on_fetch_reply(reply);
        }
    });
}

// Follows all logs that workers have subscribed to, and then searches for
// clients of dead workers in those that are not followed.
void redis_leader::follow_all()
{
    scan_.emplace();
}

// Begins to visit all replicas of a shard: see visit_step().
void redis_leader::visit_all(unsigned shard)
{
    shards_[shard].visited = 0;
    shards_[shard].visiting = shards_[shard].replicas.bucket_count();
}

// Visits the shards in which syncs have failed. A visit under way is not begun
// again: otherwise its last replicas might never be reached.
void redis_leader::retry_syncs()
{
    for (shard_state &each : shards_) {
        if (each.visiting == 0 &&
            std::ranges::any_of(each.replicas, [](const auto &entry) {
                return entry.second->sync_is_due();
            })) {
            visit_all(each.reader.shard());
            work_soon();
        }
    }
}

void redis_leader::work_soon() noexcept
{
    if (!tick_.timer_set) {
        ngx_add_timer(&tick_, pause);
    }
}

void redis_leader::tick(ngx_event_t *event)
{
    auto &self = *static_cast<redis_leader *>(event->data);

    self.with_oom_restart([&self] { self.work(); });
}

// Does one step.
void redis_leader::work()
{
    std::size_t left = max_resources;
    bool done = !leading_ || scan_step();

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        done = visit_step(shard, left) && done;
    }

    done = notify_step(left) && done;
    done = unfollow_step(left) && done;

    if (!done) {
        work_soon();
    }
}

bool redis_leader::may_continue(std::size_t left) const noexcept
{
    return left != 0 && unanswered_ < max_calls;
}

// The functions below return true if nothing is left.
bool redis_leader::scan_step()
{
    if (!scan_) {
        return true;
    }

    const broker::scan_result found = worker_bus::broker().scan(
        *scan_, {scan_memory_of_leader.names, scan_memory_of_leader.logs},
        scan_memory_of_leader.logs.size());

    for (const broker::scanned_log &log :
         std::span(scan_memory_of_leader.logs).first(found.count)) {
        if (log.subscribed && !is_control_log(log.name)) {
            follow(log.name);
        }
    }

    if (found.more) {
        return false;
    }

    scan_.reset();

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        if (redis.linked(shard)) {
            find_orphans(shard);
        }
    }

    return true;
}

// Begins the syncs of a shard's replicas as soon as that is possible, and
// announces their clients.
bool redis_leader::visit_step(unsigned shard, std::size_t &left)
{
    shard_state &state = shards_[shard];

    // New buckets have another order
    if (state.visiting != 0 &&
        state.visiting != state.replicas.bucket_count()) {
        visit_all(shard);
    }

    for (; state.visited != state.visiting; state.visited++) {
        if (!may_continue(left)) {
            return false;
        }

        for (auto at = state.replicas.begin(state.visited);
             at != state.replicas.end(state.visited); ++at) {
            replica &log = *at->second;

            left -= left != 0 ? 1 : 0;

            if (state.reader.current()) {
                log.on_shard_current();
            } else if (state.reader.reads_from_end()) {
                log.start();
            }

            log.notify_clients(false);
        }
    }

    state.visiting = state.visited = 0;
    return true;
}

bool redis_leader::notify_step(std::size_t &left)
{
    while (!changed_.empty() && may_continue(left)) {
        const std::string name =
            std::move(changed_.extract(changed_.begin()).value());
        const bool lost = lost_clients_.erase(name) != 0;

        left--;

        if (replica *log = find_replica(name); log != nullptr) {
            log->notify_clients(lost);
            unused_.insert(name);
        }
    }

    return changed_.empty();
}

bool redis_leader::unfollow_step(std::size_t &left)
{
    while (!checked_.empty() && may_continue(left)) {
        left--;
        unfollow_if_unused(
            std::move(checked_.extract(checked_.begin()).value()));
    }

    return checked_.empty();
}

} // namespace websocket::nginx
