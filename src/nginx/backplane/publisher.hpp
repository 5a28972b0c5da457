// Publishes messages of this worker to Redis, in one order and each once, also
// over broken connections.
//
// A message is queued until Redis has replied, for at most command_timeout,
// also without a connection. A message without a reply when a connection breaks
// is sent again on the next one, marked, so that Redis detects duplicates. Each
// request gets one result. Events that nobody waits for may be queued longer.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace websocket::nginx {

enum class publish_kind : std::uint8_t {
    stored,    // a message
    transient, // a message that is not stored
    query      // no message: describes the resource
};

struct publish_outcome {
    bool done = false;     // otherwise not published, as far as is known
    broker::message_id id; // of the stored message, or of the last; 0-0: none
    std::uint64_t messages = 0; // in the history, for a query
    std::uint32_t clients = 0;  // on all hosts, with counts_clients
};

// A message for the clients of a resource on all hosts.
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

class redis_publisher final : script_runner::listener {
public:
    // Throws std::bad_alloc.
    explicit redis_publisher(script_runner &commands);
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

    void on_commands_ready() noexcept override { send_queued(); }
    void on_commands_lost() noexcept override;

    static void on_reply(void *data, const redisReply *reply) noexcept;
    static void on_timeout(ngx_event_t *event);

    bool has_capacity(std::size_t size) const noexcept;
    std::uint64_t number_of(const publish_request &request) noexcept;
    std::size_t &unanswered_like(const entry &one) noexcept;
    void send_queued() noexcept;
    std::uint32_t clients_here() const noexcept;
    void complete_first(const redisReply *reply) noexcept;
    static void complete(entry &of, const publish_outcome &outcome) noexcept;
    void requeue(entry &&sent) noexcept;
    static bool expired(const entry &one) noexcept;
    void expire() noexcept;
    void rearm_timer() noexcept;
    void update_congestion() noexcept;

    // publisher_commands.cpp
    bool send(const entry &next) noexcept;
    bool send_stored(const entry &next);
    bool send_transient(const entry &next);
    bool send_query(const entry &next);
    static publish_outcome result_of(const redisReply *reply) noexcept;

    script_runner &redis_;
    std::deque<entry> sent_; // without a reply
    std::deque<entry> queued_;
    std::size_t sent_bytes_ = 0;
    std::size_t queued_bytes_ = 0;
    const std::string worker_id_; // unique across hosts and time

    struct shard_state {
        std::uint64_t last_number = 0;
        std::size_t unanswered = 0; // of sent_, stored messages
        ngx_msec_t renewed_at = 0;  // see the script; 0: never
    };
    std::array<shard_state, redis::shard_count> shards_{};
    std::size_t unanswered_others_ = 0;

    ngx_event_t timer_{};
    bool closing_ = false;
    bool congested_ = false;
};

// The number of messages that Redis keeps, and for how long after the last use.
broker::limits stream_limits_of(const broker::limits &history) noexcept;

} // namespace websocket::nginx
