// Records presence changes.
#include "handlers/presence_changes.hpp"

#include <algorithm>

namespace websocket::handlers {

void presence_changes::add(bool joined, std::uint64_t client,
                           std::string_view user)
{
    const bool named = all_named() && named_.size() < max_named;

    add_unnamed(joined, !joined);
    last_ = client;

    if (named) {
        named_.push_back({client, joined, std::string(user)});
    }
}

void presence_changes::add_unnamed(bool any_joined, bool any_left) noexcept
{
    added_++;
    last_ = 0;
    joined_ = joined_ || any_joined;
    left_ = left_ || any_left;
}

std::span<const presence_changes::change>
presence_changes::after(std::uint64_t before) const noexcept
{
    const std::size_t passed = std::min<std::uint64_t>(
        before - std::min(before, cleared_), named_.size());

    return std::span(named_).subspan(passed);
}

bool presence_changes::concerns_others(std::uint64_t before,
                                       std::uint64_t client) const noexcept
{
    return added_ > std::max(before, cleared_) + 1 ||
           (added_ > before && last_ != client);
}

bool presence_changes::names(std::uint64_t client,
                             std::string_view user) const noexcept
{
    return std::any_of(named_.begin(), named_.end(),
                       [client, user](const change &each) {
                           return each.client == client ||
                                  (!each.user.empty() && each.user == user);
                       });
}

void presence_changes::clear() noexcept
{
    named_.clear();
    cleared_ = added_;
    joined_ = false;
    left_ = false;
}

} // namespace websocket::handlers
