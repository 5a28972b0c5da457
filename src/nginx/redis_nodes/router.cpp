// Calls of scripts and commands, and what their replies show about the node.
#include "nginx/redis_nodes/router.hpp"

#include "nginx/core/timer.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

shard_router::shard_router(const redis_settings &settings)
    : settings_{settings}, seeds_{settings, *this}
{
    timer_.data = this;
    timer_.handler = on_timer;
    timer_.log = ngx_cycle->log;
    timer_.cancelable = 1; // must not delay graceful shutdown

    if (settings.in_cluster()) {
        return;
    }

    redis_node::owner &self = *this;

    nodes_.push_back(
        std::make_unique<redis_node>(settings, settings.server, self));

    for (shard_state &each : shards_) {
        each.owner = nodes_[0].get();
    }
}

shard_router::~shard_router()
{
    channels_ = nullptr;
    listeners_.clear();

    for (shard_state &each : shards_) {
        if (shard_calls *calls = std::exchange(each.calls, nullptr);
            calls != nullptr) {
            calls->pending.clear();
            fail_pending(calls);
        }
    }

    nodes_.clear();

    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

void shard_router::open() noexcept
{
    for (const auto &each : nodes_) {
        each->commands().open();
    }

    if (settings_.in_cluster()) {
        update();
    }
}

bool shard_router::ready() const noexcept
{
    return std::ranges::any_of(
        shards_, [](const auto &each) { return each.calls != nullptr; });
}

std::uint32_t shard_router::run_id_hash(unsigned shard) const noexcept
{
    return ready(shard) ? shards_[shard].calls->node.commands().run_id_hash()
                        : 0;
}

void shard_router::retry_now() noexcept
{
    for (const auto &each : nodes_) {
        each->retry_now();
    }

    if (needs_slots()) {
        schedule(0);
    }
}

void shard_router::flush() noexcept
{
    for (const auto &each : nodes_) {
        each->commands().flush();
    }
}

bool shard_router::run(unsigned shard, const script_call &call,
                       reply_callback callback, void *data) noexcept
{
    return send(shard, callback, data,
                [&](script_runner &to, shard_calls *calls) {
                    return to.run(call, on_reply, calls);
                });
}

bool shard_router::command(unsigned shard,
                           std::span<const std::string_view> args,
                           reply_callback callback, void *data) noexcept
{
    return send(shard, callback, data,
                [&](script_runner &to, shard_calls *calls) {
                    return to.command(args, on_reply, calls);
                });
}

// Sends a call with `write`, which returns false if it failed.
template <typename Write>
bool shard_router::send(unsigned shard, reply_callback callback, void *data,
                        Write write) noexcept
{
    shard_calls *calls = shards_[shard].calls;

    if (calls == nullptr) {
        return false;
    }

    script_runner &to = calls->node.commands();

    return (!calls->asking || to.ask()) && write(to, calls) &&
           record(*calls, callback, data);
}

// Records a call that was sent.
bool shard_router::record(shard_calls &calls, reply_callback callback,
                          void *data) noexcept
try {
    calls.unanswered++;
    calls.pending.push_back({callback, data});
    return true;

} catch (const std::bad_alloc &) {
    // Later replies would be taken for this one's
    calls.node.commands().restart("no memory");
    return false;
}

bool shard_router::waits(const shard_state &shard) noexcept
{
    return shard.retry_at != 0 &&
           static_cast<ngx_msec_int_t>(shard.retry_at - ngx_current_msec) > 0;
}

// Makes the shard ready if its node is.
bool shard_router::attach(unsigned shard) noexcept
try {
    shard_state &state = shards_[shard];
    redis_node *node = state.asked != nullptr ? state.asked : state.owner;

    if (node == nullptr || state.calls != nullptr || waits(state) ||
        !node->commands().ready()) {
        return false;
    }

    state.retry_at = 0;
    state.calls = new shard_calls{.router = *this,
                                  .shard = shard,
                                  .node = *node,
                                  .asking = node == state.asked,
                                  .pending = {}};

    for (listener *each : listeners_) {
        each->on_shard_ready(shard);
    }

    return true;

} catch (const std::bad_alloc &) {
    schedule(redirect_delay);
    return false;
}

// Makes the shard lost.
void shard_router::detach(unsigned shard) noexcept
{
    shards_[shard].asked = nullptr;

    if (shard_calls *calls = std::exchange(shards_[shard].calls, nullptr);
        calls != nullptr) {
        fail_pending(calls);

        for (listener *each : listeners_) {
            each->on_shard_lost(shard);
        }
    }

    update_links();
}

// The calls are freed with the last reply, which may have come.
void shard_router::fail_pending(shard_calls *calls) noexcept
{
    calls->lost = true;

    while (!calls->pending.empty()) {
        const pending_call first = calls->pending.front();

        calls->pending.pop_front();

        if (first.callback != nullptr) {
            first.callback(first.data, nullptr);
        }
    }

    if (calls->unanswered == 0) {
        delete calls;
    }
}

void shard_router::on_node_ready(redis_node &node) noexcept
{
    for (listener *each : listeners_) {
        each->on_redis_up();
    }

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        if (shards_[shard].owner == &node || shards_[shard].asked == &node) {
            attach(shard);
        }
    }

    update_links();
}

// No shard of the node is ready when the first callback is called.
void shard_router::on_node_lost(redis_node &node) noexcept
{
    shard_list lost{};

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        shard_calls *calls = shards_[shard].calls;

        if (calls != nullptr && &calls->node == &node) {
            lost[shard] = std::exchange(shards_[shard].calls, nullptr);
            shards_[shard].asked = nullptr;
        }
    }

    for (shard_calls *each : lost) {
        if (each != nullptr) {
            fail_pending(each);
        }
    }

    for (unsigned shard = 0; shard != shards_.size(); shard++) {
        for (listener *each : listeners_) {
            if (lost[shard] != nullptr) {
                each->on_shard_lost(shard);
            }
        }
    }

    update_links();

    if (settings_.in_cluster()) {
        schedule(0);
    }
}

void shard_router::on_reply(void *data, const redisReply *reply) noexcept
{
    auto *calls = static_cast<shard_calls *>(data);

    calls->unanswered--;

    if (calls->lost) {
        if (calls->unanswered == 0) {
            delete calls;
        }
    } else if (reply != nullptr) { // otherwise on_node_lost() follows
        calls->router.handle(*calls, *reply);
    }
}

// An error that shows that nothing was executed is not passed on: the calls
// stay pending until the shard is lost, now or with the connection.
void shard_router::handle(shard_calls &calls, const redisReply &reply) noexcept
{
    if (const auto error = error_in(&reply);
        !error.empty() &&
        (follow_redirect(calls, error) ||
         calls.node.commands().reconnect_if_unusable(error))) {
        return;
    }

    const pending_call first = calls.pending.front();

    calls.pending.pop_front();

    if (first.callback != nullptr) {
        first.callback(first.data, &reply);
    }
}

// Returns whether the error redirects the shard. It is then lost, and ready
// again on the other node, or later.
bool shard_router::follow_redirect(shard_calls &calls,
                                   std::string_view error) noexcept
try {
    using type = redis::redirect::type;

    const unsigned shard = calls.shard;
    shard_state &state = shards_[shard];
    const redis::redirect redirect = settings_.in_cluster()
                                         ? redis::parse_redirect(error)
                                         : redis::redirect{};

    if (redirect.what == type::none) {
        return false;
    }

    redis::server_address address;

    address.host = redirect.host.empty() ? calls.node.target().address.host
                                         : redirect.host;
    address.port = redirect.port;

    redis_node *other =
        redirect.what == type::later ? nullptr : &node_at(address);

    // Two nodes may redirect to each other for a while
    state.retry_at = ngx_current_msec + redirect_delay;
    schedule(redirect_delay);

    if (redirect.what == type::moved && state.owner != other) {
        const bool again =
            state.redirected_at != 0 &&
            ngx_current_msec - state.redirected_at < redirect_delay;

        state.redirected_at = ngx_current_msec;
        state.retry_at = again ? state.retry_at : 0;
        set_owner(shard, *other);
        return true;
    }

    detach(shard);
    state.asked = redirect.what == type::ask ? other : nullptr;
    return true;

} catch (const std::bad_alloc &) {
    calls.node.commands().restart("no memory");
    return true;
}

} // namespace websocket::nginx
