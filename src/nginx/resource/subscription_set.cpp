// Adds places, which join in an event of their own: no call of a handler calls
// a handler.
#include "nginx/resource/subscription_set.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace websocket::nginx {

subscription_set::subscription_set(ngx_log_t *log) noexcept
{
    ngx_queue_init(&new_places_);
    join_event_.data = this;
    join_event_.handler = on_join;
    join_event_.log = log;
}

subscription_set::~subscription_set()
{
    clear();

    if (join_event_.posted) {
        ngx_delete_posted_event(&join_event_);
    }
}

subscription_set::iterator
subscription_set::lower_bound(const resource *target) const noexcept
{
    return std::lower_bound(places_.begin(), places_.end(), target,
                            [](const owned &each, const resource *at) {
                                return std::less<>{}(&each->target(), at);
                            });
}

client_subscription *
subscription_set::find(const resource *target) const noexcept
{
    const auto it = lower_bound(target);

    return it != places_.end() && &(*it)->target() == target ? it->get()
                                                             : nullptr;
}

void subscription_set::note_publication(const resource *to) noexcept
{
    published_to_ = find(to) == nullptr ? published_to_ : to;
}

void subscription_set::add(owned added)
{
    client_subscription *place = added.get();

    places_.insert(lower_bound(&place->target()), std::move(added));
    ngx_queue_insert_tail(&new_places_, place->link());
    holding_++;

    if (!join_event_.posted) {
        ngx_post_event(&join_event_, &ngx_posted_events);
    }
}

void subscription_set::on_join(ngx_event_t *event)
{
    static_cast<subscription_set *>(event->data)->join_new_places();
}

// Handlers may add and remove places meanwhile. The set lives as long as the
// session, which does not end inside a call of a handler.
void subscription_set::join_new_places() noexcept
{
    while (!ngx_queue_empty(&new_places_)) {
        auto &next = static_cast<client_subscription &>(
            *membership::from_link(ngx_queue_head(&new_places_)));

        ngx_queue_remove(next.link());
        ngx_queue_init(next.link());
        next.join();
    }
}

// The link of a pending place is in the list of new places, in that of its
// resource, or in none.
void subscription_set::forget(client_subscription &removed) noexcept
{
    stop_holding(removed);

    if (published_to_ == &removed.target()) {
        published_to_ = nullptr;
    }
}

void subscription_set::remove(client_subscription &removed) noexcept
{
    const auto it =
        places_.begin() + (lower_bound(&removed.target()) - places_.begin());
    const owned place = std::move(*it);

    places_.erase(it);
    forget(*place);
}

void subscription_set::clear() noexcept
{
    while (!places_.empty()) {
        const owned last = std::move(places_.back());

        places_.pop_back();
        forget(*last);
    }
}

} // namespace websocket::nginx
