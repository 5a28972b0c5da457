// Messages: kinds, results, ids, published messages and shared frames. Included
// by websocket.hpp, whose rules apply.
#pragma once

#include "websocket_detail.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket {

// The result of sending or publishing.
enum class send_result {
    queued = WEBSOCKET_QUEUED,             // accepted
    backpressure = WEBSOCKET_BACKPRESSURE, // accepted; client_drained follows
    dropped = WEBSOCKET_DROPPED,           // not sent: the send queue is full
    closed = WEBSOCKET_CLOSED,             // not sent: not open, or closing
    invalid = WEBSOCKET_INVALID,           // not sent: text not in UTF-8
    unreachable = WEBSOCKET_UNREACHABLE    // not published: no Redis
};

// The kind of a message (RFC 6455 5.2).
enum class opcode : std::uint8_t {
    text = WEBSOCKET_TEXT,
    binary = WEBSOCKET_BINARY
};

// Identifies a message of a resource, on all workers. The sequence grows by one
// with each message. The epoch grows each time the resource's log is created
// again; its first sequence is 1. Sequence 0: no message.
struct message_id {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;

    bool operator==(const message_id &) const noexcept = default;
};

// Formats an id as "EPOCH-SEQUENCE", both decimal. Throws std::bad_alloc.
inline std::string to_string(message_id id)
{
    return detail::format_id({id.epoch, id.sequence});
}

// Parses the format of to_string(), or "0", which stands for the start of the
// log. Returns nothing for any other text.
inline std::optional<message_id>
parse_message_id(std::string_view text) noexcept
{
    if (text == "0") {
        return message_id{};
    }

    const auto parts = detail::parse_id(text);

    return parts ? std::optional(message_id{parts->epoch, parts->sequence})
                 : std::nullopt;
}

// A published message. Its data is valid during the callback.
struct message {
    opcode kind = opcode::text;
    message_id id; // of the message before it, if this one is transient
    std::uint64_t time = 0; // milliseconds since 1970
    std::uint64_t from = 0; // the publishing client's id, or 0
    std::span<const std::byte> data;
    bool transient = false;  // not kept, without an id of its own
    std::string_view user{}; // of the publishing client; empty: none

    std::string_view text() const noexcept
    {
        return {reinterpret_cast<const char *>(data.data()), data.size()};
    }
};

// Properties of a message to publish.
struct publish_options {
    std::uint64_t from = 0; // the publishing client's id, or 0
    bool transient = false; // not kept, without an id of its own

    // Memory that the callback of publish() refers to. It counts in the queue
    // of websocket_redis until the result is known.
    std::size_t callback_bytes = 0;

    // The publishing client's user: at most 256 bytes of UTF-8; empty: none.
    std::string_view user{};
};

// With Redis the id is 0-0 in the result of publish() without a callback.
struct publish_result {
    send_result result = send_result::dropped;
    message_id id; // if queued
};

// A user in a resource, and the number of its clients there.
struct user_clients {
    std::string_view user;
    std::uint32_t clients = 0;
};

// A page of users, in the order of their bytes. Valid during the callback.
struct found_users {
    // All hosts have answered. Otherwise there are no users.
    bool complete = false;

    bool more = false; // there are users after the last one
    std::vector<user_clients> users{};
};

namespace detail {

inline message as_message(const websocket_message_t &given) noexcept
{
    return {.kind = static_cast<opcode>(given.kind),
            .id = {given.id.epoch, given.id.sequence},
            .time = given.time,
            .from = given.from,
            .data = {static_cast<const std::byte *>(given.data), given.length},
            .transient = given.transient != 0,
            .user = view(given.user)};
}

inline websocket_message_t outgoing(opcode kind,
                                    std::span<const std::byte> data,
                                    const publish_options &options) noexcept
{
    websocket_message_t message{};

    message.size = sizeof message;
    message.version = WEBSOCKET_PLUGIN_VERSION;
    message.kind = static_cast<int>(kind);
    message.from = options.from;
    message.data = data.data();
    message.length = data.size();
    message.transient = options.transient ? 1 : 0;
    message.callback_bytes = options.callback_bytes;
    message.user = text(options.user);
    return message;
}

// A publication whose result a callback waits for. It owns itself.
struct publish_call {
    websocket_resource_t *resource;
    std::function<void(const publish_result &)> on_result;

    static void done(void *data, int result, websocket_message_id_t id) noexcept
    {
        const std::unique_ptr<publish_call> call(
            static_cast<publish_call *>(data));

        call_guarded(call->resource, "a publication", [&] {
            call->on_result(
                {static_cast<send_result>(result), {id.epoch, id.sequence}});
        });
    }
};

// A call of find_users on its way to other hosts.
struct users_call {
    websocket_resource_t *resource;
    std::function<void(const found_users &)> on_found;

    static void done(void *data, int complete, const websocket_user_t *users,
                     std::size_t count, int more) noexcept
    {
        const std::unique_ptr<users_call> call(static_cast<users_call *>(data));

        call_guarded(call->resource, "a list of users", [&] {
            found_users found{.complete = complete != 0, .more = more != 0};

            for (const websocket_user_t &each : std::span(users, count)) {
                found.users.push_back({view(each.name), each.clients});
            }

            call->on_found(found);
        });
    }
};

// A call of read_history. Its exception is kept, since it must not cross the C
// frames in between.
template <class Each>
struct history_call {
    Each &each;
    std::exception_ptr thrown;

    static int on_message(void *data, const websocket_message_t *given) noexcept
    {
        auto &self = *static_cast<history_call *>(data);

        try {
            return self.each(as_message(*given)) ? 0 : 1;
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
    }
};

} // namespace detail

// A message that is encoded once, to be sent to many clients of any resource.
// Copies share the bytes.
class frame {
public:
    frame() noexcept = default;

    // Empty (false) if text is not UTF-8, or the server has no memory. Throws
    // std::bad_alloc.
    frame(opcode kind, std::span<const std::byte> data)
        : handle_{detail::server->make_frame(static_cast<int>(kind),
                                             data.data(), data.size()),
                  drop}
    {}
    explicit frame(std::string_view text)
        : frame(opcode::text, std::as_bytes(std::span(text)))
    {}

    explicit operator bool() const noexcept { return handle_ != nullptr; }

private:
    friend class client;

    static void drop(websocket_frame_t *handle) noexcept
    {
        if (handle != nullptr) {
            detail::server->drop_frame(handle);
        }
    }

    std::shared_ptr<websocket_frame_t> handle_;
};

} // namespace websocket
