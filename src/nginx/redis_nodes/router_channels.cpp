// The channels of shards, for the leader.
#include "nginx/redis_nodes/router.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>

namespace websocket::nginx {

std::string shard_router::channel(unsigned shard) const
{
    return settings_.prefix +
           redis::channel(shard, settings_.server.address.database);
}

void shard_router::open_channels(channel_listener &to) noexcept
{
    channels_ = &to;

    for (const auto &each : nodes_) {
        each->channels().open();
    }
}

void shard_router::close_channels() noexcept
{
    channels_ = nullptr;
    inbox_channel_.clear();

    for (const auto &each : nodes_) {
        each->channels().close();
    }

    for (shard_state &each : shards_) {
        forget_subscription(each);
        each.subscribed = false;
        each.linked = false;
        each.channel_moved = false;
    }
}

void shard_router::forget_subscription(shard_state &shard) noexcept
{
    shard.wanted = shard.confirmed = false;
    shard.unsubscribing = 0;
}

bool shard_router::linked() const noexcept
{
    return std::ranges::any_of(shards_, &shard_state::linked);
}

void shard_router::restart_channels(std::string_view reason) noexcept
{
    for (const auto &each : nodes_) {
        each->channels().restart(reason);
    }
}

void shard_router::on_channels_ready(redis_node &) noexcept
{
    update_links();
}

void shard_router::on_channels_lost(redis_node &node) noexcept
{
    for (shard_state &each : shards_) {
        if (each.owner == &node) {
            forget_subscription(each);
            each.subscribed = false;
        }
    }

    update_links();
}

// No shard that is to be unlinked counts as linked when the first call is made.
void shard_router::update_links() noexcept
{
    std::array<bool, redis::shard_count> before{};

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        shard_state &state = shards_[shard];
        const bool can_be = channels_ != nullptr && ready(shard) &&
                            !state.channel_moved && state.owner != nullptr &&
                            state.owner->channels().ready();

        before[shard] = state.linked;
        state.linked = state.linked && can_be;
    }

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        if (before[shard] && !shards_[shard].linked && channels_ != nullptr) {
            shards_[shard].wanted = shards_[shard].confirmed = false;

            if (shard == redis::inbox_shard) {
                inbox_channel_.clear();
            }

            channels_->on_unlinked(shard);
        }
    }

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        shard_state &state = shards_[shard];

        if (channels_ != nullptr && !state.linked && ready(shard) &&
            !state.channel_moved && state.owner != nullptr &&
            state.owner->channels().ready()) {
            state.linked = true;
            channels_->on_linked(shard);
        }
    }
}

void shard_router::subscribe(unsigned shard)
{
    shard_state &state = shards_[shard];
    const std::string name = channel(shard);
    const std::array<std::string_view, 2> args{
        settings_.in_cluster() ? "SSUBSCRIBE" : "SUBSCRIBE", name};

    // If it fails, the connection is about to end
    state.wanted = state.linked && state.owner->channels().command(
                                       args, on_channel_reply, state.owner);
    state.confirmed = false;
    state.subscribed = state.subscribed || state.wanted;
}

void shard_router::subscribe_inbox(std::string_view uid)
{
    const shard_state &state = shards_[redis::inbox_shard];
    std::string name = settings_.prefix + redis::inbox_key(uid);
    const std::array<std::string_view, 2> args{
        settings_.in_cluster() ? "SSUBSCRIBE" : "SUBSCRIBE", name};

    inbox_confirmed_ = false;
    inbox_channel_.clear();

    // If it fails, the connection is about to end
    if (state.linked &&
        state.owner->channels().command(args, on_channel_reply, state.owner)) {
        inbox_channel_ = std::move(name);
    }
}

// A shard that was unlinked has kept its subscription, if its owner has.
void shard_router::unsubscribe(unsigned shard)
{
    shard_state &state = shards_[shard];

    state.wanted = false;

    if (!std::exchange(state.subscribed, false)) {
        return;
    }

    const std::string name = channel(shard);
    const std::array<std::string_view, 2> args{
        settings_.in_cluster() ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", name};

    if (state.owner->channels().command(args, nullptr, nullptr)) {
        state.unsubscribing++;
    }
}

// The owner may still have the slot, if another node has named a wrong one.
void shard_router::leave_channel(unsigned shard) noexcept
{
    try {
        unsubscribe(shard);
    } catch (const std::bad_alloc &) {
        shards_[shard].owner->channels().restart("no memory");
    }

    forget_subscription(shards_[shard]);
}

void shard_router::on_channel_reply(void *data,
                                    const redisReply *reply) noexcept
{
    auto &node = *static_cast<redis_node *>(data);
    auto &self = static_cast<shard_router &>(node.holder());
    const auto parts = list_in(reply);

    if (reply == nullptr) {
        return; // on_channels_lost() follows
    }

    if (!error_in(reply).empty()) {
        self.on_channel_moved(node);

    } else if (parts.size() == 3) {
        self.on_channel_text(node, text_in(parts[0]), text_in(parts[1]),
                             text_in(parts[2]));
    }
}

// The node refuses one of the subscriptions that it has not confirmed, and does
// not say which. CLUSTER SLOTS names their present nodes.
void shard_router::on_channel_moved(redis_node &node) noexcept
{
    const shard_state &of_inbox = shards_[redis::inbox_shard];
    const bool inbox_waits = !inbox_channel_.empty() && !inbox_confirmed_;

    for (shard_state &each : shards_) {
        if (each.owner == &node && ((each.wanted && !each.confirmed) ||
                                    (&each == &of_inbox && inbox_waits))) {
            forget_subscription(each);
            each.channel_moved = true;
        }
    }

    update_links();
    schedule(0);
}

void shard_router::lose_channel(shard_state &shard) noexcept
{
    forget_subscription(shard);
    shard.channel_moved = true;
    update_links();
    schedule(0);
}

void shard_router::on_inbox_text(std::string_view type) noexcept
{
    if (type.ends_with("message")) {
        channels_->on_inbox_message();
    } else if (type.ends_with("unsubscribe")) {
        lose_channel(shards_[redis::inbox_shard]); // the slot has moved
    } else {
        inbox_confirmed_ = true;
        channels_->on_inbox_subscribed();
    }
}

void shard_router::on_channel_text(redis_node &node, std::string_view type,
                                   std::string_view channel,
                                   std::string_view text) noexcept
{
    const std::string_view name = // "{SHARD}..."
        channel.substr(std::min(settings_.prefix.size() + 1, channel.size()));
    const auto number = detail::decimal(name.substr(0, name.find('}')));

    if (channels_ == nullptr || !number || *number >= shards_.size() ||
        shards_[*number].owner != &node) {
        return;
    }

    const auto shard = static_cast<unsigned>(*number);
    shard_state &state = shards_[shard];

    if (channel == inbox_channel_) {
        on_inbox_text(type);
        return;
    }

    if (name.find("}in:") != name.npos) {
        return; // of an earlier subscription
    }

    if (type.ends_with("message")) {
        channels_->on_message(shard, text);

    } else if (type.ends_with("unsubscribe")) {
        if (state.unsubscribing != 0) {
            state.unsubscribing--;
        } else if (std::exchange(state.subscribed, false) && state.wanted) {
            lose_channel(state); // the slot has moved
        }
    } else if (state.wanted) {
        state.confirmed = true;
        channels_->on_subscribed(shard);
    }
}

} // namespace websocket::nginx
