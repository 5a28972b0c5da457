// Writes commands to the output buffer, and dispatches the replies to them.
#include "nginx/redis_io/socket.hpp"

#include "nginx/redis_io/replies.hpp"

#include <array>
#include <charconv>
#include <new>

namespace websocket::nginx {

namespace {

using hiredis::functions;

// Appends a line of the protocol: its type and a number.
void append_number(std::string &output, char type, std::size_t number)
{
    std::array<char, 24> line;
    char *end = line.data();

    *end++ = type;
    end = std::to_chars(end, line.data() + line.size(), number).ptr;
    *end++ = '\r';
    *end++ = '\n';
    output.append(line.data(), end);
}

// The type of a reply to a subscription, or of a message of a channel. Empty:
// it is neither.
std::string_view channel_reply_type(const redisReply &reply) noexcept
{
    return reply.type == REDIS_REPLY_ARRAY && reply.elements == 3
               ? text_in(reply.element[0])
               : std::string_view{};
}

// Whether it is the reply to a PING. A connection with subscriptions gets an
// array.
bool is_pong(const redisReply &reply) noexcept
{
    return text_in(&reply) == "PONG" ||
           (reply.type == REDIS_REPLY_ARRAY && reply.elements == 2 &&
            text_in(reply.element[0]) == "pong");
}

// Whether a node of a cluster refuses only this subscription.
bool redirects(std::string_view error) noexcept
{
    return error.starts_with("MOVED") || error.starts_with("CLUSTERDOWN");
}

} // namespace

// Writes an array of strings. False: no memory.
bool redis_socket::append(std::span<const std::string_view> args) noexcept
{
    const std::size_t before = output_.size();

    try {
        append_number(output_, '*', args.size());

        for (const std::string_view arg : args) {
            append_number(output_, '$', arg.size());
            output_.append(arg).append("\r\n");
        }
    } catch (const std::bad_alloc &) {
        output_.resize(before);
        return false;
    }

    if (open_ && !flush_event_.posted) {
        ngx_post_event(&flush_event_, &ngx_posted_events);
    }

    return true;
}

// Call it before the new command counts as unanswered.
void redis_socket::start_waiting() noexcept
{
    if (unanswered() == 0) {
        received_at_ = ngx_current_msec;
    }
}

bool redis_socket::command(std::span<const std::string_view> args,
                           reply_callback callback, void *data) noexcept
try {
    if (!alive()) {
        return false;
    }

    start_waiting();
    pending_.push_back({callback, data});

    if (!append(args)) {
        pending_.pop_back();
        return false;
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

bool redis_socket::subscribe(std::span<const std::string_view> args,
                             reply_callback callback, void *data) noexcept
{
    if (!alive()) {
        return false;
    }

    start_waiting();

    if (!append(args)) {
        end("no memory");
        return false;
    }

    if (args[0] == "SUBSCRIBE" || args[0] == "SSUBSCRIBE") {
        unconfirmed_ += args.size() - 1;
        subscriber_ = {callback, data};
    }

    return true;
}

void redis_socket::ping() noexcept
{
    const std::string_view args[] = {"PING"};

    if (!alive()) {
        return;
    }

    start_waiting();
    unconfirmed_++;

    if (!append(args)) {
        end("no memory");
    }
}

void redis_socket::parse(std::string_view input) noexcept
{
    void *reply = nullptr;
    int result = functions().feed(reader_.get(), input.data(), input.size());

    while (alive() && result == REDIS_OK) {
        result = functions().get_reply(reader_.get(), &reply);

        if (reply == nullptr) {
            break;
        }

        dispatch(*static_cast<const redisReply *>(reply));
        functions().free_reply(reply);
    }

    if (result != REDIS_OK) {
        end(reader_->errstr);
    }
}

// The callback comes last: it may end the connection and destroy its owner.
void redis_socket::dispatch(const redisReply &reply) noexcept
{
    if (!pending_.empty()) {
        const pending_reply next = pending_.front();

        pending_.pop_front();
        next.call(&reply);

    } else if (is_pong(reply)) {
        unconfirmed_ -= unconfirmed_ != 0 ? 1 : 0;

    } else if (redirects(error_in(&reply)) && subscriber_.callback != nullptr) {
        unconfirmed_ -= unconfirmed_ != 0 ? 1 : 0;
        subscriber_.call(&reply);

    } else if (reply.type == REDIS_REPLY_ERROR) {
        end({reply.str, reply.len});

    } else if (subscriber_.callback == nullptr) {
        end("unexpected reply without a command");

    } else if (const auto type = channel_reply_type(reply); type.empty()) {
        end("unexpected reply to a subscription");

    } else {
        const bool confirms = type == "subscribe" || type == "ssubscribe";

        unconfirmed_ -= confirms && unconfirmed_ != 0 ? 1 : 0;
        subscriber_.call(&reply);
    }
}

} // namespace websocket::nginx
