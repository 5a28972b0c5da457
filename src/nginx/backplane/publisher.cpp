// The queue of messages for Redis.
#include "nginx/backplane/publisher.hpp"

#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/log_entry.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// The fewest bytes that may be sent without a reply, to keep the connection
// busy.
constexpr std::size_t min_window = 4 * 1024 * 1024;

// The most stored messages of one shard without a reply: the script remembers
// as many. The same for all other requests.
constexpr std::size_t max_unanswered = 256;

// For so long after their deadline, events may be queued: about as long as
// other hosts count the clients of a host that is cut off. A worker that shuts
// down does not wait for that.
constexpr ngx_msec_t max_delay = 8'000;

// Deadlines of such events are looked at so often once they have passed.
constexpr ngx_msec_t late_interval = 100;

// The most that one turn of a client adds.
constexpr std::size_t max_read = 512 * 1024;

} // namespace

redis_publisher::redis_publisher(script_runner &commands)
    : redis_{commands}, worker_id_{std::string(worker_bus::zone().host.uid()) +
                                   "." + std::to_string(ngx_pid) + "." +
                                   std::to_string(worker_bus::host_time())}
{
    redis_.add_listener(*this);
    timer_.data = this;
    timer_.handler = on_timeout;
    timer_.log = ngx_cycle->log;
}

redis_publisher::~redis_publisher()
{
    closing_ = true;

    for (std::deque<entry> *const all : {&sent_, &queued_}) {
        for (entry &each : *all) {
            complete(each, {});
        }
    }

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

// An empty queue accepts one message of any size. While Redis is reachable, it
// also accepts what a client has sent before it could be stopped.
bool redis_publisher::has_capacity(std::size_t size) const noexcept
{
    const std::size_t more = redis_.ready() ? max_read : 0;

    return !closing_ && (queued_.empty() || queued_bytes_ + size <=
                                                redis_.settings().queue + more);
}

// The number of a stored message in its shard.
std::uint64_t
redis_publisher::number_of(const publish_request &request) noexcept
{
    return request.kind == publish_kind::stored
               ? ++shards_[redis::shard_of(request.name)].last_number
               : 0;
}

bool redis_publisher::publish(const publish_request &request) noexcept
try {
    const redis_settings &settings = redis_.settings();
    const broker::publication &what = request.what;

    if (!has_capacity(sizeof(entry) + request.name.size() +
                      what.payload.size() + request.callback_bytes)) {
        return false;
    }

    queued_.push_back({.name = std::string(request.name),
                       .payload = std::string(as_text(what.payload)),
                       .number = number_of(request),
                       .history = request.history,
                       .from = what.from,
                       .deadline = ngx_current_msec + settings.command_timeout,
                       .kind = what.kind,
                       .request_kind = request.kind,
                       .counts_clients = request.counts_clients,
                       .callback_bytes = request.callback_bytes,
                       .may_be_late = request.may_be_late,
                       .on_result = request.on_result,
                       .data = request.data});
    queued_bytes_ += queued_.back().size();
    send_queued();
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

// The count of sent requests that share a limit with this one.
std::size_t &redis_publisher::unanswered_like(const entry &one) noexcept
{
    return one.request_kind == publish_kind::stored
               ? shards_[redis::shard_of(one.name)].unanswered
               : unanswered_others_;
}

void redis_publisher::send_queued() noexcept
try {
    const std::size_t window = std::max(min_window, redis_.settings().queue);

    while (!queued_.empty() && sent_bytes_ < window &&
           unanswered_like(queued_.front()) < max_unanswered) {
        const std::size_t size = queued_.front().size();

        if (queued_.front().completed) { // in expire(), which calls this
            queued_.pop_front();
            queued_bytes_ -= size;
            continue;
        }

        sent_.push_back(std::move(queued_.front()));

        if (!send(sent_.back())) {
            queued_.front() = std::move(sent_.back());
            sent_.pop_back();
            break;
        }

        queued_.pop_front();
        queued_bytes_ -= size;
        sent_bytes_ += size;
        unanswered_like(sent_.back())++;
    }

    rearm_timer();
} catch (const std::bad_alloc &) {
    rearm_timer(); // retried with the next one
}

void redis_publisher::on_reply(void *data, const redisReply *reply) noexcept
{
    if (reply != nullptr) { // otherwise on_commands_lost() follows
        static_cast<redis_publisher *>(data)->complete_first(reply);
    }
}

// The clients of the first message's resource on this host: Redis may have an
// older number.
std::uint32_t redis_publisher::clients_here() const noexcept
{
    return worker_bus::broker()
        .describe(sent_.front().name, worker_bus::now())
        .local_clients;
}

void redis_publisher::complete_first(const redisReply *reply) noexcept
{
    const std::string_view error = error_in(reply);

    // Nothing was executed: all pending messages stay
    if (redis_.reconnect_if_unusable(error)) {
        return;
    }

    publish_outcome outcome;

    if (error.empty()) {
        outcome = result_of(reply);
        outcome.clients += sent_.front().counts_clients ? clients_here() : 0;
    } else {
        static log_throttle line;

        log_refused(line, "publish a message", error,
                    "its publisher gets an error");
    }

    entry first = std::move(sent_.front());

    sent_.pop_front();
    sent_bytes_ -= first.size();
    unanswered_like(first)--;

    if (outcome.done && first.request_kind == publish_kind::stored) {
        host_redis_counters().published.add(1);
        host_redis_counters().retried.add(first.resent ? 1 : 0);
    }

    complete(first, outcome);
    send_queued();
}

void redis_publisher::complete(entry &of,
                               const publish_outcome &outcome) noexcept
{
    if (of.completed) {
        return;
    }

    of.completed = true;

    if (!outcome.done && of.request_kind != publish_kind::query) {
        host_redis_counters().failed.add(1);
    }

    of.on_result(of.data, outcome);
}

// It is unknown whether Redis has the messages without a reply. Transient ones
// are not sent again, because they would be old, or arrive twice.
void redis_publisher::on_commands_lost() noexcept
{
    while (!sent_.empty()) {
        entry last = std::move(sent_.back());

        sent_.pop_back();

        if (last.request_kind == publish_kind::transient) {
            complete(last, {});
        } else if (!last.completed) {
            last.resent = true;
            requeue(std::move(last));
        }
    }

    sent_bytes_ = 0;

    for (shard_state &each : shards_) {
        each.unanswered = 0;
    }

    unanswered_others_ = 0;
    rearm_timer();
}

void redis_publisher::requeue(entry &&sent) noexcept
try {
    queued_.push_front(std::move(sent));
    queued_bytes_ += queued_.front().size();
} catch (const std::bad_alloc &) {
    complete(sent, {});
}

bool redis_publisher::expired(const entry &one) noexcept
{
    const ngx_msec_t delay = one.may_be_late && !ngx_exiting ? max_delay : 0;

    return static_cast<ngx_msec_int_t>(ngx_current_msec - one.deadline -
                                       delay) >= 0;
}

// A sent message stays until its reply comes, or the connection ends.
void redis_publisher::expire() noexcept
{
    // The callback may publish and reallocate both: use an index
    for (std::deque<entry> *const all : {&sent_, &queued_}) {
        for (std::size_t i = 0; i < all->size(); i++) {
            if (expired((*all)[i])) {
                complete((*all)[i], {});
            }
        }
    }

    const auto is_completed = [](const entry &each) { return each.completed; };

    for (const entry &each : queued_) { // those before them may be late
        queued_bytes_ -= each.completed ? each.size() : 0;
    }

    std::erase_if(queued_, is_completed);
}

void redis_publisher::on_timeout(ngx_event_t *event)
{
    auto &self = *static_cast<redis_publisher *>(event->data);

    self.expire();
    self.rearm_timer();
}

// Sets the timer for the first deadline, and updates the counters.
void redis_publisher::rearm_timer() noexcept
{
    const entry *first = queued_.empty() ? nullptr : &queued_.front();
    const auto is_completed = [](const entry &each) { return each.completed; };
    const auto sent =
        std::find_if_not(sent_.begin(), sent_.end(), is_completed);

    if (sent != sent_.end()) {
        first = &*sent;
    }

    // Pending requests delay graceful shutdown
    timer_.cancelable = first == nullptr;

    if (first != nullptr && !timer_.timer_set) {
        const auto left =
            static_cast<ngx_msec_int_t>(first->deadline - ngx_current_msec);

        ngx_add_timer(&timer_,
                      left > 0 ? static_cast<ngx_msec_t>(left) : late_interval);
    }

    update_congestion();
    counters::current->queued.set(
        static_cast<std::uint32_t>(sent_.size() + queued_.size()));
    counters::current->queued_bytes.set(sent_bytes_ + queued_bytes_);
}

// While Redis is unreachable, publishers get errors instead.
void redis_publisher::update_congestion() noexcept
{
    const std::size_t queue = redis_.settings().queue;
    const bool now =
        redis_.ready() && queued_bytes_ > (congested_ ? queue / 4 : queue / 2);

    if (now != std::exchange(congested_, now) && on_congestion != nullptr) {
        on_congestion(now);
    }
}

} // namespace websocket::nginx
