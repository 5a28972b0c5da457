// What the worker that leads its host does: it keeps the host in touch with
// Redis, follows the resources that the host's workers have subscribed to,
// and tells the other hosts how many clients they have here.
//
// Every worker has one of these; one of them leads. When that is gone another
// takes over at once, and reads from the streams what came between.
#pragma once

#include "nginx/backplane/replica.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/hiredis/connection.hpp"
#include "nginx/hiredis/script_runner.hpp"
#include "nginx/workers/control_channel.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <string_view>

namespace websocket::nginx {

class redis_leader final : script_runner::listener,
                           redis_connection::owner,
                           control_reader::listener {
public:
    // Throws std::bad_alloc.
    redis_leader(const redis_settings &settings, script_runner &redis);
    redis_leader(const redis_leader &) = delete;
    redis_leader &operator=(const redis_leader &) = delete;
    ~redis_leader(); // another worker leads then

    // The host's last worker takes it out of Redis; nothing happens with
    // another. To be called at the worker's end.
    void unregister_if_last() noexcept;

    // Leads if nobody does.
    void try_lead() noexcept;

    // Redis is there again, as another worker has found.
    void retry_now() noexcept { subscriber_.retry_now(); }

private:
    using replica_map =
        std::map<std::string, std::unique_ptr<replica>, std::less<>>;

    // redis_commands
    void on_commands_ready() noexcept override;
    void on_commands_lost() noexcept override;

    // The connection for news.
    void on_redis_ready() noexcept override;
    void on_redis_lost(std::string_view reason) noexcept override;

    // The workers of this host.
    void on_event(control_event what, std::uint64_t from,
                  std::string_view name) noexcept override;
    void on_overrun() noexcept override;

    // redis_leader.cpp: leading
    void become_leader() noexcept;
    void step_down() noexcept;
    void on_disconnect() noexcept;
    void on_connect() noexcept;
    static void on_second(ngx_event_t *event);
    void every_second();

    // redis_lease.cpp: the host among the others
    void renew_lease();
    void on_lease_renewed(const redisReply &reply);
    void purge_host(std::string_view host);
    void find_orphans();
    void remove_orphans(const redisReply &names);
    static void on_orphans_reply(void *data, const redisReply *reply) noexcept;
    static void on_renew_reply(void *data, const redisReply *reply) noexcept;
    static void on_purge_reply(void *data, const redisReply *reply) noexcept;
    bool lease_is_due() noexcept;

    // redis_following.cpp: the logs
    static bool request_sync(replica::environment &of, const script_call &call,
                             std::string_view name, std::uint64_t number);
    static bool notify(replica::environment &of, const script_call &call,
                       std::string_view name);
    static void on_clients_changed(replica::environment &of,
                                   std::string_view name);
    static void on_notify_reply(void *data, const redisReply *reply) noexcept;
    void schedule_notify(std::string_view name);
    static void on_sync_reply(void *data, const redisReply *reply) noexcept;
    static void on_channel_reply(void *data, const redisReply *reply) noexcept;
    void handle_channel_reply(std::string_view type, std::string_view channel,
                              std::string_view text);
    replica *find_replica(std::string_view name) noexcept;
    replica &follow(std::string_view name);
    void follow_all();
    void subscribe_more();
    void unfollow(replica_map::iterator at);
    void unfollow_unused();
    void keep_alive();
    void clients_changed(std::string_view name, bool lost);
    static void tick(ngx_event_t *event);
    void notify_changes();

    // Without memory all begins anew.
    template <class Work>
    void with_oom_restart(Work work) noexcept
    try {
        work();
    } catch (const std::bad_alloc &) {
        subscriber_.restart("no memory");
    }

    const redis_settings &settings_;
    script_runner &redis_;
    redis_connection subscriber_;
    control_reader control_;

    struct shared_environment final : replica::environment {
        redis_leader &leader;
    } environment_;

    bool leading_ = false;
    bool registered_ = false; // Redis knows of the host, on this connection
    bool subscribed_ = false; // and sends its heartbeat
    bool heartbeat_ = false;  // which has come since the last renewal
    unsigned leaderless_seconds_ = 0;

    ngx_msec_t renewed_at_ = 0;   // asked for
    ngx_msec_t heartbeat_at_ = 0; // since when one is due; 0: none is

    replica_map replicas_;
    std::set<std::string, std::less<>> changed_; // names
    std::set<std::string, std::less<>>
        lost_clients_;                          // of them: clients were lost
    std::set<std::string, std::less<>> unused_; // perhaps: see leave_unused
    std::deque<std::string> to_subscribe_;
    std::size_t subscribing_ = 0; // asked for, and not yet confirmed
    std::string kept_alive_;      // the last one
    unsigned seconds_ = 0;

    ngx_event_t second_{};
    ngx_event_t tick_{};
};

} // namespace websocket::nginx
