// One connection of hiredis in nginx's event loop, from its beginning to its
// end: it never comes back.
//
// hiredis frees its context when it likes, even under the feet of what called
// it. So a link belongs to itself: it is told to end, and goes when hiredis is
// through with it.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/hiredis/library.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// What came back: lent for the call. Null: the connection ended before.
using reply_callback = void (*)(void *data, const redisReply *reply);

class redis_context {
public:
    struct owner {
        // Called once, from the event loop, when all answers have been called.
        // The link is gone by then.
        virtual void context_ended(std::string_view reason) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // On its way to the server; null: it could not even begin, and `why` says
    // so. An address is numeric: a name would make hiredis wait for a resolver.
    static redis_context *connect_tcp(owner &holder, const std::string &address,
                                      std::uint16_t port, std::string &reason);
    static redis_context *connect_unix(owner &holder, const std::string &path,
                                       std::string &reason);

    redis_context(const redis_context &) = delete;
    redis_context &operator=(const redis_context &) = delete;

    // See redis_connection::command. Nothing but subscriptions may follow a
    // subscription.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;
    bool subscribe(std::span<const std::string_view> channels,
                   reply_callback callback, void *data) noexcept;
    bool unsubscribe(std::span<const std::string_view> channels) noexcept;

    // Sends what waits now, not at the end of the turn.
    void flush() noexcept
    {
        if (alive()) {
            write();
        }
    }

    // Ends it for that reason, unless it is ending already. The answers that
    // are due may be called before it returns.
    void end(std::string_view reason) noexcept;

    // Ends it, and its owner is not told. Answers are called with null; or,
    // with nobody left, not at all.
    void abandon(bool silently) noexcept;

    bool alive() const noexcept { return context_ != nullptr && !ending_; }

    // Bytes of commands that the socket has not taken yet.
    std::size_t unsent() const noexcept;

    // Commands and subscriptions that Redis has not answered yet, and for how
    // long they have waited for it to say anything at all.
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
        "it says what it was not asked for";

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

    // redis_link_events.cpp
    bool attach(redisAsyncContext &context) noexcept;
    void add_event(ngx_event_t &event) noexcept;
    void release_connection() noexcept;
    void write() noexcept;
    bool has_unsolicited_data() const noexcept;

    // What hiredis calls
    static void on_reply(redisAsyncContext *context, void *reply,
                         void *) noexcept;
    static void on_subscription_reply(redisAsyncContext *context, void *reply,
                                      void *data) noexcept;
    static void add_read(void *data) noexcept;
    static void add_write(void *data) noexcept;
    static void del_write(void *data) noexcept;
    static void on_context_freed(void *data) noexcept;

    // What nginx calls
    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_end(ngx_event_t *event) noexcept;

    owner *owner_;                         // null: nobody is to be told
    redisAsyncContext *context_ = nullptr; // null: hiredis has let go of it
    ngx_connection_t *connection_ = nullptr;
    ngx_event_t flush_event_{};
    ngx_event_t ended_event_{};
    bool writing_ = false;
    bool ending_ = false;
    bool silenced_ = false;
    std::string reason_;

    std::size_t unanswered_ = 0;
    ngx_msec_t received_at_ = 0; // when it began to wait, or heard something

    std::deque<subscriber> pending_; // of commands, in their order
    std::list<subscriber>
        subscribers_; // of subscriptions, ever; hiredis has them

    // Of the command that is being sent; kept for the memory
    std::vector<const char *> args_;
    std::vector<std::size_t> arg_sizes_;
};

} // namespace websocket::nginx
