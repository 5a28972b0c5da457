// A connection to Redis that keeps itself up: it connects, authenticates,
// selects the database, and when it breaks it tries again, with pauses that
// grow from 0.1 to 5 seconds.
//
// Of one thread, the worker's. Whatever it calls, an answer or its owner, may
// call it back and may destroy it: to it, that call is always the last thing
// it does.
#pragma once

#include "nginx/core/redis_settings.hpp"
#include "nginx/hiredis/context.hpp"
#include "nginx/hiredis/resolver.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

class redis_connection final : redis_context::owner {
public:
    struct owner {
        // Connected, authenticated, the database selected.
        virtual void on_redis_ready() noexcept = 0;

        // Was ready or could not become it, for the reason `why`, one line
        // that is lent for the call; tries again by itself. All commands have
        // had their answers.
        virtual void on_redis_lost(std::string_view reason) noexcept = 0;

    protected:
        ~owner() = default;
    };

    enum class role {
        commands,  // anything that has one answer each
        subscriber // SUBSCRIBE and UNSUBSCRIBE, in capitals, and no more
    };

    // The settings and the owner outlive it.
    redis_connection(const redis_settings &settings, owner &holder,
                     role as) noexcept;

    // Closes, calling nobody: not the owner, and no answer.
    ~redis_connection();

    redis_connection(const redis_connection &) = delete;
    redis_connection &operator=(const redis_connection &) = delete;

    // From now on it keeps itself connected. Calls nobody before it returns.
    void open() noexcept;

    // And stays closed. Commands without an answer get null, the owner is not
    // told.
    void close() noexcept;

    bool ready() const noexcept;

    // Sends a command behind those before it; what one turn of the event loop
    // asks leaves in one piece. The words are copied. False: not ready, or no
    // memory, and `answer` will not be called.
    //
    // Role commands: `answer` (null: nobody) is called once, in the order of
    // the commands, with null if the connection ended before. If nothing at
    // all comes for command_timeout while one waits, the connection ends.
    //
    // Role subscriber: the answer of SUBSCRIBE is called with each reply that
    // has the name of one of its channels: arrays of three, "subscribe",
    // "message" or "unsubscribe", the channel, and a payload or a number;
    // behind "unsubscribe" nothing comes for a channel. If the connection
    // ends, it is called with null once for each channel. The pair of answer
    // and data is remembered as long as the connection lasts: use few.
    // UNSUBSCRIBE names channels; what it is given as answer is not called.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // Ends the connection as if it had broken, and tries again: the owner has
    // found it useless. If none is ready, nothing happens. Answers that are
    // due may be called before it returns, redis_lost is called later.
    void restart(std::string_view reason) noexcept;

    // The same where nothing is wrong with the server: the log has a notice.
    void reconnect(std::string_view reason) noexcept;

    // Tries again at once, if it is waiting to: the server is there again.
    void retry_now() noexcept;

    // Has what was asked for leave now, not at the end of the turn.
    void flush() noexcept;

    // How often it has become ready.
    std::uint64_t connects() const noexcept { return connects_; }

    // Bytes of commands that the socket has not taken yet. It is for the owner
    // to stop asking when they are too many.
    std::size_t unsent() const noexcept;

private:
    enum class state { closed, backing_off, resolving, connecting, ready };

    void context_ended(std::string_view reason) noexcept override;

    void start_connecting() noexcept;
    void try_next_address() noexcept;
    bool connect_to_address() noexcept;
    bool send_setup_commands() noexcept;
    void on_ready() noexcept;
    void on_failure() noexcept;
    void check_command_timeout() noexcept;
    void start_timer(ngx_msec_t time) noexcept;
    void stop_timer() noexcept;
    std::string sanitize_reason(std::string_view reason) const;

    static void on_resolved(void *data, std::vector<std::string> *addresses,
                            std::string_view reason) noexcept;
    static void on_setup_reply(void *data, const redisReply *reply) noexcept;
    static void on_timer(ngx_event_t *event) noexcept;

    const redis_settings &settings_;
    redis_connection::owner &owner_;
    role role_;
    state state_ = state::closed;

    redis_lookup lookup_;
    std::vector<std::string> addresses_; // to be tried, in this order
    std::size_t next_address_ = 0;
    std::string reason_; // the last of them was of no use

    redis_context *context_ = nullptr;
    unsigned setup_replies_left_ = 0; // that have no answer yet
    ngx_msec_t ready_since_ = 0;
    ngx_msec_t backoff_;
    bool down_ = false; // lost, and not ready since
    bool planned_reconnect_ = false;
    bool flapping_ = false; // it was of no use for long when it was there
    std::uint64_t connects_ = 0;

    // Of what the state is about: the pause, the time to become ready, or when
    // to look whether a command has waited too long
    ngx_event_t timer_{};
};

} // namespace websocket::nginx
