// The queue of what is to be published.
#include "nginx/redis_publisher.hpp"

#include "broker/backplane_message.hpp"
#include "nginx/backplane_figures.hpp"
#include "nginx/exchange.hpp"
#include "nginx/said_lately.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// What may be on its way at a time, at least: a pipe that is kept full.
constexpr std::size_t usual_window = 4 * 1024 * 1024;

// The script remembers twice as many of a worker.
constexpr std::size_t most_sent = 4096;

// What one look at a client may bring.
constexpr std::size_t one_read = 512 * 1024;

// So many of the last messages are kept for hosts that lose touch for a
// moment, whatever history a resource has; and what nobody uses for so long.
constexpr std::uint64_t kept_for_hosts = 128;
constexpr std::uint64_t kept_unused = broker::unused_log_age;
constexpr std::uint64_t kept_history = 86'400'000; // a day

std::string_view as_text(std::span<const std::byte> bytes) noexcept
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

void say_refused(std::string_view words) noexcept
{
    static said_lately line;

    if (line_permit permit = line.allows(); permit) {
        const ngx_str_t why = borrowed(words);
        const ngx_str_t more = permit.left_out();

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "websocket: Redis does not publish: %V%V", &why, &more);
    }
}

// It is not the script's word: the server, as it is now, runs none.
bool says_not_now(std::string_view wrong) noexcept
{
    constexpr std::array<std::string_view, 3> words{"READONLY", "LOADING",
                                                    "MASTERDOWN"};

    return std::any_of(words.begin(), words.end(), [wrong](auto word) {
        return wrong.find(word) != wrong.npos;
    });
}

std::uint64_t number_in(const redisReply *reply) noexcept
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer > 0
               ? static_cast<std::uint64_t>(reply->integer)
               : 0;
}

// As the scripts answer: the clients; an id and the clients; or an id, which
// may be empty, the messages, and the clients.
publish_outcome outcome_of(const redisReply *reply) noexcept
{
    const auto parts = list_in(reply);
    publish_outcome made;

    if (reply->type == REDIS_REPLY_INTEGER) {
        made.done = true;
        made.clients = static_cast<std::uint32_t>(number_in(reply));
    }

    if (parts.size() == 2 || parts.size() == 3) {
        const auto id = broker::read_message_id(text_in(parts[0]));

        made.done = id || (parts.size() == 3 && text_in(parts[0]).empty());
        made.id = id.value_or(broker::message_id{});
        made.messages = parts.size() == 3 ? number_in(parts[1]) : 0;
        made.clients = static_cast<std::uint32_t>(number_in(parts.back()));
    }

    return made;
}

} // namespace

broker::limits stream_limits_of(const broker::limits &history) noexcept
{
    const std::uint64_t age = history.messages == 0 ? 0
                              : history.milliseconds == 0
                                  ? kept_history
                                  : history.milliseconds;

    return {std::max(history.messages, kept_for_hosts), age + kept_unused};
}

redis_publisher::redis_publisher(redis_commands &commands)
    : redis_{commands}, worker_{std::string(exchange::zone().host.uid()) + "." +
                                std::to_string(ngx_pid) + "." +
                                std::to_string(exchange::now())}
{
    redis_.tell(*this);
    timer_.data = this;
    timer_.handler = time_is_up;
    timer_.log = ngx_cycle->log;
}

redis_publisher::~redis_publisher()
{
    closing_ = true;

    for (std::deque<entry> *const all : {&sent_, &waiting_}) {
        for (entry &each : *all) {
            tell(each, {});
        }
    }

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

// One message is taken, however large it is; and as long as it is worth while,
// what a client has sent before it could be held back.
bool redis_publisher::has_room(std::size_t size) const noexcept
{
    const std::size_t more = redis_.ready() ? one_read : 0;

    return !closing_ &&
           (waiting_.empty() ||
            waiting_bytes_ + size <= redis_.settings().queue + more);
}

bool redis_publisher::publish(const publish_order &order) noexcept
try {
    const redis_settings &settings = redis_.settings();
    const broker::publication &what = order.what;

    if (!has_room(sizeof(entry) + order.name.size() + what.payload.size())) {
        return false;
    }

    waiting_.push_back({.name = std::string(order.name),
                        .payload = std::string(as_text(what.payload)),
                        .number = ++last_number_,
                        .history = order.history,
                        .from = what.from,
                        .until = ngx_current_msec + settings.connect_timeout +
                                 settings.command_timeout,
                        .kind = what.kind,
                        .wanted = order.kind,
                        .counts_clients = order.counts_clients,
                        .told = order.told,
                        .data = order.data});
    waiting_bytes_ += waiting_.back().size();
    send_waiting();
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

void redis_publisher::send_waiting() noexcept
try {
    const std::size_t window = std::max(usual_window, redis_.settings().queue);

    while (!waiting_.empty() && sent_bytes_ < window &&
           sent_.size() < most_sent) {
        const std::size_t size = waiting_.front().size();

        sent_.push_back(std::move(waiting_.front()));

        if (!send(sent_.back())) {
            waiting_.front() = std::move(sent_.back());
            sent_.pop_back();
            break;
        }

        waiting_.pop_front();
        waiting_bytes_ -= size;
        sent_bytes_ += size;
    }

    look_after();
} catch (const std::bad_alloc &) {
    look_after(); // it is tried again with the next one
}

bool redis_publisher::send(const entry &next) noexcept
try {
    if (!redis_.ready()) {
        return false;
    }

    switch (next.wanted) {
    case publish_kind::stored:
        return send_stored(next);
    case publish_kind::passing:
        return send_passing(next);
    case publish_kind::question:
        break;
    }

    return send_question(next);
} catch (const std::bad_alloc &) {
    return false;
}

bool redis_publisher::send_stored(const entry &next)
{
    const broker::description known =
        exchange::shared().describe(next.name, exchange::now());
    const broker::message_id last =
        known.aligned ? known.last : broker::message_id{};
    const broker::limits limits =
        stream_limits_of(known.exists ? known.history : next.history);
    const std::array<std::string, 4> keys{"m:" + next.name, "s:" + next.name,
                                          "c:" + next.name, "w:" + worker_};
    const std::string channel = redis_.settings().prefix + "n:" + next.name;
    const std::string kind = std::to_string(next.kind);
    const std::string from = std::to_string(next.from);
    const std::string number = std::to_string(next.number);
    const std::string kept = std::to_string(limits.messages);
    const std::string expiry = std::to_string(limits.milliseconds);
    const std::string epoch = std::to_string(last.epoch);
    const std::string sequence = std::to_string(last.sequence);
    const std::array<std::string_view, 11> arguments{
        channel,
        kind,
        from,
        next.payload,
        kept,
        expiry,
        next.counts_clients ? "1" : "0",
        number,
        exchange::zone().host.uid(),
        epoch,
        sequence};

    return redis_.run({broker::redis_script::publish, keys, arguments},
                      answered, this);
}

// With the number of clients that the host has now, so that those who are told
// of one that came or left find it counted.
bool redis_publisher::send_passing(const entry &next)
{
    const shared_zone &zone = exchange::zone();
    const broker::description known =
        exchange::shared().describe(next.name, exchange::now());
    const std::array<std::string, 3> keys{
        "c:" + next.name, "r:" + std::string(zone.host.uid()), "hosts"};
    const std::string channel = redis_.settings().prefix + "n:" + next.name;
    const std::string uid = std::string(zone.host.uid());
    const std::string clients =
        known.exists ? std::to_string(known.local_clients) : "";
    const std::string text =
        broker::passing_message(next.kind, next.from, next.payload);
    const std::array<std::string_view, 6> arguments{channel,   uid, clients,
                                                    next.name, "0", text};

    return redis_.run({broker::redis_script::tell, keys, arguments}, answered,
                      this);
}

bool redis_publisher::send_question(const entry &next)
{
    const std::array<std::string, 3> keys{"m:" + next.name, "s:" + next.name,
                                          "c:" + next.name};
    const std::string age = std::to_string(next.history.milliseconds);
    const std::string most = std::to_string(next.history.messages);
    const std::array<std::string_view, 3> arguments{
        age, most, exchange::zone().host.uid()};

    return redis_.run({broker::redis_script::describe, keys, arguments},
                      answered, this);
}

void redis_publisher::answered(void *data, const redisReply *reply) noexcept
{
    if (reply != nullptr) { // else commands_lost() follows
        static_cast<redis_publisher *>(data)->answer_first(reply);
    }
}

// Those of the message at hand: what Redis has of them may be a moment old.
std::uint32_t redis_publisher::clients_here() const noexcept
{
    return exchange::shared()
        .describe(sent_.front().name, exchange::now())
        .local_clients;
}

void redis_publisher::answer_first(const redisReply *reply) noexcept
{
    const std::string_view wrong = error_in(reply);

    // Nothing was done, so that all that waits for an answer waits on
    if (wrong.starts_with("NOSCRIPT")) {
        redis_.renew("the scripts are gone");
        return;
    }

    if (says_not_now(wrong)) {
        redis_.restart(wrong);
        return;
    }

    publish_outcome outcome;

    if (wrong.empty()) {
        outcome = outcome_of(reply);
        outcome.clients += sent_.front().counts_clients ? clients_here() : 0;
    } else {
        say_refused(wrong);
    }

    entry first = std::move(sent_.front());

    sent_.pop_front();
    sent_bytes_ -= first.size();

    if (outcome.done && first.wanted == publish_kind::stored) {
        backplane_counts().published.add(1);
        backplane_counts().retried.add(first.again ? 1 : 0);
    }

    tell(first, outcome);
    send_waiting();
}

void redis_publisher::tell(entry &of, const publish_outcome &outcome) noexcept
{
    if (of.answered) {
        return;
    }

    of.answered = true;

    if (!outcome.done && of.wanted != publish_kind::question) {
        backplane_counts().failed.add(1);
    }

    of.told(of.data, outcome);
}

// Whether Redis has what was sent is not known. What only passes is not sent
// again: it would be old, or be there twice.
void redis_publisher::commands_lost() noexcept
{
    while (!sent_.empty()) {
        entry last = std::move(sent_.back());

        sent_.pop_back();

        if (last.wanted == publish_kind::passing) {
            tell(last, {});
        } else if (!last.answered) {
            last.again = true;
            wait_again(std::move(last));
        }
    }

    sent_bytes_ = 0;
    look_after();
}

void redis_publisher::wait_again(entry &&sent) noexcept
try {
    waiting_.push_front(std::move(sent));
    waiting_bytes_ += waiting_.front().size();
} catch (const std::bad_alloc &) {
    tell(sent, {});
}

// All wait equally long, so that the first ones are the late ones. What was
// sent stays until its answer comes, or none will.
void redis_publisher::forget_late() noexcept
{
    const auto late = [now = ngx_current_msec](const entry &each) {
        return static_cast<ngx_msec_int_t>(now - each.until) >= 0;
    };

    // Who is told may publish
    for (std::size_t i = 0; i < sent_.size() && late(sent_[i]); i++) {
        tell(sent_[i], {});
    }

    while (!waiting_.empty() && late(waiting_.front())) {
        entry first = std::move(waiting_.front());

        waiting_.pop_front();
        waiting_bytes_ -= first.size();
        tell(first, {});
    }
}

void redis_publisher::time_is_up(ngx_event_t *event)
{
    auto &own = *static_cast<redis_publisher *>(event->data);

    own.forget_late();
    own.look_after();
}

// Sees to it that who waits is told in time, and counts them.
void redis_publisher::look_after() noexcept
{
    const entry *first = waiting_.empty() ? nullptr : &waiting_.front();
    const auto told = [](const entry &each) { return each.answered; };
    const auto sent = std::find_if_not(sent_.begin(), sent_.end(), told);

    if (sent != sent_.end()) {
        first = &*sent;
    }

    // A leaving worker waits for those who wait
    timer_.cancelable = first == nullptr;

    if (first != nullptr && !timer_.timer_set) {
        const auto left =
            static_cast<ngx_msec_int_t>(first->until - ngx_current_msec);

        ngx_add_timer(&timer_, static_cast<ngx_msec_t>(
                                   std::max<ngx_msec_int_t>(left, 1)));
    }

    look_at_congestion();
    figures::own->queued.set(
        static_cast<std::uint32_t>(sent_.size() + waiting_.size()));
    figures::own->queued_bytes.set(sent_bytes_ + waiting_bytes_);
}

// Where Redis is away publishers are told so instead.
void redis_publisher::look_at_congestion() noexcept
{
    const std::size_t queue = redis_.settings().queue;
    const bool now =
        redis_.ready() && waiting_bytes_ > (congested_ ? queue / 4 : queue / 2);

    if (now != std::exchange(congested_, now) && on_congestion != nullptr) {
        on_congestion(now);
    }
}

} // namespace websocket::nginx
