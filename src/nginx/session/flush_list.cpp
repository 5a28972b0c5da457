// Flushes the sessions that have frames to send, in passes of limited cost.
#include "nginx/session/flush_list.hpp"

#include "nginx/output/deflaters.hpp"
#include "nginx/session/session.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// How many sessions ahead the session is prefetched, and then its connection.
constexpr std::size_t session_distance = 6;
constexpr std::size_t connection_distance = 3;

// Memory beyond this is freed after a burst.
constexpr std::size_t max_kept_capacity = 65536;

// The budget of a pass in bytes, and what a session costs in addition to its
// bytes. 512 sessions with little to send take about 5 ms of system calls.
constexpr std::size_t pass_budget = 4 * 1024 * 1024;
constexpr std::size_t session_cost = 8 * 1024;

// The cost of a byte that a handler sends compressed in client_drained().
constexpr std::size_t compressed_byte_cost = 16;

} // namespace

bool flush_list::add(session &added, index &at) noexcept
try {
    if (at != npos) {
        return true;
    }

    waiting_.push_back(&added);
    at = static_cast<index>(waiting_.size() - 1);

    if (!event_.posted) {
        post(ngx_posted_events);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

void flush_list::post(ngx_queue_t &events) noexcept
{
    event_.data = this;
    event_.handler = run;
    event_.log = ngx_cycle->log;
    ngx_post_event(&event_, &events);
}

void flush_list::remove(index &at) noexcept
{
    if (at != npos) {
        waiting_[std::exchange(at, npos)] = nullptr;
    }
}

void flush_list::run(ngx_event_t *event)
{
    static_cast<flush_list *>(event->data)->flush_some();
}

// A flush may add sessions, including its own. They are flushed after all other
// events.
void flush_list::flush_some() noexcept
{
    const std::size_t begin = next_;
    const std::size_t end = waiting_.size();
    std::size_t budget = pass_budget;

    for (; next_ != end && budget != 0; next_++) {
        prefetch_ahead(next_);

        if (session *next = std::exchange(waiting_[next_], nullptr)) {
            const std::uint64_t before = compression::compressed;
            const std::size_t sent = next->flush_posted();
            const std::size_t cost =
                session_cost + sent +
                compressed_byte_cost * (compression::compressed - before);

            budget -= std::min(budget, cost);
        }
    }

    const std::size_t flushed = next_ - begin;

    remove_flushed();
    pace_deliveries(flushed);

    if (!waiting_.empty()) {
        if (event_.posted) {
            ngx_delete_posted_event(&event_);
        }
        post(ngx_posted_next_events);
    }
}

// Pauses deliveries while the sessions of the list have much to send: more than
// one pass sends, and more than is worth one write for each. Otherwise
// deliveries would fill the send queues, which are then flushed without a
// budget. A round flushes the sessions that are in the list when it begins. So
// what they have to send was queued since the round before.
void flush_list::pace_deliveries(std::size_t flushed) noexcept
{
    const std::size_t rest = waiting_.size() - next_;

    round_rest_ -= std::min(round_rest_, flushed);

    if (round_rest_ == 0) {
        round_rest_ = rest;
        queued_before_ =
            std::exchange(queued_at_round_, resource::queued_bytes);
    }

    worker_bus::pause_deliveries(
        rest != 0 && resource::queued_bytes - queued_before_ >
                         std::max(pass_budget, rest * session_cost));
}

// Moves the rest to the front only if it is not longer than the flushed part.
void flush_list::remove_flushed() noexcept
{
    const std::size_t rest = waiting_.size() - next_;

    if (rest > next_) {
        return;
    }

    for (std::size_t i = 0; i != rest; i++) {
        waiting_[i] = waiting_[next_ + i];

        if (waiting_[i] != nullptr) {
            waiting_[i]->set_flush_index(static_cast<index>(i));
        }
    }

    waiting_.resize(rest);
    next_ = 0;

    if (waiting_.empty() && waiting_.capacity() > max_kept_capacity) {
        waiting_.shrink_to_fit();
    }
}

void flush_list::prefetch_ahead(std::size_t at) const noexcept
{
    if (at + session_distance < waiting_.size() &&
        waiting_[at + session_distance] != nullptr) {
        waiting_[at + session_distance]->prefetch();
    }

    if (at + connection_distance < waiting_.size() &&
        waiting_[at + connection_distance] != nullptr) {
        waiting_[at + connection_distance]->prefetch_connection();
    }
}

} // namespace websocket::nginx
