// Messages: their kinds, what becomes of them, those that a resource publishes,
// and those that are encoded once for many clients. Included by websocket.hpp,
// whose rules hold.
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

namespace websocket {

// What became of a message or Ping.
enum class send_result {
    queued = WEBSOCKET_QUEUED,             // sent, or about to be
    backpressure = WEBSOCKET_BACKPRESSURE, // waits: client_drained follows
    dropped = WEBSOCKET_DROPPED,           // not sent: the send queue is full
    closed = WEBSOCKET_CLOSED,             // not sent: not open, or closing
    invalid = WEBSOCKET_INVALID,           // not sent: text not in UTF-8
    unreachable = WEBSOCKET_UNREACHABLE    // not published: the other hosts are
};

// The kind of a message (RFC 6455 5.2).
enum class opcode : std::uint8_t {
    text = WEBSOCKET_TEXT,
    binary = WEBSOCKET_BINARY
};

// Names a message of a resource, on all workers. The sequence grows by one
// with each; the epoch is another, and greater, each time the resource has
// been forgotten and begins anew, with sequence 1. Sequence 0: none.
struct message_id {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;

    bool operator==(const message_id &) const noexcept = default;
};

// As "EPOCH-SEQUENCE", both decimal. Throws std::bad_alloc.
inline std::string to_string(message_id id)
{
    return std::to_string(id.epoch) + "-" + std::to_string(id.sequence);
}

// What to_string made, or "0", which stands for the start. Nothing of
// anything else.
inline std::optional<message_id>
parse_message_id(std::string_view text) noexcept
{
    const std::size_t dash = text.find('-');

    if (text == "0") {
        return message_id{};
    }
    if (dash == text.npos) {
        return std::nullopt;
    }

    const auto epoch = detail::decimal(text.substr(0, dash));
    const auto sequence = detail::decimal(text.substr(dash + 1));

    if (!epoch || !sequence) {
        return std::nullopt;
    }

    return message_id{*epoch, *sequence};
}

// A message that a resource has published. What `data` refers to is valid
// during the callback that it is passed to.
struct message {
    opcode kind = opcode::text;
    message_id id; // of the message before it, if this one is transient
    std::uint64_t time = 0; // milliseconds since 1970
    std::uint64_t from = 0; // the client's id that was given, or 0
    std::span<const std::byte> data;
    bool transient = false; // has no id of its own and is not kept

    std::string_view text() const noexcept
    {
        return {reinterpret_cast<const char *>(data.data()), data.size()};
    }
};

// What may be said of a message that is to be published.
struct publish_options {
    std::uint64_t from = 0; // a client's id
    bool transient = false; // it is not numbered and not kept
};

// Of a message that goes to other hosts too the id is not known at once.
struct publish_result {
    send_result result = send_result::dropped;
    message_id id; // if queued
};

namespace detail {

inline message published(const websocket_message_t &given) noexcept
{
    return {.kind = static_cast<opcode>(given.kind),
            .id = {given.id.epoch, given.id.sequence},
            .time = given.time,
            .from = given.from,
            .data = {static_cast<const std::byte *>(given.data), given.length},
            .transient = given.transient != 0};
}

// Who waits to be told of a publication.
struct publish_call {
    websocket_resource_t *resource;
    std::function<void(const publish_result &)> told;

    static void done(void *data, int result, websocket_message_id_t id) noexcept
    {
        const std::unique_ptr<publish_call> own(
            static_cast<publish_call *>(data));

        completed(own->resource, "a publication", [&] {
            own->told(
                {static_cast<send_result>(result), {id.epoch, id.sequence}});
        });
    }
};

// What read_history calls: it has C on the way back to itself.
template <class Each>
struct history_call {
    Each &each;
    std::exception_ptr thrown;

    static int of(void *data, const websocket_message_t *given) noexcept
    {
        auto &own = *static_cast<history_call *>(data);

        try {
            return own.each(published(*given)) ? 0 : 1;
        } catch (...) {
            own.thrown = std::current_exception();
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

    // Without memory, or if text is not UTF-8, there is nothing in it.
    // Throws std::bad_alloc.
    frame(opcode kind, std::span<const std::byte> data)
        : made_{detail::server->make_frame(static_cast<int>(kind), data.data(),
                                           data.size()),
                drop}
    {}
    explicit frame(std::string_view text)
        : frame(opcode::text, std::as_bytes(std::span(text)))
    {}

    explicit operator bool() const noexcept { return made_ != nullptr; }

private:
    friend class client;

    static void drop(websocket_frame_t *made) noexcept
    {
        if (made != nullptr) {
            detail::server->drop_frame(made);
        }
    }

    std::shared_ptr<websocket_frame_t> made_;
};

} // namespace websocket
