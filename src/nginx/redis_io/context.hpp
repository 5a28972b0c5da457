// One hiredis connection in nginx's event loop, from connecting to its end. It
// never reconnects.
//
// hiredis frees its context when it chooses, even during a call. So this object
// owns itself: it is asked to end, and deletes itself when hiredis has freed
// the context.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/redis_io/library.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Called with a reply, valid during the call. Null: the connection ended first.
using reply_callback = void (*)(void *data, const redisReply *reply);

class redis_context {
public:
    struct owner {
        // Called once, from the event loop, after all callbacks. The context no
        // longer exists.
        virtual void context_ended(std::string_view reason) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // Begins to connect. Null: it failed at once, for `reason`. The address
    // must be numeric: for a name hiredis would block in the resolver.
    static redis_context *connect_tcp(owner &holder, const std::string &address,
                                      std::uint16_t port, std::string &reason);
    static redis_context *connect_unix(owner &holder, const std::string &path,
                                       std::string &reason);

    redis_context(const redis_context &) = delete;
    redis_context &operator=(const redis_context &) = delete;

    // See redis_connection::command. After a subscription only subscriptions
    // may follow.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;
    bool subscribe(std::span<const std::string_view> channels,
                   reply_callback callback, void *data) noexcept;
    bool unsubscribe(std::span<const std::string_view> channels) noexcept;

    // Writes pending commands now instead of at the end of the turn.
    void flush() noexcept
    {
        if (alive()) {
            write();
        }
    }

    // Ends the connection for that reason, unless it is ending already. Pending
    // callbacks may be called before it returns.
    void end(std::string_view reason) noexcept;

    // Ends the connection without calling its owner. Callbacks are called with
    // null, or not at all if `silently`.
    void abandon(bool silently) noexcept;

    bool alive() const noexcept { return context_ != nullptr && !ending_; }

    // The bytes of commands that the socket has not accepted yet.
    std::size_t unsent() const noexcept;

    // The number of commands and subscriptions without a reply, and the
    // milliseconds without any data while they wait.
    std::size_t unanswered() const noexcept { return unanswered_; }
    ngx_msec_t waiting() const noexcept
    {
        return ngx_current_msec - received_at_;
    }

private:
    struct subscriber {
        reply_callback callback;
        void *data;

        bool operator==(const subscriber &) const = default;
    };

    static constexpr std::string_view unsolicited_data =
        "unexpected data without a command";

    explicit redis_context(owner &holder) noexcept;
    ~redis_context() = default;

    static redis_context *create(owner &holder, redisAsyncContext *context,
                                 std::string &reason);

    bool send(std::span<const std::string_view> args, redisCallbackFn *function,
              const subscriber *to);
    const subscriber &find_or_add_subscriber(reply_callback callback,
                                             void *data);
    void count_unanswered() noexcept;
    void on_received(const redisReply *reply, bool answered) noexcept;

    // adapter.cpp
    bool attach(redisAsyncContext &context) noexcept;
    void add_event(ngx_event_t &event) noexcept;
    void release_connection() noexcept;
    void write() noexcept;
    bool has_unsolicited_data() const noexcept;

    // Called by hiredis
    static void on_reply(redisAsyncContext *context, void *reply,
                         void *) noexcept;
    static void on_subscription_reply(redisAsyncContext *context, void *reply,
                                      void *data) noexcept;
    static void add_read(void *data) noexcept;
    static void add_write(void *data) noexcept;
    static void del_write(void *data) noexcept;
    static void on_context_freed(void *data) noexcept;

    // Called by nginx
    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_end(ngx_event_t *event) noexcept;

    owner *owner_;                         // null: nobody is called
    redisAsyncContext *context_ = nullptr; // null: hiredis has freed it
    ngx_connection_t *connection_ = nullptr;
    ngx_event_t flush_event_{};
    ngx_event_t ended_event_{};
    bool writing_ = false;
    bool ending_ = false;
    bool silenced_ = false;
    std::string reason_;

    std::size_t unanswered_ = 0;
    ngx_msec_t received_at_ = 0; // the last data, or the start of waiting

    std::deque<subscriber> pending_; // callbacks of commands, in their order

    // Callbacks of all subscriptions. hiredis has pointers to them
    std::list<subscriber> subscribers_;

    // Buffers for the command being sent, kept for reuse
    std::vector<const char *> args_;
    std::vector<std::size_t> arg_sizes_;
};

} // namespace websocket::nginx
