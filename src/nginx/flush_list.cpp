// One pass over all sessions that have something to send.
#include "nginx/flush_list.hpp"

#include "nginx/session.hpp"

#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// So many sessions ahead the session is fetched, and then its connection.
constexpr std::size_t far_ahead = 6;
constexpr std::size_t near_ahead = 3;

// What one burst has needed is not kept for ever.
constexpr std::size_t most_kept = 65536;

} // namespace

bool flush_list::add(session &waiting, place &at) noexcept
try {
    if (at != nowhere) {
        return true;
    }

    waiting_.push_back(&waiting);
    at = static_cast<place>(waiting_.size() - 1);

    if (!event_.posted) {
        event_.data = this;
        event_.handler = run;
        event_.log = ngx_cycle->log;
        ngx_post_event(&event_, &ngx_posted_events);
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

void flush_list::remove(place &at) noexcept
{
    if (at != nowhere) {
        waiting_[std::exchange(at, nowhere)] = nullptr;
    }
}

void flush_list::run(ngx_event_t *event)
{
    static_cast<flush_list *>(event->data)->flush_all();
}

// A session's flush may have others added behind it.
void flush_list::flush_all() noexcept
{
    for (std::size_t i = 0; i != waiting_.size(); i++) {
        fetch_ahead(i);

        if (session *next = std::exchange(waiting_[i], nullptr)) {
            next->flush_posted();
        }
    }

    waiting_.clear();

    if (waiting_.capacity() > most_kept) {
        waiting_.shrink_to_fit();
    }
}

void flush_list::fetch_ahead(std::size_t at) const noexcept
{
    if (at + far_ahead < waiting_.size() &&
        waiting_[at + far_ahead] != nullptr) {
        waiting_[at + far_ahead]->fetch();
    }

    if (at + near_ahead < waiting_.size() &&
        waiting_[at + near_ahead] != nullptr) {
        waiting_[at + near_ahead]->fetch_connection();
    }
}

} // namespace websocket::nginx
