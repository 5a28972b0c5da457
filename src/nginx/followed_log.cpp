// How a log keeps up with Redis.
#include "nginx/followed_log.hpp"

#include "nginx/backplane_figures.hpp"
#include "nginx/control_log.hpp"
#include "nginx/exchange.hpp"
#include "nginx/redis_publisher.hpp"
#include "nginx/said_lately.hpp"
#include "sdk/websocket_plugin.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <utility>

namespace websocket::nginx {

namespace {

// What may wait for a sync; with more, the stream is read once more instead.
constexpr std::size_t most_waiting = 4 * 1024 * 1024;

constexpr std::string_view page_size = "1048576";

broker::broker &local() noexcept
{
    return exchange::shared();
}

// Those who lost something are told by the log itself.
void say_gap(const std::string &name) noexcept
{
    static said_lately line;

    backplane_counts().gaps.add(1);

    if (line_permit permit = line.allows(); permit) {
        const ngx_str_t words = borrowed(name);
        const ngx_str_t more = permit.left_out();

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "websocket: Redis does not have all messages of \"%V\" "
                      "that this host has missed%V",
                      &words, &more);
    }
}

void say_failed(std::string_view wrong) noexcept
{
    static said_lately line;

    if (line_permit permit = line.allows(); permit) {
        const ngx_str_t words = borrowed(wrong);
        const ngx_str_t more = permit.left_out();

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "websocket: Redis does not tell what was missed: %V%V",
                      &words, &more);
    }
}

// What is stored, and the rest of what other hosts say that is for the log.
bool is_message(std::uint64_t kind) noexcept
{
    return kind == WEBSOCKET_TEXT || kind == WEBSOCKET_BINARY;
}

bool may_pass(const broker::backplane_message &message) noexcept
{
    constexpr std::size_t code = 2; // of a Close, which an order begins with

    return is_message(message.kind) ||
           (message.kind == close_order && message.payload.size() >= code);
}

// A stream's entry: its id, and names and values in the script's order.
std::optional<broker::backplane_message>
entry_in(const redisReply &entry) noexcept
{
    const auto parts = list_in(&entry);

    if (parts.size() != 2) {
        return std::nullopt;
    }

    const auto fields = list_in(parts[1]);
    const auto id = broker::read_message_id(text_in(parts[0]));

    if (!id || fields.size() != 8) {
        return std::nullopt;
    }

    const auto kind = broker::whole_number(text_in(fields[1]));
    const auto from = broker::whole_number(text_in(fields[3]));
    const auto time = broker::whole_number(text_in(fields[5]));

    if (!kind || !is_message(*kind) || !from || !time) {
        return std::nullopt;
    }

    broker::backplane_message made;

    made.id = *id;
    made.kind = static_cast<std::uint8_t>(*kind);
    made.from = *from;
    made.time = *time;
    made.payload = text_in(fields[7]);
    return made;
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
    const ngx_msec_t patience = shared_.redis.settings().connect_timeout;

    std::erase_if(tokens_, [patience](const wish &each) {
        return ngx_current_msec - each.since > patience;
    });
    tokens_.push_back({token, ngx_current_msec});

    if (state_ == state::current) {
        sync();
    }
}

void followed_log::try_again()
{
    if (state_ == state::failed) {
        sync();
    }
}

void followed_log::sync()
{
    const broker::description known = local().describe(name_, exchange::now());

    if (!known.exists) {
        state_ = state::failed; // it is gone, and about to be left
        return;
    }

    // Those of an unfinished one are not served yet
    serving_.insert(serving_.end(), tokens_.begin(), tokens_.end());
    tokens_.clear();
    last_ = known.aligned ? known.last : broker::message_id{};

    // A log that is new here needs what its history shows; one that has
    // clients who have lost touch, all that there is
    const broker::limits kept = stream_limits_of(known.history);
    const std::uint64_t wanted =
        known.aligned ? kept.messages : known.history.messages;
    const std::string uid(exchange::zone().host.uid());
    const std::array<std::string, 5> keys{"m:" + name_, "s:" + name_,
                                          "c:" + name_, "r:" + uid, "hosts"};
    const std::string channel = shared_.redis.settings().prefix + "n:" + name_;
    const std::string clients = std::to_string(known.local_clients);
    const std::string epoch = std::to_string(last_.epoch);
    const std::string sequence = std::to_string(last_.sequence);
    const std::string most = std::to_string(wanted);
    const std::string expiry = std::to_string(kept.milliseconds);
    const std::array<std::string_view, 9> arguments{
        channel, uid, clients, name_, epoch, sequence, most, expiry, page_size};

    asked_ = ++shared_.asked;
    state_ = shared_.ask(shared_, {broker::redis_script::sync, keys, arguments},
                         name_, asked_)
                 ? state::syncing
                 : state::failed;

    told_ = known.local_clients;
}

void followed_log::sync_answered(const redisReply &reply, std::uint64_t number)
{
    if (state_ != state::syncing || number != asked_) {
        return; // it was asked for before touch was lost
    }

    if (const std::string_view wrong = error_in(&reply); !wrong.empty()) {
        say_failed(wrong);
        state_ = state::failed;
        return;
    }

    take_page(reply);
}

void followed_log::take_page(const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const auto number = [&parts](std::size_t at) {
        return parts.size() == 5 ? broker::whole_number(text_in(parts[at]))
                                 : std::nullopt;
    };
    const auto epoch = number(0);
    const auto end = number(1);
    const auto before = number(2);

    if (!epoch || !end || !before) {
        say_failed("its answer is another than it should be");
        state_ = state::failed;
        return;
    }

    stand_at({*epoch, *before}, local().describe(name_, exchange::now()));

    const broker::message_id begin = last_;

    for (const redisReply *entry : list_in(parts[3])) {
        if (!take_entry(*entry)) {
            break;
        }
    }

    const auto counts = list_in(parts[4]);

    others_.clear();

    for (std::size_t i = 0; i + 1 < counts.size(); i += 2) {
        if (text_in(counts[i]) != exchange::zone().host.uid()) {
            others_.emplace(
                text_in(counts[i]),
                broker::whole_number(text_in(counts[i + 1])).value_or(0));
        }
    }

    set_remote();

    if (last_.sequence < *end && last_ == begin) {
        miss({*epoch, *end}); // nothing of it is there, or can be read
    }

    last_.sequence < *end ? sync() : settle();
}

// Where the page begins. What the log has is of another epoch, or ends before
// it, if messages are not there any more.
void followed_log::stand_at(broker::message_id before,
                            const broker::description &known)
{
    if (known.aligned && known.last.epoch == before.epoch &&
        known.last.sequence >= before.sequence) {
        last_ = known.last;
        return;
    }

    if (known.aligned) {
        miss(before);
        return;
    }

    exchange::wake(local().align(name_, before, false, exchange::now()).wake);
    last_ = before;
}

// All up to `before` is lost to those who have not got it.
void followed_log::miss(broker::message_id before)
{
    exchange::wake(local().align(name_, before, true, exchange::now()).wake);
    last_ = before;
    say_gap(name_);
}

bool followed_log::take_entry(const redisReply &entry)
{
    const auto message = entry_in(entry);

    if (!message || message->id.epoch != last_.epoch) {
        return false;
    }

    if (message->id.sequence > last_.sequence + 1) {
        miss({last_.epoch, message->id.sequence - 1});
    }

    const broker::appended done =
        local().relay(name_,
                      {.payload = std::as_bytes(std::span(message->payload)),
                       .from = message->from,
                       .time = message->time,
                       .kind = message->kind},
                      message->id, exchange::now());

    exchange::wake(done.wake);
    backplane_counts().recovered.add(done.result == broker::outcome::done);
    last_ = message->id;
    return true;
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

    (void)local().mark_linked(name_, shared_.link);
    tell_clients(false);

    serve();

    if (!tokens_.empty() || std::exchange(dropped_, false)) {
        sync();
    }
}

void followed_log::serve()
{
    for (const wish &each : std::exchange(serving_, {})) {
        say(worker_log(static_cast<unsigned>(each.token % broker::most_slots)),
            control::synced, each.token, {});
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
            relay(message);
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

void followed_log::relay(const broker::backplane_message &message)
{
    const broker::appended done =
        local().relay(name_,
                      {.payload = std::as_bytes(std::span(message.payload)),
                       .from = message.from,
                       .time = message.time,
                       .kind = message.kind},
                      message.id, exchange::now());

    exchange::wake(done.wake);

    if (done.result == broker::outcome::done) {
        backplane_counts().received.add(1);
    } else if (done.result == broker::outcome::out_of_order) {
        sync(); // the stream has this one too
    }
}

void followed_log::relay_passing(std::uint8_t kind, std::uint64_t from,
                                 std::string_view payload) noexcept
{
    const broker::appended done =
        local().relay(name_,
                      {.payload = std::as_bytes(std::span(payload)),
                       .from = from,
                       .time = exchange::now(),
                       .kind = kind,
                       .transient = true},
                      {}, exchange::now());

    exchange::wake(done.wake);
}

void followed_log::count(std::string_view host, std::uint32_t clients,
                         bool lost)
{
    if (host == exchange::zone().host.uid()) {
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
        relay_passing(lost_clients, 0, {});
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
    const broker::description known = local().describe(name_, exchange::now());

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
    const std::string uid(exchange::zone().host.uid());
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
    const broker::description known = local().describe(name_, exchange::now());
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
