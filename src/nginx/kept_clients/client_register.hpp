// Keeps the clients of this worker in Redis, so that another host sends their
// disconnect events if this one dies. Without Redis it does nothing.
//
// Only the ids of changed clients are queued, so little memory is taken while
// Redis is away. One call for each shard is out at a time.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/kept_clients/client_calls.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace websocket::nginx::backend {

// The code of a note whose disconnect event was answered, while Redis still has
// the client.
inline constexpr std::uint16_t answered_code = 1;

class client_register final : public shard_router::listener {
public:
    // The register of this worker.
    static client_register &instance() noexcept;

    // Keeps a client from now on. Does nothing without memory: the client gets
    // no disconnect event if the host dies.
    void keep(client &added, std::uint64_t id, std::uint32_t kind) noexcept;

    // The state of a client has changed, or its sequence.
    void update(std::uint64_t id) noexcept;
    void count(std::uint64_t id, std::uint64_t sequence) noexcept;

    // Forgets a client, whose note is removed once Redis has forgotten it too.
    // False: the caller removes the note.
    bool forget(std::uint64_t id, std::uint32_t kind,
                broker::note which) noexcept;

    // Another worker will forget the client.
    void abandon(std::uint64_t id) noexcept;

    // This worker stood still: checks whether other hosts have taken clients.
    void doubt() noexcept;

    // Whether that is not known yet of this client.
    bool is_doubtful(std::uint64_t id) noexcept;

    // Checks whether Redis still has all clients of a shard that it had.
    void check(unsigned shard) noexcept;

    // Writes what is to be forgotten, as far as Redis is there.
    void flush() noexcept;

private:
    struct kept {
        client *owner;
        std::uint32_t kind;
        std::uint64_t sequence = 0;  // of its last event
        std::uint64_t announced = 0; // higher; Redis has it, or is getting it
        bool changed = false;        // its id is in lane::changed
        bool sent = false;           // Redis may have it
        bool known = false;          // Redis has had it
    };

    struct forgotten {
        std::uint64_t id;
        std::uint32_t kind;
        broker::note note;
    };

    struct lane {
        unsigned shard = 0;
        std::unordered_map<std::uint64_t, kept> clients;
        std::deque<std::uint64_t> changed; // some may be gone
        std::deque<forgotten> gone;
        std::deque<forgotten> lately_gone;    // Redis has forgotten them
        std::vector<std::uint64_t> unchecked; // likewise

        bool rewrites = false; // all clients
        bool refused = false;  // Redis has not taken the last ones
        bool doubted = false;
        ngx_msec_t doubted_at = 0;

        // The call that is out
        bool busy = false;
        std::size_t forgetting = 0;         // of `gone`, the first ones
        std::vector<std::uint64_t> writing; // their ids

        ngx_msec_t retry_at = 0; // not before this time; 0: at once
    };

    client_register();

    void on_shard_ready(unsigned shard) noexcept override;

    // Redis is written to when a client comes so close to the sequence that it
    // has, so that no event has a higher one.
    static constexpr std::uint64_t sequence_margin = 16;

    lane &lane_of(std::uint64_t id) noexcept;
    static void mark_changed(lane &in, std::uint64_t id, kept &which);
    static void forget_again(lane &in) noexcept;
    static void end_forgetting(lane &in) noexcept;
    void work(lane &in) noexcept;
    bool write(lane &in, shard_router &redis);
    bool ask(lane &in, shard_router &redis);
    static void on_written(void *data, const redisReply *reply) noexcept;
    static void on_checked(void *data, const redisReply *reply) noexcept;
    static void refuse(lane &in, const redisReply *reply) noexcept;
    void retry_later(lane &in) noexcept;
    static void on_timer(ngx_event_t *event);

    std::array<lane, redis::shard_count> lanes_;
    ngx_event_t timer_{};
};

} // namespace websocket::nginx::backend
