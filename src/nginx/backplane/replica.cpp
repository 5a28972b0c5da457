// How a log keeps up with Redis.
#include "nginx/backplane/replica.hpp"

#include "nginx/backplane/publisher.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace websocket::nginx {

namespace {

// What may wait for a sync; with more, the stream is read once more instead.
constexpr std::size_t most_waiting = 4 * 1024 * 1024;

broker::broker &local() noexcept
{
    return worker_bus::broker();
}

// The rest of what other hosts say that is for the log.
bool may_pass(const broker::backplane_message &message) noexcept
{
    constexpr std::size_t code = 2; // of a Close, which an order begins with

    return is_message(message.kind) ||
           (message.kind == kind_close_all && message.payload.size() >= code);
}

} // namespace

followed_log::followed_log(context &shared, std::string_view name)
    : shared_{shared}, name_{name}
{}

void followed_log::subscribed()
{
    if (state_ == state::subscribing) {
        sync();
    }
}

void followed_log::lost_touch() noexcept
{
    state_ = state::subscribing;
    asked_ = 0;
    waiting_.clear();
    waiting_bytes_ = 0;
    told_ = unknown;
}

void followed_log::wait_for_sync(std::uint64_t token)
{
    forget_late(tokens_);
    tokens_.push_back({token, ngx_current_msec});

    if (state_ == state::current) {
        sync();
    }
}

void followed_log::forget_late(std::vector<wish> &wishes) const noexcept
{
    const ngx_msec_t patience = shared_.redis.settings().connect_timeout;

    std::erase_if(wishes, [patience](const wish &each) {
        return ngx_current_msec - each.since > patience;
    });
}

void followed_log::try_again()
{
    if (state_ == state::failed) {
        sync();
    }
}

// The log has all that the stream had: what came meanwhile goes behind it.
void followed_log::settle()
{
    std::vector<std::string> came;

    came.swap(waiting_);
    waiting_bytes_ = 0;
    state_ = state::current;

    for (const std::string &text : came) {
        heard(text);
    }

    if (state_ != state::current) {
        return; // something is still missing: it goes on with another sync
    }

    (void)local().mark_synced(name_, shared_.link);
    tell_clients(false);

    serve();

    if (!tokens_.empty() || std::exchange(dropped_, false)) {
        sync();
    }
}

void followed_log::serve()
{
    for (const wish &each : std::exchange(serving_, {})) {
        send_control(
            worker_log(static_cast<unsigned>(each.token % broker::max_slots)),
            control_event::synced, each.token, {});
    }
}

void followed_log::heard(std::string_view text)
{
    if (state_ == state::current) {
        if (const auto message = broker::read_backplane_message(text);
            message) {
            handle(*message);
        }
        return;
    }

    if (waiting_bytes_ + text.size() > most_waiting) {
        // The next sync brings what is numbered, and counts
        waiting_.clear();
        waiting_bytes_ = 0;
        dropped_ = true;
    }

    waiting_.emplace_back(text);
    waiting_bytes_ += text.size();
}

void followed_log::handle(const broker::backplane_message &message)
{
    switch (message.what) {
    case broker::backplane_message::type::stored:
        if (is_message(message.kind)) {
            append_external(message);
        }
        return;

    case broker::backplane_message::type::passing:
        if (may_pass(message)) {
            relay_passing(message.kind, message.from, message.payload);
        }
        return;

    case broker::backplane_message::type::clients:
        count(message.host, message.clients, message.lost);
        return;
    }
}

void followed_log::append_external(const broker::backplane_message &message)
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
        sync(); // the stream has this one too
    }
}

void followed_log::relay_passing(std::uint8_t kind, std::uint64_t from,
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

void followed_log::count(std::string_view host, std::uint32_t clients,
                         bool lost)
{
    if (host == worker_bus::zone().host.uid()) {
        // Another worker may have told an older number, or another host taken
        // us for dead
        told_ = lost ? unknown : clients;
        shared_.changed(shared_, name_);
        return;
    }

    const auto known = others_.find(host);

    if (clients == 0) {
        if (known != others_.end()) {
            others_.erase(known);
        }
    } else {
        others_.insert_or_assign(std::string(host), clients);
    }

    set_remote();

    if (lost) {
        relay_passing(kind_clients_lost, 0, {});
    }
}

void followed_log::set_remote() noexcept
{
    const std::uint32_t all = std::accumulate(
        others_.begin(), others_.end(), std::uint32_t{0},
        [](std::uint32_t sum, const auto &host) { return sum + host.second; });

    (void)local().set_remote_clients(name_, all);
}

void followed_log::tell_clients(bool lost)
{
    const broker::description known =
        local().describe(name_, worker_bus::now());

    lost_ = lost_ || lost;

    if (state_ != state::current || (known.local_clients == told_ && !lost_)) {
        return;
    }

    if (tell(std::to_string(known.local_clients), lost_)) {
        told_ = known.local_clients;
        lost_ = false;
    }
}

bool followed_log::tell(std::string_view clients, bool lost)
{
    const std::string uid(worker_bus::zone().host.uid());
    const std::array<std::string, 3> keys{"c:" + name_, "r:" + uid, "hosts"};
    const std::string channel = shared_.redis.settings().prefix + "n:" + name_;
    const std::array<std::string_view, 6> arguments{
        channel, uid, clients, name_, lost ? "1" : "0", ""};

    return shared_.tell(shared_, {broker::redis_script::tell, keys, arguments},
                        name_);
}

void followed_log::leave()
{
    if (told_ != 0) {
        (void)tell("0", lost_); // else it is found later
    }
}

void followed_log::stay()
{
    if (state_ == state::current) {
        sync();
    }
}

void followed_log::keep_alive()
{
    const broker::description known =
        local().describe(name_, worker_bus::now());
    const std::string age =
        std::to_string(stream_limits_of(known.history).milliseconds);

    for (const char *key : {"m:", "s:", "c:"}) {
        const std::string whole = shared_.redis.settings().prefix + key + name_;
        const std::array<std::string_view, 3> words{
            "PEXPIRE", whole,
            *key == 'c' ? std::string_view("86400000") : std::string_view(age)};

        (void)shared_.redis.command(words, nullptr, nullptr);
    }
}

} // namespace websocket::nginx
