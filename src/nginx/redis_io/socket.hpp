// One connection to Redis in nginx's event loop, from connecting to its end. It
// never reconnects. nginx reads and writes; hiredis parses the replies.
//
// It owns itself, because a callback may end it while it dispatches replies: it
// is asked to end, and deletes itself in a later event.
#pragma once

#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/captured_log.hpp"
#include "nginx/redis_io/library.hpp"

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// Called with a reply, valid during the call. Null: the connection ended first.
using reply_callback = void (*)(void *data, const redisReply *reply);

class redis_socket {
public:
    struct owner {
        // Called once, from the event loop, after all callbacks. The socket no
        // longer exists.
        virtual void socket_ended(std::string_view reason) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // Begins to connect. The settings must outlive it. With TLS the server's
    // certificate must have the name. Null: it failed at once, for `reason`.
    // Throws std::bad_alloc.
    static redis_socket *connect(owner &holder, const redis_settings &settings,
                                 const redis_peer &peer,
                                 const std::string &server_name,
                                 std::string &reason);

    redis_socket(const redis_socket &) = delete;
    redis_socket &operator=(const redis_socket &) = delete;

    // See redis_connection::command. False: it is ending, or no memory.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // SUBSCRIBE, UNSUBSCRIBE or the same for channels of shards. Only these and
    // ping() may follow.
    bool subscribe(std::span<const std::string_view> args,
                   reply_callback callback, void *data) noexcept;

    // Sends a PING, also after subscriptions: it is unanswered until its reply.
    void ping() noexcept;

    // Writes pending commands now instead of at the end of the turn.
    void flush() noexcept;

    // Ends the connection for that reason, unless it is ending already. Pending
    // callbacks are called later.
    void end(std::string_view reason) noexcept;

    // Ends the connection without calling its owner. Callbacks are called with
    // null before it returns, or not at all if `silently`.
    void abandon(bool silently) noexcept;

    bool alive() const noexcept { return connection_ != nullptr; }

    // The bytes of commands that the socket has not accepted yet.
    std::size_t unsent() const noexcept { return output_.size() - sent_; }

    // The number of commands, subscriptions and pings without a reply, and the
    // milliseconds without any data while they wait.
    std::size_t unanswered() const noexcept
    {
        return pending_.size() + unconfirmed_;
    }
    ngx_msec_t waiting() const noexcept
    {
        return ngx_current_msec - received_at_;
    }

private:
    struct pending_reply {
        reply_callback callback = nullptr; // may be null
        void *data = nullptr;

        void call(const redisReply *reply) const
        {
            if (callback != nullptr) {
                callback(data, reply);
            }
        }
    };

    friend std::default_delete<redis_socket>;

    redis_socket(owner &holder, const redis_settings &settings,
                 const std::string &server_name);
    ~redis_socket() = default;

    // socket.cpp: I/O
    bool open(const redis_peer &peer) noexcept;
    bool check_connected() noexcept;
    void on_connected() noexcept;
    void on_open() noexcept;
    void read_reason() noexcept;
    void receive() noexcept;
    void receive_once() noexcept;
    void close() noexcept;
    void fail_pending() noexcept;

    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_handshake(ngx_connection_t *c) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_ended(ngx_event_t *event) noexcept;

    // socket_commands.cpp
    bool append(std::span<const std::string_view> args) noexcept;
    void start_waiting() noexcept;
    void parse(std::string_view input) noexcept;
    void dispatch(const redisReply &reply) noexcept;

    owner *owner_; // null: nobody is called
    const redis_settings &settings_;
    std::string server_name_;
    ngx_connection_t *connection_ = nullptr; // null: closed
    captured_log log_;
    ngx_event_t flush_event_{};
    ngx_event_t ended_event_{};
    bool open_ = false; // connected, after the handshake of TLS
    bool write_failed_ = false;
    std::string reason_;

    std::string output_; // commands; the first sent_ bytes are written
    std::size_t sent_ = 0;

    std::unique_ptr<redisReader, decltype(&redisReaderFree)> reader_;
    std::deque<pending_reply> pending_; // of commands, in their order
    pending_reply subscriber_;          // of all subscriptions
    std::size_t unconfirmed_ = 0;       // subscriptions and pings
    ngx_msec_t received_at_ = 0; // the last data, or the start of waiting
};

} // namespace websocket::nginx
