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
using redis_answer = void (*)(void *data, const redisReply *reply);

class redis_link {
public:
    struct owner {
        // Called once, from the event loop, when all answers have been called.
        // The link is gone by then.
        virtual void link_ended(std::string_view why) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // On its way to the server; null: it could not even begin, and `why` says
    // so. An address is numeric: a name would make hiredis wait for a resolver.
    static redis_link *to_address(owner &told, const std::string &address,
                                  std::uint16_t port, std::string &why);
    static redis_link *to_socket(owner &told, const std::string &path,
                                 std::string &why);

    redis_link(const redis_link &) = delete;
    redis_link &operator=(const redis_link &) = delete;

    // See redis_connection::command. Nothing but subscriptions may follow a
    // subscription.
    bool command(std::span<const std::string_view> words, redis_answer answer,
                 void *data) noexcept;
    bool subscribe(std::span<const std::string_view> channels,
                   redis_answer answer, void *data) noexcept;
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
    void end(std::string_view why) noexcept;

    // Ends it, and its owner is not told. Answers are called with null; or,
    // with nobody left, not at all.
    void leave(bool nobody_left) noexcept;

    bool alive() const noexcept { return context_ != nullptr && !ending_; }

    // Bytes of commands that the socket has not taken yet.
    std::size_t unsent() const noexcept;

    // Commands and subscriptions that Redis has not answered yet, and for how
    // long they have waited for it to say anything at all.
    std::size_t unanswered() const noexcept { return unanswered_; }
    ngx_msec_t waiting() const noexcept { return ngx_current_msec - heard_; }

private:
    struct listener {
        redis_answer answer;
        void *data;

        bool operator==(const listener &) const = default;
    };

    static constexpr std::string_view unasked =
        "it says what it was not asked for";

    explicit redis_link(owner &told) noexcept;
    ~redis_link() = default;

    static redis_link *begin(owner &told, redisAsyncContext *context,
                             std::string &why);

    bool send(std::span<const std::string_view> words, redisCallbackFn *called,
              const listener *listening);
    const listener &remember(redis_answer answer, void *data);
    void expect_answer() noexcept;
    void heard(const redisReply *reply, bool answered) noexcept;

    // redis_link_events.cpp
    bool attach(redisAsyncContext &context) noexcept;
    void watch(ngx_event_t &event) noexcept;
    void forget_connection() noexcept;
    void write() noexcept;
    bool speaks_unasked() const noexcept;

    // What hiredis calls
    static void replied(redisAsyncContext *context, void *reply,
                        void *) noexcept;
    static void published(redisAsyncContext *context, void *reply,
                          void *listening) noexcept;
    static void wants_read(void *data) noexcept;
    static void wants_write(void *data) noexcept;
    static void wants_no_write(void *data) noexcept;
    static void lets_go(void *data) noexcept;

    // What nginx calls
    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_end(ngx_event_t *event) noexcept;

    owner *owner_;                         // null: nobody is to be told
    redisAsyncContext *context_ = nullptr; // null: hiredis has let go of it
    ngx_connection_t *connection_ = nullptr;
    ngx_event_t flush_{};
    ngx_event_t ended_{};
    bool writing_ = false;
    bool ending_ = false;
    bool nobody_left_ = false;
    std::string why_;

    std::size_t unanswered_ = 0;
    ngx_msec_t heard_ = 0; // when it began to wait, or heard something

    std::deque<listener> answers_;  // of commands, in their order
    std::list<listener> listeners_; // of subscriptions, ever; hiredis has them

    // Of the command that is being sent; kept for the memory
    std::vector<const char *> words_;
    std::vector<std::size_t> sizes_;
};

} // namespace websocket::nginx
