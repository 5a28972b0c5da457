// The queue of what is to be published.
#include "nginx/backplane/publisher.hpp"

#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/message.hpp"

#include <algorithm>
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

} // namespace

redis_publisher::redis_publisher(redis_commands &commands)
    : redis_{commands}, worker_{std::string(worker_bus::zone().host.uid()) +
                                "." + std::to_string(ngx_pid) + "." +
                                std::to_string(worker_bus::now())}
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

void redis_publisher::answered(void *data, const redisReply *reply) noexcept
{
    if (reply != nullptr) { // else commands_lost() follows
        static_cast<redis_publisher *>(data)->answer_first(reply);
    }
}

// Those of the message at hand: what Redis has of them may be a moment old.
std::uint32_t redis_publisher::clients_here() const noexcept
{
    return worker_bus::broker()
        .describe(sent_.front().name, worker_bus::now())
        .local_clients;
}

void redis_publisher::answer_first(const redisReply *reply) noexcept
{
    const std::string_view wrong = error_in(reply);

    // Nothing was done, so that all that waits for an answer waits on
    if (redis_.runs_nothing(wrong)) {
        return;
    }

    publish_outcome outcome;

    if (wrong.empty()) {
        outcome = outcome_of(reply);
        outcome.clients += sent_.front().counts_clients ? clients_here() : 0;
    } else {
        static log_throttle line;

        say_refused(line, "publish", wrong);
    }

    entry first = std::move(sent_.front());

    sent_.pop_front();
    sent_bytes_ -= first.size();

    if (outcome.done && first.wanted == publish_kind::stored) {
        host_redis_counters().published.add(1);
        host_redis_counters().retried.add(first.again ? 1 : 0);
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
        host_redis_counters().failed.add(1);
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
    counters::current->queued.set(
        static_cast<std::uint32_t>(sent_.size() + waiting_.size()));
    counters::current->queued_bytes.set(sent_bytes_ + waiting_bytes_);
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
