// Keeps the names of changes, as long as they are few.
#include "handlers/presence_changes.hpp"

#include <algorithm>

namespace websocket::handlers {

void presence_changes::add(bool came, std::uint64_t client)
{
    const bool named = all_named() && named_.size() < max_named;

    add_unnamed(came, !came);
    last_ = client;

    if (named) {
        named_.push_back({client, came});
    }
}

void presence_changes::add_unnamed(bool some_came, bool some_left) noexcept
{
    added_++;
    last_ = 0;
    came_ = came_ || some_came;
    left_ = left_ || some_left;
}

std::span<const presence_changes::change>
presence_changes::after(std::uint64_t before) const noexcept
{
    const std::size_t passed = std::min<std::uint64_t>(
        before - std::min(before, told_), named_.size());

    return std::span(named_).subspan(passed);
}

bool presence_changes::concerns_others(std::uint64_t before,
                                       std::uint64_t client) const noexcept
{
    return added_ > std::max(before, told_) + 1 ||
           (added_ > before && last_ != client);
}

bool presence_changes::names(std::uint64_t client) const noexcept
{
    return std::any_of(
        named_.begin(), named_.end(),
        [client](const change &each) { return each.client == client; });
}

void presence_changes::clear() noexcept
{
    named_.clear();
    told_ = added_;
    came_ = false;
    left_ = false;
}

} // namespace websocket::handlers
