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

class redis_leader final : redis_commands::listener,
                           redis_connection::owner,
                           control_reader::listener {
public:
    // Throws std::bad_alloc.
    redis_leader(const redis_settings &settings, redis_commands &redis);
    redis_leader(const redis_leader &) = delete;
    redis_leader &operator=(const redis_leader &) = delete;
    ~redis_leader(); // another worker leads then

    // The host's last worker takes it out of Redis; nothing happens with
    // another. To be called at the worker's end.
    void leave_if_last() noexcept;

    // Leads if nobody does.
    void consider() noexcept;

    // Redis is there again, as another worker has found.
    void hurry() noexcept { news_.hurry(); }

private:
    using log_map =
        std::map<std::string, std::unique_ptr<followed_log>, std::less<>>;

    // redis_commands
    void commands_ready() noexcept override;
    void commands_lost() noexcept override;

    // The connection for news.
    void redis_ready() noexcept override;
    void redis_lost(std::string_view why) noexcept override;

    // The workers of this host.
    void on_event(control_event what, std::uint64_t from,
                  std::string_view name) noexcept override;
    void on_overrun() noexcept override;

    // redis_leader.cpp: leading
    void lead() noexcept;
    void resign() noexcept;
    void lose_touch() noexcept;
    void get_in_touch() noexcept;
    static void second_passed(ngx_event_t *event);
    void each_second();

    // redis_lease.cpp: the host among the others
    void renew();
    void renewed(const redisReply &reply);
    void bury(std::string_view host);
    void look_for_lost();
    void tell_lost(const redisReply &names);
    static void lost_answered(void *data, const redisReply *reply) noexcept;
    static void renew_answered(void *data, const redisReply *reply) noexcept;
    static void bury_answered(void *data, const redisReply *reply) noexcept;
    bool lease_is_due() noexcept;

    // redis_following.cpp: the logs
    static bool ask(followed_log::context &own, const script_call &call,
                    std::string_view name, std::uint64_t number);
    static bool tell(followed_log::context &own, const script_call &call,
                     std::string_view name);
    static void changed(followed_log::context &own, std::string_view name);
    static void tell_answered(void *data, const redisReply *reply) noexcept;
    void tell_soon(std::string_view name);
    static void sync_answered(void *data, const redisReply *reply) noexcept;
    static void news(void *data, const redisReply *reply) noexcept;
    void take_news(std::string_view type, std::string_view channel,
                   std::string_view text);
    followed_log *find(std::string_view name) noexcept;
    followed_log &follow(std::string_view name);
    void follow_all();
    void subscribe_more();
    void leave(log_map::iterator at);
    void leave_unused();
    void keep_alive();
    void clients_changed(std::string_view name, bool lost);
    static void tick(ngx_event_t *event);
    void tell_changes();

    // Without memory all begins anew.
    template <class Work>
    void safely(Work work) noexcept
    try {
        work();
    } catch (const std::bad_alloc &) {
        news_.restart("no memory");
    }

    const redis_settings &settings_;
    redis_commands &redis_;
    redis_connection news_;
    control_reader control_;

    struct following final : followed_log::context {
        redis_leader &leader;
    } context_;

    bool leading_ = false;
    bool registered_ = false; // Redis knows of the host, on this connection
    bool listening_ = false;  // and sends its heartbeat
    bool heartbeat_ = false;  // which has come since the last renewal
    unsigned vacant_seconds_ = 0;

    ngx_msec_t renewed_at_ = 0;   // asked for
    ngx_msec_t heartbeat_at_ = 0; // since when one is due; 0: none is

    log_map logs_;
    std::set<std::string, std::less<>> changed_; // names
    std::set<std::string, std::less<>> lost_;    // of them: clients were lost
    std::set<std::string, std::less<>> unused_;  // perhaps: see leave_unused
    std::deque<std::string> to_subscribe_;
    std::size_t subscribing_ = 0; // asked for, and not yet confirmed
    std::string kept_alive_;      // the last one
    unsigned seconds_ = 0;

    ngx_event_t second_{};
    ngx_event_t tick_{};
};

} // namespace websocket::nginx
