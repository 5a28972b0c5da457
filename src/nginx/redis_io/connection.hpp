// A connection to Redis that stays up: it connects, authenticates and selects
// the database. When it breaks, it reconnects with a backoff of 0.1 to 5
// seconds. With sentinels it connects to the master that they name, and moves
// when they name another one.
//
// For the thread of the worker. Callbacks and the owner may call the
// connection, and may destroy it. Each such call is the last action of the
// function that makes it.
#pragma once

#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/resolver.hpp"
#include "nginx/redis_io/socket.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

class sentinel_group;

class redis_connection final : redis_socket::owner {
public:
    struct owner {
        // Connected and authenticated, and the database is selected.
        virtual void on_redis_ready() noexcept = 0;

        // The connection was lost or could not be established, for `reason`:
        // one line, valid during the call. All callbacks have been called. It
        // reconnects by itself.
        virtual void on_redis_lost(std::string_view reason) noexcept = 0;

    protected:
        ~owner() = default;
    };

    enum class role {
        commands,   // commands with one reply each
        subscriber, // only SUBSCRIBE, UNSUBSCRIBE, SSUBSCRIBE, SUNSUBSCRIBE
        sentinel,   // commands, then SUBSCRIBE; outages are not logged
        seed        // commands to any node of a cluster; the same
    };

    // The settings, the target and the owner must outlive it.
    redis_connection(const redis_settings &settings, const redis_target &target,
                     owner &holder, role as) noexcept;

    // To the server of the settings.
    redis_connection(const redis_settings &settings, owner &holder,
                     role as) noexcept
        : redis_connection{settings, settings.server, holder, as}
    {}

    // Closes without calling the owner or a callback.
    ~redis_connection();

    redis_connection(const redis_connection &) = delete;
    redis_connection &operator=(const redis_connection &) = delete;

    // Connects, and reconnects from now on. Calls nobody before it returns.
    void open() noexcept;

    // Closes permanently. Pending callbacks get null; the owner is not called.
    void close() noexcept;

    bool ready() const noexcept;

    // Sends a command. Commands of one turn of the event loop are written
    // together. Arguments are copied. False: not ready, or no memory; the
    // callback is not called.
    //
    // Role commands: the callback (null: none) is called once, in the order of
    // the commands, with null if the connection ends first. If nothing is
    // received for command_timeout while a reply is pending, the connection
    // ends.
    //
    // Role subscriber: the callback of SUBSCRIBE gets each reply for its
    // channels; all must give the same one. A reply is an array of three:
    // "subscribe", "message" or "unsubscribe", the channel, and a payload or a
    // number. After "unsubscribe" a channel has no more replies. When the
    // connection ends, the callback gets null. UNSUBSCRIBE takes channels; its
    // callback is not called. For the channels of shards in a cluster all begin
    // with an "s", and a reply may be an error that redirects to another node.
    //
    // Roles subscriber and commands: the connection sends a PING
    // at intervals of command_timeout, and ends without its reply.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // Ends the connection as if it had broken, because the owner cannot use it,
    // and reconnects. Does nothing unless it is ready. Calls nobody before it
    // returns.
    void restart(std::string_view reason) noexcept;

    // The same without an error of the server: logged as a notice.
    void reconnect(std::string_view reason) noexcept;

    // Reconnects at once if it is backing off, or soon after the attempt that
    // is under way fails: another worker found that the server is up.
    void retry_now() noexcept;

    // Writes pending commands now instead of at the end of the turn.
    void flush() noexcept;

    // The bytes of commands that the socket has not accepted yet. The owner
    // must limit them.
    std::size_t unsent() const noexcept;

private:
    enum class state { closed, backing_off, resolving, connecting, ready };

    void socket_ended(std::string_view reason) noexcept override;

    void start_connecting() noexcept;
    void ask_sentinels() noexcept;
    void use_masters();
    void follow_sentinels();
    void consult_sentinels() noexcept;
    bool find_literal_peer() noexcept;
    void try_next_peer() noexcept;
    bool connect_to_peer() noexcept;
    bool send_setup_commands() noexcept;
    void on_ready() noexcept;
    void on_failure() noexcept;
    void log_down(bool was_ready, std::string_view reason) noexcept;
    bool pings() const noexcept;
    void ping() noexcept;
    void check_command_timeout() noexcept;
    void start_timer(ngx_msec_t time) noexcept;
    void stop_timer() noexcept;
    std::string sanitize_reason(std::string_view reason) const;

    static void on_resolved(void *data, std::vector<redis_peer> *peers,
                            std::string_view reason) noexcept;
    static void on_setup_reply(void *data, const redisReply *reply) noexcept;
    static void on_optional_reply(void *data, const redisReply *reply) noexcept;
    static void on_role_reply(void *data, const redisReply *reply) noexcept;
    static void on_sentinels(ngx_event_t *event) noexcept;
    static void on_timer(ngx_event_t *event) noexcept;

    static constexpr ngx_msec_t min_backoff = 100;
    static constexpr ngx_msec_t max_backoff = 5000;

    const redis_settings &settings_;
    const redis_target &target_;
    redis_connection::owner &owner_;
    role role_;
    state state_ = state::closed;

    redis_lookup lookup_;
    std::vector<redis_peer> peers_; // tried in this order
    std::size_t next_peer_ = 0;
    std::string reason_; // why the last of them failed

    std::shared_ptr<sentinel_group> sentinels_; // null: none, or not yet used
    std::uint64_t seen_answers_ = 0;            // see sentinel_group::version()
    ngx_event_t sentinels_event_{};

    redis_socket *socket_ = nullptr;
    unsigned setup_replies_left_ = 0; // pending
    ngx_msec_t ready_since_ = 0;
    ngx_msec_t backoff_;
    bool down_ = false; // lost, and not ready again
    bool planned_reconnect_ = false;
    bool flapping_ = false;   // it was ready only for a short time
    bool retry_soon_ = false; // see retry_now()

    // The timer of the present state: the backoff, connect_timeout, or the
    // check of command_timeout
    ngx_event_t timer_{};
};

} // namespace websocket::nginx
