// The further resources to which a client is subscribed.
#pragma once

#include "nginx/resource/client_subscription.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace websocket::nginx {

// Sorted by the address of the resource.
class subscription_set {
public:
    using iterator = std::vector<client_subscription::owned>::const_iterator;

    subscription_set() = default;
    subscription_set(const subscription_set &) = delete;
    subscription_set &operator=(const subscription_set &) = delete;
    ~subscription_set() { clear(); }

    // The texts of those patterns of the location that have variables, by the
    // index of the pattern. Nothing: no name fits.
    std::unique_ptr<std::optional<std::string>[]> allowed;

    std::size_t size() const noexcept { return places_.size(); }
    iterator begin() const noexcept { return places_.begin(); }
    iterator end() const noexcept { return places_.end(); }

    // The number of places that are pending.
    std::size_t pending() const noexcept { return pending_; }
    void end_pending() noexcept { pending_--; }

    // The client has published to a resource. True if it should wait, since
    // this worker does not deliver as fast.
    void note_publication(const resource *to) noexcept
    {
        published_to_ = find(to) == nullptr ? published_to_ : to;
    }
    bool congested() const noexcept
    {
        return published_to_ != nullptr && published_to_->congested();
    }

    // Null: the client is not subscribed to it.
    client_subscription *find(const resource *target) const noexcept
    {
        const auto it = lower_bound(target);

        return it != places_.end() && &(*it)->target() == target ? it->get()
                                                                 : nullptr;
    }

    // Throws std::bad_alloc.
    void add(client_subscription::owned added)
    {
        places_.insert(lower_bound(&added->target()), std::move(added));
        pending_++;
    }

    // The place is not in the set any more when its handler is called.
    void remove(const client_subscription &removed) noexcept
    {
        const auto it = places_.begin() +
                        (lower_bound(&removed.target()) - places_.begin());
        const owned place = std::move(*it);

        places_.erase(it);
        forget(*place);
    }

    void clear() noexcept
    {
        while (!places_.empty()) {
            const owned last = std::move(places_.back());

            places_.pop_back();
            forget(*last);
        }
    }

private:
    using owned = client_subscription::owned;

    void forget(const client_subscription &removed) noexcept
    {
        pending_ -= removed.pending() ? 1 : 0;
        published_to_ =
            published_to_ == &removed.target() ? nullptr : published_to_;
    }

    iterator lower_bound(const resource *target) const noexcept
    {
        return std::lower_bound(places_.begin(), places_.end(), target,
                                [](const owned &each, const resource *at) {
                                    return std::less<>{}(&each->target(), at);
                                });
    }

    std::vector<owned> places_;
    std::size_t pending_ = 0;
    const resource *published_to_ = nullptr; // the last one
};

} // namespace websocket::nginx
