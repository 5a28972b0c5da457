// One connection of hiredis in nginx's event loop, from its beginning to its
// end: it never comes back.
//
// hiredis frees its context when it likes, even under the feet of what called
// it. So a link belongs to itself: it is told to end, and goes when hiredis is
// through with it.
#pragma once

#include "nginx/nginx_headers.hpp"
#include "nginx/redis_library.hpp"

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace websocket::nginx {

// What came back: lent for the call. Null: the connection ended before.
using redis_answer = void (*)(void *data, const redisReply *reply);

class redis_link {
public:
    struct owner {
        // Something was answered, or published, that is not the end of it.
        virtual void link_heard() noexcept = 0;

        // Called once, from the event loop, when all answers have been called.
        // The link is gone by then.
        virtual void link_ended(std::string_view why) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // An end that the owner is told of when it comes. Null: it could not even
    // begin, and `why` says so.
    static redis_link *to_address(owner &told, const std::string &address,
                                  std::uint16_t port, std::string &why);
    static redis_link *to_socket(owner &told, const std::string &path,
                                 std::string &why);

    redis_link(const redis_link &) = delete;
    redis_link &operator=(const redis_link &) = delete;

    // See redis_connection::command.
    bool command(std::span<const std::string_view> words, redis_answer answer,
                 void *data) noexcept;
    bool subscribe(std::span<const std::string_view> channels,
                   redis_answer answer, void *data) noexcept;
    bool unsubscribe(std::span<const std::string_view> channels) noexcept;

    // Ends it, for that reason, unless it is ending already.
    void end(std::string_view why) noexcept;

    // Ends it; the owner is told nothing any more. Answers are called with
    // null, or, forgetful, not at all.
    void leave(bool forgetful) noexcept;

    bool alive() const noexcept { return context_ != nullptr && !ending_; }
    std::size_t unsent() const noexcept;

    // Commands and subscriptions that Redis has not answered yet.
    std::size_t unanswered() const noexcept { return unanswered_; }
};

} // namespace websocket::nginx
