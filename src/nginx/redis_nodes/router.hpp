// Routes commands and subscriptions to the Redis that has their shard.
//
// Without a cluster one node has all shards. In a cluster the keys and the
// channel of a shard are in one slot (see redis/keys.hpp), and slots move to
// other nodes. A shard that moves is first lost and then ready again, exactly
// as after a broken connection: pending callbacks get null, and the callers
// send again what is still wanted.
//
// For the thread of the worker. Callbacks and listeners may call the router.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "nginx/redis_nodes/node.hpp"
#include "nginx/redis_nodes/seeds.hpp"
#include "redis/cluster.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

class shard_router final : redis_node::owner, cluster_seeds::owner {
public:
    // Called in the order of add_listener().
    struct listener {
        // Some Redis is up. on_shard_ready() follows for its shards.
        virtual void on_redis_up() noexcept {}

        virtual void on_shard_ready(unsigned) noexcept {}

        // Called after pending callbacks of the shard have got null.
        virtual void on_shard_lost(unsigned) noexcept {}

    protected:
        ~listener() = default;
    };

    // For the leader. A shard is linked while it is ready and the connection
    // for its channel is too.
    struct channel_listener {
        virtual void on_linked(unsigned shard) noexcept = 0;
        virtual void on_unlinked(unsigned shard) noexcept = 0;
        virtual void on_subscribed(unsigned shard) noexcept = 0;
        virtual void on_message(unsigned shard,
                                std::string_view text) noexcept = 0;
        virtual void on_inbox_subscribed() noexcept = 0;
        virtual void on_inbox_message() noexcept = 0;

    protected:
        ~channel_listener() = default;
    };

    // The settings must outlive it. Throws std::bad_alloc.
    explicit shard_router(const redis_settings &settings);
    shard_router(const shard_router &) = delete;
    shard_router &operator=(const shard_router &) = delete;
    ~shard_router(); // calls nobody

    // Throws std::bad_alloc.
    void add_listener(listener &added) { listeners_.push_back(&added); }

    void open() noexcept;

    // The scripts can be run on the node of the shard; without a shard, of any
    // shard.
    bool ready(unsigned shard) const noexcept
    {
        return shards_[shard].calls != nullptr;
    }
    bool ready() const noexcept;

    // See script_runner. Replies that only show that the node cannot run the
    // command are not passed to the callback: the shard is lost then.
    bool run(unsigned shard, const script_call &call, reply_callback callback,
             void *data) noexcept;
    bool command(unsigned shard, std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // Of the node of the shard, if it is ready. See script_runner.
    std::uint32_t run_id_hash(unsigned shard) const noexcept;

    void retry_now() noexcept;

    // Writes pending commands now: the process is about to exit.
    void flush() noexcept;

    const redis_settings &settings() const noexcept { return settings_; }

    // router_channels.cpp

    // The channel of the shard, with the prefix. Throws std::bad_alloc.
    std::string channel(unsigned shard) const;

    // Connects for channels, until close_channels().
    void open_channels(channel_listener &to) noexcept;
    void close_channels() noexcept;

    // Without a shard: whether any one is.
    bool linked(unsigned shard) const noexcept { return shards_[shard].linked; }
    bool linked() const noexcept;

    // The channel of a linked shard. Each subscription is confirmed with
    // on_subscribed(), and ends when the shard is unlinked. Throws
    // std::bad_alloc.
    void subscribe(unsigned shard);
    void unsubscribe(unsigned shard);

    // The same for the channel of the inbox of a host. It ends when the shard
    // of inboxes is unlinked.
    void subscribe_inbox(std::string_view uid);

    // Reconnects for channels, because the listener cannot continue.
    void restart_channels(std::string_view reason) noexcept;

private:
    struct pending_call {
        reply_callback callback; // may be null
        void *data;
    };

    // The calls of a shard on one node. It exists until all have a reply.
    struct shard_calls {
        shard_router &router;
        const unsigned shard;
        redis_node &node;
        const bool asking; // each call is preceded by ASKING
        bool lost = false; // replies are no longer passed on
        std::size_t unanswered = 0;
        std::deque<pending_call> pending;
    };

    struct shard_state {
        redis_node *owner = nullptr;  // null: unknown
        redis_node *asked = nullptr;  // has the keys of a moving slot; or null
        shard_calls *calls = nullptr; // null: not ready
        ngx_msec_t retry_at = 0;      // not before this time; 0: at once
        ngx_msec_t redirected_at = 0; // to another owner

        bool linked = false;
        bool wanted = false;        // a subscription
        bool confirmed = false;     // of it
        bool subscribed = false;    // at the owner, also if it is not linked
        bool channel_moved = false; // the owner does not serve the channel
        unsigned unsubscribing = 0; // replies that will come
    };

    // A node that refuses a shard for a while is asked again after this time.
    static constexpr ngx_msec_t redirect_delay = 30;

    using shard_list = std::array<shard_calls *, redis::shard_count>;

    // router.cpp: calls
    void on_node_ready(redis_node &node) noexcept override;
    void on_node_lost(redis_node &node) noexcept override;
    static bool waits(const shard_state &shard) noexcept;
    bool attach(unsigned shard) noexcept;
    void detach(unsigned shard) noexcept;
    static void fail_pending(shard_calls *calls) noexcept;
    template <typename Write>
    bool send(unsigned shard, reply_callback callback, void *data,
              Write write) noexcept;
    static bool record(shard_calls &calls, reply_callback callback,
                       void *data) noexcept;
    static void on_reply(void *data, const redisReply *reply) noexcept;
    void handle(shard_calls &calls, const redisReply &reply) noexcept;
    bool follow_redirect(shard_calls &calls, std::string_view error) noexcept;

    // router_nodes.cpp: which node has which shard
    redis_node &node_at(const redis::server_address &address);
    void set_owner(unsigned shard, redis_node &node) noexcept;
    void on_slots(const redisReply &reply,
                  const redis_target &from) noexcept override;
    void read_slots(const redisReply &reply, const redis_target &from);
    static void on_slots_reply(void *data, const redisReply *reply) noexcept;
    bool needs_slots() const noexcept;
    void ask_for_slots() noexcept;
    void close_unused_nodes() noexcept;
    void update() noexcept;
    void schedule(ngx_msec_t delay) noexcept;
    static void on_timer(ngx_event_t *event);

    // router_channels.cpp
    void on_channels_ready(redis_node &node) noexcept override;
    void on_channels_lost(redis_node &node) noexcept override;
    void update_links() noexcept;
    void forget_subscription(shard_state &shard) noexcept;
    void on_inbox_text(std::string_view type) noexcept;
    void lose_channel(shard_state &shard) noexcept;
    void leave_channel(unsigned shard) noexcept;
    static void on_channel_reply(void *data, const redisReply *reply) noexcept;
    void on_channel_text(redis_node &node, std::string_view type,
                         std::string_view channel,
                         std::string_view text) noexcept;
    void on_channel_moved(redis_node &node) noexcept;

    const redis_settings &settings_;
    std::vector<std::unique_ptr<redis_node>> nodes_;
    std::array<shard_state, redis::shard_count> shards_{};
    std::vector<listener *> listeners_;
    channel_listener *channels_ = nullptr; // null: not the leader
    std::string inbox_channel_;            // empty: no subscription
    bool inbox_confirmed_ = false;

    cluster_seeds seeds_;
    ngx_event_t timer_{};
    unsigned asked_ = 0; // times that nodes were asked for the slots
    ngx_msec_t asked_at_ = 0;
};

} // namespace websocket::nginx
