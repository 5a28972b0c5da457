// Takes the clients of hosts that have died from Redis, and sends their
// disconnect events. The leader of a host does that, in small steps.
//
// A host whose lease has ended counts as dead once this host has had an
// unbroken connection to Redis for as long as a lease lasts.
#pragma once

#include "broker/types.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/kept_clients/client_calls.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "redis/client_entry.hpp"
#include "redis/keys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx::backend {

// In milliseconds: of a host, for its clients in one shard.
inline constexpr ngx_msec_t client_lease = 10'000;

// Has the lease of this host renewed in the shard, from now on.
void use_client_shard(unsigned shard) noexcept;

// There was no lease in the shard: all workers check whether another host has
// taken clients, or Redis has lost some.
void report_no_lease(unsigned shard) noexcept;

class client_claims final : public shard_router::listener {
public:
    // The one of this worker.
    static client_claims &instance() noexcept;

    void start(ngx_cycle_t *cycle) noexcept;

    // Whether this worker has just stood still for so long that another host
    // may have taken its clients.
    bool stood_still() const noexcept;

    // At the end of the worker. If it is the host's last one, other hosts may
    // take what is left.
    void end() noexcept;

private:
    struct claimed {
        std::string id;
        std::string entry;
        broker::note note;
    };

    // Clients of one host and one location, which is answered by one host
    struct batch {
        unsigned shard;
        std::string host;
        std::string kind;
        std::string position; // "0": the last one
        std::vector<claimed> clients;
        bool asked; // a call is out
    };

    client_claims() = default;

    void on_shard_ready(unsigned shard) noexcept override;

    static void on_second(ngx_event_t *event);
    void every_second(shard_router &redis);
    void renew(shard_router &redis, unsigned shard);
    void find(shard_router &redis, unsigned shard, std::string_view host,
              std::string_view kind, std::string_view position);
    bool note_clients(const redisReply &found);
    void take(shard_router &redis);
    static void adopt_taken(const batch &from,
                            const redisReply &taken) noexcept;
    static void adopt(const claimed &client, std::uint32_t kind) noexcept;
    void end_batch() noexcept;
    static void end_leases();
    bool is_steady(unsigned shard) const noexcept;
    void doubt() noexcept;
    static std::string tagged_prefix(const shard_router &redis, unsigned shard);
    static bool has_error(const redisReply *reply,
                          const char *command) noexcept;
    static void on_renewed(void *data, const redisReply *reply) noexcept;
    static void on_found(void *data, const redisReply *reply) noexcept;
    static void on_taken(void *data, const redisReply *reply) noexcept;

    std::array<ngx_msec_t, redis::shard_count> steady_since_{};
    std::optional<batch> batch_;
    unsigned next_shard_ = 0; // to look at
    unsigned seconds_ = 0;
    unsigned looking_ = 0;     // calls that are out
    ngx_msec_t looked_at_ = 0; // the first of them
    ngx_msec_t last_second_ = 0;
    ngx_event_t second_{};
};

} // namespace websocket::nginx::backend
