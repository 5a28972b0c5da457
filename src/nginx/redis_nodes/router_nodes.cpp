// Finds the nodes of the shards in a cluster, and follows changes.
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace websocket::nginx {

namespace {

// While a shard has no node, nodes are asked for the slots at this interval.
constexpr ngx_msec_t slots_interval = 200;

// While keys of a shard are at a node that has not got the slot yet.
constexpr ngx_msec_t moving_interval = 1000;

// The configured nodes are asked too, once in so many times.
constexpr unsigned times_between_seeds = 4;

// A node without shards is closed after this time.
constexpr ngx_msec_t max_unused = 5000;

void log_no_node(unsigned shard, const std::string &name) noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no node of Redis at %V has the slot %ui: "
                  "resources in it are unreachable; retrying%V",
                  name, static_cast<ngx_uint_t>(redis::slot_of(shard)),
                  permit.suppressed());
    }
}

// A range of slots and the node that has it.
struct slot_range {
    std::uint64_t first;
    std::uint64_t last;
    redis::server_address node;
};

// [first, last, [host, port, ...], ...]. Some versions send no host for the
// node that replies, and "?" for an unknown one.
std::optional<slot_range> parse_range(const redisReply &reply,
                                      const redis_target &from)
{
    const auto parts = list_in(&reply);
    const auto node = list_in(parts.size() > 2 ? parts[2] : nullptr);

    if (node.size() < 2 || parts[0]->type != REDIS_REPLY_INTEGER ||
        parts[1]->type != REDIS_REPLY_INTEGER ||
        node[1]->type != REDIS_REPLY_INTEGER || node[1]->integer <= 0 ||
        node[1]->integer > 65535 || text_in(node[0]) == "?") {
        return std::nullopt;
    }

    slot_range range{static_cast<std::uint64_t>(parts[0]->integer),
                     static_cast<std::uint64_t>(parts[1]->integer),
                     {}};

    range.node.host =
        text_in(node[0]).empty() ? from.address.host : text_in(node[0]);
    range.node.port = static_cast<std::uint16_t>(node[1]->integer);
    return range;
}

bool is_at(const redis_node &node,
           const redis::server_address &address) noexcept
{
    return node.target().address.host == address.host &&
           node.target().address.port == address.port;
}

} // namespace

// The node with that address, which is connected if it is new.
redis_node &shard_router::node_at(const redis::server_address &address)
{
    const auto known = std::ranges::find_if(
        nodes_, [&](const auto &each) { return is_at(*each, address); });

    if (known != nodes_.end()) {
        return **known;
    }

    redis_node::owner &self = *this;
    redis_target target{
        .address = address, .name = address.name(), .peers = {}};

    target.address.tls = settings_.server.address.tls;
    nodes_.push_back(
        std::make_unique<redis_node>(settings_, std::move(target), self));

    redis_node &added = *nodes_.back();

    added.commands().open();

    if (channels_ != nullptr) {
        added.channels().open();
    }

    return added;
}

void shard_router::set_owner(unsigned shard, redis_node &node) noexcept
{
    shard_state &state = shards_[shard];

    if (state.owner != &node) {
        leave_channel(shard);
        state.owner = &node;
        detach(shard);
    }

    state.channel_moved = false;
    attach(shard);
    update_links();
}

void shard_router::on_slots(const redisReply &reply,
                            const redis_target &from) noexcept
try {
    read_slots(reply, from);
} catch (const std::bad_alloc &) {
    // They are asked for again
}

// The node may know less than the others: shards that can be used stay where
// they are. If they have moved, their node says so, except where keys are asked
// for before the slot has moved: that goes on to work afterwards.
void shard_router::read_slots(const redisReply &reply, const redis_target &from)
{
    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        const shard_state &state = shards_[shard];
        const bool usable = state.calls != nullptr && !state.channel_moved;
        bool found = usable && state.asked == nullptr;

        for (const redisReply *each : list_in(&reply)) {
            const auto range = found ? std::nullopt : parse_range(*each, from);

            if (range && range->first <= redis::slot_of(shard) &&
                range->last >= redis::slot_of(shard)) {
                if (!usable || is_at(*state.asked, range->node)) {
                    set_owner(shard, node_at(range->node));
                }
                found = true;
            }
        }

        if (!found && !usable) {
            log_no_node(shard, settings_.server.name);
        }
    }
}

void shard_router::on_slots_reply(void *data, const redisReply *reply) noexcept
{
    auto &node = *static_cast<redis_node *>(data);

    if (reply != nullptr) {
        static_cast<shard_router &>(node.holder())
            .on_slots(*reply, node.target());
    }
}

bool shard_router::needs_slots() const noexcept
{
    return settings_.in_cluster() &&
           std::ranges::any_of(shards_, [](const shard_state &each) {
               return each.calls == nullptr || each.channel_moved;
           });
}

// Asks one of the nodes in turn. All that are connected may have been cut off
// from the others, so the configured nodes are asked too.
void shard_router::ask_for_slots() noexcept
try {
    const std::string_view args[] = {"CLUSTER", "SLOTS"};
    bool sent = false;

    asked_at_ = ngx_current_msec;
    asked_++;

    for (std::size_t i = 0; i != nodes_.size() && !sent; i++) {
        redis_node &node = *nodes_[(asked_ + i) % nodes_.size()];

        sent = node.commands().command(args, on_slots_reply, &node);
    }

    if (needs_slots() && (!sent || asked_ % times_between_seeds == 0)) {
        seeds_.ask();
    }
} catch (const std::bad_alloc &) {
    // They are asked again
}

void shard_router::close_unused_nodes() noexcept
{
    std::erase_if(nodes_, [this](const auto &each) {
        const bool used = std::ranges::any_of(shards_, [&](const auto &shard) {
            return shard.owner == each.get() || shard.asked == each.get() ||
                   (shard.calls != nullptr && &shard.calls->node == each.get());
        });

        if (used) {
            each->unused_since = 0;
        } else if (each->unused_since == 0) {
            each->unused_since = ngx_current_msec;
        }

        return !used && ngx_current_msec - each->unused_since >= max_unused;
    });
}

void shard_router::update() noexcept
{
    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        attach(shard);
    }

    update_links();

    if (!settings_.in_cluster()) {
        return;
    }

    close_unused_nodes();

    const bool moving = std::ranges::any_of(
        shards_, [](const auto &each) { return each.asked != nullptr; });
    const ngx_msec_t interval =
        needs_slots() ? slots_interval : moving_interval;

    if (!needs_slots()) {
        seeds_.close();
    }

    if ((moving || needs_slots()) &&
        (asked_ == 0 || ngx_current_msec - asked_at_ >= interval)) {
        ask_for_slots();
    }

    const bool unused = std::ranges::any_of(
        nodes_, [](const auto &each) { return each->unused_since != 0; });

    if (std::ranges::any_of(shards_, waits)) {
        schedule(redirect_delay);
    } else if (moving || needs_slots()) {
        schedule(interval);
    } else if (unused) {
        schedule(max_unused);
    }
}

// Runs update() after that time, or earlier.
void shard_router::schedule(ngx_msec_t delay) noexcept
{
    if (timer_.timer_set) {
        const ngx_msec_t left = timer_.timer.key - ngx_current_msec;

        if (static_cast<ngx_msec_int_t>(left) <=
            static_cast<ngx_msec_int_t>(delay)) {
            return;
        }

        ngx_del_timer(&timer_); // small changes of a timer are ignored
    }

    ngx_add_timer(&timer_, delay);
}

void shard_router::on_timer(ngx_event_t *event)
{
    static_cast<shard_router *>(event->data)->update();
}

} // namespace websocket::nginx
