// The further resources to which a client is subscribed.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/client_subscription.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace websocket::nginx {

// Sorted by the address of the resource.
class subscription_set {
public:
    using owned = client_subscription::owned;
    using iterator = std::vector<owned>::const_iterator;

    explicit subscription_set(ngx_log_t *log) noexcept;
    subscription_set(const subscription_set &) = delete;
    subscription_set &operator=(const subscription_set &) = delete;
    ~subscription_set();

    // The texts of those patterns of the location that have variables, by the
    // index of the pattern. Nothing: no name fits.
    std::unique_ptr<std::optional<std::string>[]> allowed;

    std::size_t size() const noexcept { return places_.size(); }
    iterator begin() const noexcept { return places_.begin(); }
    iterator end() const noexcept { return places_.end(); }

    // True if a place is pending, and the client should not be read before.
    bool hold_input() const noexcept { return holding_ != 0; }
    void stop_holding(client_subscription &place) noexcept
    {
        holding_ -= place.stop_holding() ? 1 : 0;
    }

    // The client has published to a resource.
    void note_publication(const resource *to) noexcept;

    // True if the client should publish no more, since this worker does not
    // deliver as fast.
    bool congested() const noexcept
    {
        return published_to_ != nullptr && published_to_->congested();
    }

    // Null: the client is not subscribed to it.
    client_subscription *find(const resource *target) const noexcept;

    // The place joins with join_new_places(), at the latest after the present
    // event. Throws std::bad_alloc.
    void add(owned added);

    // Outside of handlers.
    void join_new_places() noexcept;

    // The place is not in the set any more when its handler is called.
    void remove(client_subscription &removed) noexcept;

    // The same for all places.
    void clear() noexcept;

private:
    static void on_join(ngx_event_t *event);
    iterator lower_bound(const resource *target) const noexcept;
    void forget(client_subscription &removed) noexcept;

    std::vector<owned> places_;
    ngx_queue_t new_places_; // they have not begun to join
    std::size_t holding_ = 0;
    const resource *published_to_ = nullptr; // the last one
    ngx_event_t join_event_{};
};

} // namespace websocket::nginx
