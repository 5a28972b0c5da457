// Applies messages of a channel to the log, and announces clients.
#include "nginx/backplane/replica.hpp"

#include "nginx/backplane/publisher.hpp"
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

// A day, in milliseconds, as the scripts have it.
constexpr std::string_view clients_ttl = "86400000";

broker::broker &local() noexcept
{
    return worker_bus::broker();
}

// Whether a transient message may be appended to the log.
bool is_relayable(const redis::channel_message &message) noexcept
{
    // status code at the beginning of the payload
    constexpr std::size_t code = 2;

    return is_message(message.kind) ||
           (message.kind == kind_close_all && message.payload.size() >= code);
}

} // namespace

replica::replica(environment &shared, std::string_view name)
    : shared_{shared}, name_{name}
{}

void replica::subscribed()
{
    if (state_ == state::subscribing) {
        sync();
    }
}

void replica::on_disconnect() noexcept
{
    state_ = state::subscribing;
    sync_number_ = 0;
    deferred_.clear();
    deferred_bytes_ = 0;
    announced_clients_ = unknown_count;
}

void replica::wait_for_sync(std::uint64_t token)
{
    drop_expired(next_waiters_);
    next_waiters_.push_back({token, ngx_current_msec});

    if (state_ == state::current) {
        sync();
    }
}

void replica::drop_expired(std::vector<waiter> &waiters) const noexcept
{
    const ngx_msec_t timeout = shared_.redis.settings().connect_timeout;

    std::erase_if(waiters, [timeout](const waiter &each) {
        return ngx_current_msec - each.since > timeout;
    });
}

void replica::retry_sync()
{
    if (state_ == state::failed) {
        sync();
    }
}

// The log has all messages of the stream. Applies the messages that arrived
// meanwhile.
void replica::finish_sync()
{
    std::vector<std::string> deferred;

    deferred.swap(deferred_);
    deferred_bytes_ = 0;
    state_ = state::current;

    for (const std::string &text : deferred) {
        on_message(text);
    }

    if (state_ != state::current) {
        return; // messages are still missing: another sync runs
    }

    (void)local().mark_synced(name_, shared_.link_generation);
    notify_clients(false);

    notify_waiters();

    if (!next_waiters_.empty() || std::exchange(deferred_dropped_, false)) {
        sync();
    }
}

void replica::notify_waiters()
{
    for (const waiter &each : std::exchange(sync_waiters_, {})) {
        send_control(
            worker_log(static_cast<unsigned>(each.token % broker::max_slots)),
            control_event::synced, each.token, {});
    }
}

void replica::on_message(std::string_view text)
{
    if (state_ == state::current) {
        if (const auto message = redis::parse_channel_message(text); message) {
            handle(*message);
        }
        return;
    }

    if (deferred_bytes_ + text.size() > max_deferred_bytes) {
        // The next sync returns stored messages and client counts
        deferred_.clear();
        deferred_bytes_ = 0;
        deferred_dropped_ = true;
    }

    deferred_.emplace_back(text);
    deferred_bytes_ += text.size();
}

void replica::handle(const redis::channel_message &message)
{
    switch (message.what) {
    case redis::channel_message::type::stored:
        if (is_message(message.kind)) {
            append_external(message);
        }
        return;

    case redis::channel_message::type::transient:
        if (is_relayable(message)) {
            append_transient(message.kind, message.from, message.payload);
        }
        return;

    case redis::channel_message::type::clients:
        update_host_clients(message.host, message.clients, message.lost);
        return;
    }
}

void replica::append_external(const redis::channel_message &message)
{
    const broker::append_result done = local().append_external(
        name_,
        {.payload = std::as_bytes(std::span(message.payload)),
         .from = message.from,
         .time = message.time,
         .kind = message.kind},
        message.id, worker_bus::now());

    worker_bus::log_dropped(name_, done);
    worker_bus::wake(done.wake);

    if (done.result == broker::outcome::done) {
        host_redis_counters().received.add(1);
    } else if (done.result == broker::outcome::out_of_order) {
        sync(); // the stream has this message too
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
        announced_clients_ = lost ? unknown_count : clients;
        shared_.changed(shared_, name_);
        return;
    }

    const auto known = other_hosts_.find(host);

    if (clients == 0) {
        if (known != other_hosts_.end()) {
            other_hosts_.erase(known);
        }
    } else {
        other_hosts_.insert_or_assign(std::string(host), clients);
    }

    update_remote_clients();

    if (lost) {
        append_transient(kind_clients_lost, 0, {});
    }
}

void replica::update_remote_clients() noexcept
{
    const std::uint32_t all = std::accumulate(
        other_hosts_.begin(), other_hosts_.end(), std::uint32_t{0},
        [](std::uint32_t sum, const auto &host) { return sum + host.second; });

    (void)local().set_remote_clients(name_, all);
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
    }
}

bool replica::notify(std::string_view clients, bool lost)
{
    const std::string uid(worker_bus::zone().host.uid());
    const std::array<std::string, 3> keys{redis::clients_key(name_),
                                          redis::host_resources_key(uid),
                                          redis::hosts_key()};
    const std::string channel =
        shared_.redis.settings().prefix + redis::channel(name_);
    const std::array<std::string_view, 6> arguments{
        channel, uid, clients, name_, lost ? "1" : "0", ""};

    return shared_.notify(shared_, {redis::script::notify, keys, arguments},
                          name_);
}

void replica::unfollow()
{
    if (announced_clients_ != 0) {
        (void)notify("0", lost_clients_); // otherwise find_orphans() finds it
    }
}

void replica::keep_following()
{
    if (state_ == state::current) {
        sync();
    }
}

void replica::keep_alive()
{
    const broker::description known =
        local().describe(name_, worker_bus::now());
    const std::string ttl =
        std::to_string(stream_limits_of(known.history).milliseconds);
    const std::pair<std::string, std::string_view> keys[] = {
        {redis::position_key(name_), ttl},
        {redis::stream_key(name_), ttl},
        {redis::clients_key(name_), clients_ttl}};

    for (const auto &[key, expiry] : keys) {
        const std::string prefixed = shared_.redis.settings().prefix + key;
        const std::array<std::string_view, 3> args{"PEXPIRE", prefixed, expiry};

        (void)shared_.redis.command(args, nullptr, nullptr);
    }
}

} // namespace websocket::nginx
