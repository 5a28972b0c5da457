// The queue of messages for Redis.
#include "nginx/backplane/publisher.hpp"

#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/log_entry.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// The fewest bytes that may be sent without a reply, to keep the connection
// busy.
constexpr std::size_t min_window = 4 * 1024 * 1024;

// The most requests of one shard without a reply: the script remembers as many
// messages.
constexpr std::size_t max_unanswered = 256;

// For so long after their deadline, events may be queued: about as long as
// other hosts count the clients of a host that is cut off. A worker that shuts
// down does not wait for that.
constexpr ngx_msec_t max_delay = 8'000;

// Deadlines of such events are looked at so often once they have passed.
constexpr ngx_msec_int_t late_interval = 100;

// The most that one turn of a client adds.
constexpr std::size_t max_read = 512 * 1024;

// The clients of the request's resource on this host: Redis may have an older
// number.
std::uint32_t clients_of(const std::string &name) noexcept
{
    return worker_bus::broker().describe(name, worker_bus::now()).local_clients;
}

} // namespace

redis_publisher::redis_publisher(shard_router &redis)
    : redis_{redis}, worker_id_{std::string(worker_bus::zone().host.uid()) +
                                "." + std::to_string(ngx_pid) + "." +
                                std::to_string(worker_bus::host_time())}
{
    for (unsigned shard = 0; shard != lanes_.size(); shard++) {
        lanes_[shard].publisher = this;
        lanes_[shard].shard = shard;
    }

    redis_.add_listener(*this);
    update_connected();
    timer_.data = this;
    timer_.handler = on_timeout;
    timer_.log = ngx_cycle->log;
}

redis_publisher::~redis_publisher()
{
    closing_ = true;

    for (lane &each : lanes_) {
        for (std::deque<entry> *const all : {&each.sent, &each.queued}) {
            for (entry &one : *all) {
                complete(one, {});
            }
        }
    }

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

// An empty queue accepts one message of any size, so that a shard without a
// Redis does not keep out the others. While Redis is reachable, it also accepts
// what a client has sent before it could be stopped.
bool redis_publisher::has_capacity(const lane &to,
                                   std::size_t size) const noexcept
{
    const std::size_t more = redis_.ready(to.shard) ? max_read : 0;

    return !closing_ &&
           (to.queued.empty() ||
            queued_bytes_ + size <= redis_.settings().queue + more);
}

bool redis_publisher::publish(const publish_request &request) noexcept
try {
    const redis_settings &settings = redis_.settings();
    const broker::publication &what = request.what;
    lane &to = lanes_[request.kind == publish_kind::direct
                          ? redis::inbox_shard
                          : redis::shard_of(request.name)];

    if (!has_capacity(to, sizeof(entry) + request.name.size() +
                              what.payload.size() + request.callback_bytes)) {
        return false;
    }

    const bool stored = request.kind == publish_kind::stored;

    to.queued.push_back(
        {.name = std::string(request.name),
         .payload = std::string(as_text(what.payload)),
         .number = stored ? to.last_number + 1 : 0,
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

    const std::size_t size = to.queued.back().size();

    to.last_number += stored ? 1 : 0;
    to.queued_bytes += size;
    queued_bytes_ += size;
    requests_++;
    uncompleted_++;
    send_queued(to);
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

void redis_publisher::send_queued(lane &from) noexcept
try {
    const std::size_t window = std::max(min_window, redis_.settings().queue);
    const std::size_t limit = from.probing ? 1 : max_unanswered;

    while (!from.queued.empty() && sent_bytes_ < window &&
           from.sent.size() < limit) {
        const std::size_t size = from.queued.front().size();

        if (from.queued.front().completed) { // in expire(), which calls this
            from.queued.pop_front();
            from.queued_bytes -= size;
            queued_bytes_ -= size;
            requests_--;
            continue;
        }

        from.sent.push_back(std::move(from.queued.front()));

        if (!send(from, from.sent.back())) {
            from.queued.front() = std::move(from.sent.back());
            from.sent.pop_back();
            break;
        }

        from.queued.pop_front();
        from.queued_bytes -= size;
        queued_bytes_ -= size;
        sent_bytes_ += size;
    }

    rearm_timer();
} catch (const std::bad_alloc &) {
    rearm_timer(); // retried with the next one
}

void redis_publisher::on_reply(void *data, const redisReply *reply) noexcept
{
    auto &of = *static_cast<lane *>(data);

    if (reply != nullptr) { // otherwise on_shard_lost() follows
        of.publisher->complete_first(of, reply);
    }
}

void redis_publisher::complete_first(lane &of, const redisReply *reply) noexcept
{
    const std::string_view error = error_in(reply);
    publish_outcome outcome;

    if (error.empty()) {
        outcome = result_of(reply, of.sent.front().request_kind);
        outcome.clients += of.sent.front().counts_clients
                               ? clients_of(of.sent.front().name)
                               : 0;
    } else {
        static log_throttle line;

        log_refused(line, "publish a message", error,
                    "its publisher gets an error");
    }

    const bool window_was_full =
        sent_bytes_ >= std::max(min_window, redis_.settings().queue);
    entry first = std::move(of.sent.front());

    of.sent.pop_front();
    sent_bytes_ -= first.size();
    requests_--;

    if (outcome.done && first.request_kind == publish_kind::stored) {
        host_redis_counters().published.add(1);
        host_redis_counters().retried.add(first.resent ? 1 : 0);
    }

    of.probing = false;
    complete(first, outcome);
    send_queued(of);

    if (window_was_full) { // the other lanes were waiting too
        for (lane &each : lanes_) {
            send_queued(each);
        }
    }
}

void redis_publisher::complete(entry &of,
                               const publish_outcome &outcome) noexcept
{
    if (of.completed) {
        return;
    }

    of.completed = true;
    uncompleted_--;

    if (!outcome.done && of.request_kind != publish_kind::query) {
        host_redis_counters().failed.add(1);
    }

    of.on_result(of.data, outcome);
}

void redis_publisher::on_shard_ready(unsigned shard) noexcept
{
    update_connected();
    send_queued(lanes_[shard]);
}

// It is unknown whether Redis has the messages without a reply.
void redis_publisher::on_shard_lost(unsigned shard) noexcept
{
    lane &of = lanes_[shard];

    update_connected();
    of.probing = true;

    while (!of.sent.empty()) {
        entry last = std::move(of.sent.back());

        of.sent.pop_back();
        sent_bytes_ -= last.size();

        if (!last.completed && is_repeatable(last.request_kind)) {
            last.resent = true;
            requeue(of, std::move(last));
            continue;
        }

        requests_--;
        complete(last, {});
    }

    rearm_timer();
}

void redis_publisher::requeue(lane &to, entry &&sent) noexcept
try {
    const std::size_t size = sent.size();

    to.queued.push_front(std::move(sent));
    to.queued_bytes += size;
    queued_bytes_ += size;
} catch (const std::bad_alloc &) {
    requests_--;
    complete(sent, {});
}

bool redis_publisher::expired(const entry &one) noexcept
{
    const ngx_msec_t delay = one.may_be_late && !ngx_exiting ? max_delay : 0;

    return static_cast<ngx_msec_int_t>(ngx_current_msec - one.deadline -
                                       delay) >= 0;
}

// A sent message stays until its reply comes, or the connection ends.
void redis_publisher::expire(lane &of) noexcept
{
    // The callback may publish and reallocate both: use an index
    for (std::deque<entry> *const all : {&of.sent, &of.queued}) {
        for (std::size_t i = 0; i < all->size(); i++) {
            if (expired((*all)[i])) {
                complete((*all)[i], {});
            }
        }
    }

    const auto is_completed = [](const entry &each) { return each.completed; };

    for (const entry &each : of.queued) { // those before them may be late
        if (each.completed) {
            of.queued_bytes -= each.size();
            queued_bytes_ -= each.size();
            requests_--;
        }
    }

    std::erase_if(of.queued, is_completed);
}

void redis_publisher::on_timeout(ngx_event_t *event)
{
    auto &self = *static_cast<redis_publisher *>(event->data);

    for (lane &each : self.lanes_) {
        self.expire(each);
    }

    self.rearm_timer();
}

// The time to the first deadline, if there is one.
ngx_msec_int_t redis_publisher::time_left() const noexcept
{
    const auto is_completed = [](const entry &each) { return each.completed; };
    auto left = std::numeric_limits<ngx_msec_int_t>::max();

    for (const lane &each : lanes_) {
        for (const std::deque<entry> *const all : {&each.sent, &each.queued}) {
            const auto first =
                std::find_if_not(all->begin(), all->end(), is_completed);

            if (first != all->end()) {
                const auto its = static_cast<ngx_msec_int_t>(first->deadline -
                                                             ngx_current_msec);

                left = std::min<ngx_msec_int_t>(left,
                                                its > 0 ? its : late_interval);
            }
        }
    }

    return left;
}

// Sets the timer for the first deadline, and updates the counters.
void redis_publisher::rearm_timer() noexcept
{
    // Pending requests delay graceful shutdown
    timer_.cancelable = uncompleted_ == 0;

    if (uncompleted_ != 0 && !timer_.timer_set) {
        ngx_add_timer(&timer_, static_cast<ngx_msec_t>(time_left()));
    }

    update_congestion();
    counters::current->queued.set(requests_);
    counters::current->queued_bytes.set(sent_bytes_ + queued_bytes_);
}

// While Redis is unreachable, publishers get errors instead.
void redis_publisher::update_congestion() noexcept
{
    const std::size_t queue = redis_.settings().queue;
    const std::size_t limit = congested_ ? queue / 4 : queue / 2;
    std::size_t waiting = 0;

    if (queued_bytes_ > limit) {
        for (const lane &each : lanes_) {
            waiting += redis_.ready(each.shard) ? each.queued_bytes : 0;
        }
    }

    const bool now = waiting > limit;

    if (now != std::exchange(congested_, now) && on_congestion != nullptr) {
        on_congestion(now);
    }
}

// Messages of this worker may fail although the host is connected.
void redis_publisher::update_connected() noexcept
{
    const bool all = std::ranges::all_of(
        lanes_, [this](const lane &each) { return redis_.ready(each.shard); });

    counters::current->disconnected.set(all ? 0 : 1);
}

} // namespace websocket::nginx
