// Publishes messages of this worker to Redis, in one order and each once, also
// over broken connections.
//
// A message is queued until Redis has replied, for at most command_timeout,
// also while the Redis that has its shard is unreachable. A message without a
// reply when a connection breaks, or when its shard moves to another Redis, is
// sent again, marked, so that Redis detects duplicates. The messages of one
// shard stay in order. Each request gets one result. Events that
// nobody waits for may be queued longer.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

enum class publish_kind : std::uint8_t {
    stored,    // a message
    transient, // a message that is not stored
    query,     // no message: describes the resource
    direct     // an entry for the inboxes of other hosts
};

// Others are not sent again, because they would be old, or arrive twice.
constexpr bool is_repeatable(publish_kind kind) noexcept
{
    return kind == publish_kind::stored || kind == publish_kind::query;
}

struct publish_outcome {
    bool done = false;       // otherwise not published, as far as is known
    broker::message_id id{}; // of the stored message, or of the last; 0-0: none
    std::uint64_t messages = 0; // in the history, for a query
    std::uint32_t clients = 0;  // on all hosts, with counts_clients

    // Of a direct entry: the hosts that get it; and whether an inbox is full
    std::vector<std::string> hosts{};
    bool inbox_full = false;
};

// A message for the clients of a resource on all hosts. Of a direct entry the
// name is the id prefix of the only host that gets it, or empty for all others.
// With counts_clients no host gets it if the inbox of one is full.
struct publish_request {
    publish_kind kind = publish_kind::stored;
    std::string_view name; // name of the log
    broker::publication what;
    broker::limits history;         // of the resource
    bool counts_clients = false;    // set publish_outcome::clients
    std::size_t callback_bytes = 0; // memory that `data` refers to
    bool may_be_late = false;       // by max_delay

    // Called exactly once if the request is accepted.
    void (*on_result)(void *data, const publish_outcome &outcome);
    void *data;
};

class redis_publisher final : shard_router::listener {
public:
    // Throws std::bad_alloc.
    explicit redis_publisher(shard_router &redis);
    redis_publisher(const redis_publisher &) = delete;
    redis_publisher &operator=(const redis_publisher &) = delete;
    ~redis_publisher(); // fails all pending requests

    // Called with true when half of the queue is used, so that publishers
    // pause; with false when a quarter is.
    void (*on_congestion)(bool begins) noexcept = nullptr;

    // Copies the request. False: the queue is full, or no memory.
    bool publish(const publish_request &request) noexcept;

private:
    struct entry {
        std::string name;
        std::string payload;
        std::uint64_t number; // counts the stored messages of its shard
        broker::limits history;
        std::uint64_t from;
        ngx_msec_t deadline;
        std::uint8_t kind;
        publish_kind request_kind;
        bool counts_clients;
        std::size_t callback_bytes;
        bool may_be_late;
        bool resent = false;    // was sent before
        bool completed = false; // on_result was called
        void (*on_result)(void *, const publish_outcome &);
        void *data;

        std::size_t size() const noexcept
        {
            return sizeof(entry) + name.size() + payload.size() +
                   callback_bytes;
        }
    };

    // The requests of one shard, in their order.
    struct lane {
        redis_publisher *publisher = nullptr;
        unsigned shard = 0;
        std::deque<entry> sent; // without a reply
        std::deque<entry> queued;
        std::size_t queued_bytes = 0;
        std::uint64_t last_number = 0;
        ngx_msec_t renewed_at = 0; // see the script; 0: never

        // The shard was lost: one request is sent until it has a reply, so that
        // none overtakes one that is refused for the moment
        bool probing = false;
    };

    void on_shard_ready(unsigned shard) noexcept override;
    void on_shard_lost(unsigned shard) noexcept override;

    static void on_reply(void *data, const redisReply *reply) noexcept;
    static void on_timeout(ngx_event_t *event);

    bool has_capacity(const lane &to, std::size_t size) const noexcept;
    void send_queued(lane &from) noexcept;
    void complete_first(lane &of, const redisReply *reply) noexcept;
    void complete(entry &of, const publish_outcome &outcome) noexcept;
    void requeue(lane &to, entry &&sent) noexcept;
    static bool expired(const entry &one) noexcept;
    void expire(lane &of) noexcept;
    ngx_msec_int_t time_left() const noexcept;
    void rearm_timer() noexcept;
    void update_congestion() noexcept;
    void update_connected() noexcept;

    // publisher_commands.cpp
    bool send(lane &of, const entry &next) noexcept;
    bool send_stored(lane &of, const entry &next);
    bool send_transient(lane &of, const entry &next);
    bool send_query(lane &of, const entry &next);
    bool send_direct(lane &of, const entry &next);
    static publish_outcome result_of(const redisReply *reply,
                                     publish_kind kind) noexcept;

    shard_router &redis_;
    std::array<lane, redis::shard_count> lanes_;
    const std::string worker_id_; // unique across hosts and time

    // Of all lanes
    std::size_t sent_bytes_ = 0;
    std::size_t queued_bytes_ = 0;
    std::uint32_t requests_ = 0;
    std::size_t uncompleted_ = 0;

    ngx_event_t timer_{};
    bool closing_ = false;
    bool congested_ = false;
};

// The number of messages that Redis keeps, and for how long after the last use.
broker::limits stream_limits_of(const broker::limits &history) noexcept;

} // namespace websocket::nginx
