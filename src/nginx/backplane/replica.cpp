// Applies entries of the shard's log, and announces clients.
#include "nginx/backplane/replica.hpp"

#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace websocket::nginx {

namespace {

// The most bytes deferred until a sync ends. Beyond that the stream is read
// again instead.
constexpr std::size_t max_deferred_bytes = 4 * 1024 * 1024;

broker::broker &local() noexcept
{
    return worker_bus::broker();
}

// Whether a transient entry may be appended to the log.
bool is_relayable(const redis::log_entry &entry) noexcept
{
    // status code at the beginning of the payload
    constexpr std::size_t code = 2;

    return is_message(entry.kind) ||
           ((entry.kind == kind_user_joined || entry.kind == kind_user_left) &&
            !entry.payload.empty()) ||
           (entry.kind == kind_close_all && entry.payload.size() >= code);
}

} // namespace

replica::replica(environment &shared, std::string_view name)
    : shared_{shared}, name_{name}, shard_{redis::shard_of(name)}
{}

void replica::start()
{
    if (state_ == state::waiting || state_ == state::due) {
        sync();
    }
}

void replica::on_disconnect() noexcept
{
    if (state_ == state::syncing || state_ == state::due) {
        state_ = state::waiting;
    }

    sync_number_ = 0;
}

void replica::wait_for_sync(std::uint64_t token)
{
    const redis_settings &settings = shared_.redis.settings();

    next_waiters_.add(token, settings.connect_timeout + settings.wait);

    if (state_ == state::current && !confirming_) {
        confirm();
    }
}

void replica::confirm()
{
    present_waiters_.append(next_waiters_);
    confirming_ = true;
    shared_.reader(shard_).confirm(name_);
}

void replica::on_confirmed()
{
    confirming_ = false;

    if (state_ != state::current) {
        return; // they wait for the sync
    }

    // It may have been removed as unused, and created again by those who wait
    if (!local().describe(name_, worker_bus::now()).external) {
        sync();
        return;
    }

    present_waiters_.notify();

    if (!next_waiters_.empty()) {
        confirm();
    }
}

void replica::every_second()
{
    if (misses_hosts_) {
        remove_silent_hosts();
    }
}

void replica::on_shard_current()
{
    if (state_ == state::current) {
        (void)local().mark_synced(name_, shared_.link_generation);
    }

    start();
}

void replica::on_shard_loss(broker::message_id since) noexcept
{
    if (lost_since_.epoch == 0) {
        lost_since_ = since;
    }

    if (state_ == state::current) {
        state_ = state::due;
    } else {
        sync_again_ = true;
    }
}

// The log has all messages of the stream. Applies the entries that arrived
// meanwhile.
void replica::finish_sync()
{
    const bool after_loss = lost_since_.epoch != 0;

    state_ = state::current;
    make_up_for_loss();

    const auto deferred = std::exchange(deferred_, {});

    deferred_bytes_ = 0;

    for (const deferred_entry &each : deferred) {
        if (const auto entry = redis::parse_log_entry(each.text); entry) {
            on_entry(*entry, each.text, each.id);
        }
    }

    if (state_ == state::current && std::exchange(sync_again_, false)) {
        sync();
    }

    if (state_ != state::current) {
        return; // messages are still missing: another sync runs
    }

    if (shared_.reader(shard_).current()) {
        (void)local().mark_synced(name_, shared_.link_generation);
    }

    notify_clients(false);
    shared_.register_users(name_, after_loss);
    present_waiters_.notify();

    if (!next_waiters_.empty() && !confirming_) {
        confirm();
    }
}

// The lost entries may have been counts of clients, and a close of all clients.
void replica::make_up_for_loss()
{
    const broker::message_id since = std::exchange(lost_since_, {});
    const auto close = redis::parse_numbered_entry(last_close_);

    if (since.epoch == 0) {
        return;
    }

    append_transient(kind_clients_lost, 0, {});

    if (!close || close->id.epoch < since.epoch ||
        (close->id.epoch == since.epoch &&
         close->id.sequence <= since.sequence)) {
        return;
    }

    if (const auto entry = redis::parse_log_entry(close->text);
        entry && is_relayable(*entry)) {
        append_transient(entry->kind, entry->from, entry->payload);
    }
}

void replica::on_entry(const redis::log_entry &entry, std::string_view text,
                       broker::message_id id)
{
    if (state_ == state::current || state_ == state::waiting) {
        handle(entry, id);
        return;
    }

    if (deferred_bytes_ + text.size() > max_deferred_bytes) {
        // The next sync returns stored messages and client counts
        deferred_.clear();
        deferred_bytes_ = 0;
        on_shard_loss(counted_at_);
    }

    deferred_.push_back({id, std::string(text)});
    deferred_bytes_ += text.size();
}

void replica::handle(const redis::log_entry &entry, broker::message_id id)
{
    switch (entry.what) {
    case redis::log_entry::type::stored:
        if (is_message(entry.kind)) {
            append_external(entry);
        }
        return;

    case redis::log_entry::type::transient:
        if (is_relayable(entry)) {
            append_transient(entry.kind, entry.from, entry.payload);
        }
        return;

    case redis::log_entry::type::clients:
        if (state_ == state::current && (id.epoch != counted_at_.epoch ||
                                         id.sequence > counted_at_.sequence)) {
            update_host_clients(entry.host, entry.clients, entry.lost);
        }
        return;
    }
}

void replica::append_external(const redis::log_entry &entry)
{
    const broker::append_result done = local().append_external(
        name_,
        {.payload = std::as_bytes(std::span(entry.payload)),
         .from = entry.from,
         .time = entry.time,
         .kind = entry.kind,
         .run = entry.run},
        entry.id, worker_bus::now());

    worker_bus::log_dropped(name_, done);
    worker_bus::wake(done.wake);

    if (done.result == broker::outcome::done) {
        set_run(entry.run);
        auto &counters = host_redis_counters();

        (shared_.reader(shard_).current() ? counters.received
                                          : counters.recovered)
            .add(1);
    } else if (done.result == broker::outcome::out_of_order &&
               state_ == state::current) {
        sync(); // Redis has the missing messages, or has lost some
    }
}

void replica::append_transient(std::uint8_t kind, std::uint64_t from,
                               std::string_view payload) noexcept
{
    const broker::append_result done =
        local().append_external(name_,
                                {.payload = std::as_bytes(std::span(payload)),
                                 .from = from,
                                 .time = worker_bus::now(),
                                 .kind = kind,
                                 .transient = true},
                                {}, worker_bus::now());

    worker_bus::log_dropped(name_, done);
    worker_bus::wake(done.wake);
}

void replica::update_host_clients(std::string_view host, std::uint32_t clients,
                                  bool lost)
{
    if (host == worker_bus::zone().host.uid()) {
        // Another worker may have announced an older number, or another host
        // may have purged this one
        const bool purged = lost && clients == 0 && counted_;

        announced_clients_ = lost ? unknown_count : clients;
        lost_clients_ = lost_clients_ || purged;

        if (purged) {
            shared_.register_users(name_, false);
        }

        counted_ = clients != 0;
        shared_.schedule_notify(name_);

        if (lost) {
            append_transient(kind_clients_lost, 0, {});
        }
        return;
    }

    if (clients == 0) {
        if (const auto known = other_hosts_.find(host);
            known != other_hosts_.end()) {
            other_hosts_.erase(known);
        }
    } else {
        other_hosts_.insert_or_assign(std::string(host),
                                      other_host{clients, 0});
    }

    update_remote_clients();

    if (lost) {
        append_transient(kind_clients_lost, 0, {});
    }
}

// As if their leases had ended.
void replica::remove_silent_hosts()
{
    const auto is_silent = [](const auto &host) {
        return host.second.missed_since != 0 &&
               ngx_current_msec - host.second.missed_since >= host_lease;
    };
    const auto is_missed = [](const auto &host) {
        return host.second.missed_since != 0;
    };

    if (std::erase_if(other_hosts_, is_silent) != 0) {
        update_remote_clients();
        append_transient(kind_clients_lost, 0, {});
    }

    misses_hosts_ = std::ranges::any_of(other_hosts_, is_missed);
}

std::uint32_t replica::remote_clients() const noexcept
{
    return std::accumulate(other_hosts_.begin(), other_hosts_.end(),
                           std::uint32_t{0},
                           [](std::uint32_t sum, const auto &host) {
                               return sum + host.second.clients;
                           });
}

void replica::update_remote_clients() noexcept
{
    (void)local().set_remote_clients(name_, remote_clients());
}

void replica::notify_clients(bool lost)
{
    const broker::description known =
        local().describe(name_, worker_bus::now());

    lost_clients_ = lost_clients_ || lost;

    if (state_ != state::current ||
        (known.local_clients == announced_clients_ && !lost_clients_)) {
        return;
    }

    if (notify(std::to_string(known.local_clients), lost_clients_)) {
        announced_clients_ = known.local_clients;
        lost_clients_ = false;
        counted_ = known.local_clients != 0;
    }
}

bool replica::notify(std::string_view clients, bool lost)
{
    const std::string_view uid = worker_bus::zone().host.uid();
    const std::array<std::string, 5> keys{
        redis::clients_key(name_), redis::host_resources_key(shard_, uid),
        redis::hosts_key(shard_), redis::lease_key(shard_, uid),
        redis::position_key(name_)};
    const std::array<std::string_view, 5> arguments{clients, name_,
                                                    lost ? "1" : "0", "", "0"};

    return shared_.notify({redis::script::notify, shard_, keys, arguments},
                          name_, lost);
}

void replica::unfollow()
{
    (void)notify("0", lost_clients_); // otherwise find_orphans() finds it
}

void replica::keep_following()
{
    if (state_ == state::current) {
        sync();
    }
}

} // namespace websocket::nginx
