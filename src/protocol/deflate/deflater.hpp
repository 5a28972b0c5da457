// Compresses messages into frames (RFC 7692 7.2.1): with a client's own stream
// for context takeover, and with streams of the worker for all clients without
// it.
//
// A deflater takes 112 bytes of its own, and memory of zlib by its window:
//
//     window        9      10      11      12       13       14       15
//     bytes    16,192  18,240  30,528  55,104  104,256  202,560  268,096
//
// Not thread-safe.
#pragma once

#include "protocol/frames/frame.hpp"
#include "protocol/deflate/permessage_deflate.hpp"
#include "protocol/frames/shared_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace websocket::protocol {

namespace detail {
struct deflate_stream;
}

class deflater {
public:
    // Without a stream. Only an object from create() may compress.
    deflater() noexcept = default;
    deflater(deflater &&other) noexcept
        : stream_{std::exchange(other.stream_, nullptr)}
    {}
    deflater &operator=(deflater &&other) noexcept
    {
        std::swap(stream_, other.stream_);
        return *this;
    }
    ~deflater();

    // `level` is 1 (fast) to 9 (small), `window` 9 to 15. Without a stream if
    // there is no memory.
    static deflater create(int level, unsigned window) noexcept;

    explicit operator bool() const noexcept { return stream_ != nullptr; }

    // Drops the context: the next message refers to none before it.
    void reset() noexcept;

    // Sets the level of the following messages. They keep the context.
    void use_level(int level) noexcept;

    // Returns a whole message as one final frame, header included, with RSV1
    // set. It may refer to all messages since create() or reset(). Each of
    // those must have been sent, in this order, and this one must be sent too.
    //
    // Returns an empty reference if there is no memory, or if the payload would
    // exceed `max_size` bytes. After that only reset() may follow. If
    // `max_size` is less than the message, a large message is given up early
    // when it does not shrink.
    shared_buffer
    make_frame(opcode kind, std::span<const std::byte> message,
               std::size_t max_size =
                   std::numeric_limits<std::size_t>::max()) noexcept;

    // zlib's memLevel for a window: less costs compression ratio; more costs
    // much CPU with a small window.
    static constexpr int memory_level(unsigned window) noexcept
    {
        return window < 10 ? 4 : window > 14 ? 8 : static_cast<int>(window) - 6;
    }

private:
    explicit deflater(detail::deflate_stream *created) noexcept
        : stream_{created}
    {}

    bool compress(std::span<const std::byte> message, std::size_t max_size,
                  shared_buffer &to) noexcept;

    detail::deflate_stream *stream_ = nullptr;
};

// The deflaters of one worker, for messages without context takeover. Each
// level and window in use has one, created on first use and kept, so that
// clients take no memory.
class deflater_pool {
public:
    // The window for a message of `size` bytes and a client with an agreed
    // window. A short message takes a smaller window, which costs less CPU and
    // serves every client. All clients for which this returns the same value
    // can share one frame.
    static unsigned window_for(std::size_t size, unsigned agreed) noexcept;

    // Returns the frame of a message, or an empty reference if it is better
    // sent uncompressed: it does not shrink, or there is no memory. `window` is
    // the result of window_for().
    shared_buffer make_frame(opcode kind, std::span<const std::byte> message,
                             int level, unsigned window) noexcept;

    // The number of compressed messages, including those that did not shrink.
    std::size_t compressions() const noexcept { return compressions_; }

    void clear() noexcept { deflaters_ = {}; }

private:
    static constexpr std::size_t levels = 9;
    static constexpr std::size_t windows =
        largest_window - smallest_deflate_window + 1;

    std::array<std::array<deflater, windows>, levels> deflaters_;
    std::size_t compressions_ = 0;
};

} // namespace websocket::protocol
