// Compresses messages into frames (RFC 7692 7.2.1): a client's own stream for
// context takeover, and those of a worker for all clients without it.
//
// A deflater takes 112 bytes of ours, and memory of zlib's by its window:
//
//     window        9      10      11      12       13       14       15
//     bytes    16,192  18,240  30,528  55,104  104,256  202,560  268,096
//
// Not for use by several threads.
#pragma once

#include "protocol/frame.hpp"
#include "protocol/permessage_deflate.hpp"
#include "protocol/shared_buffer.hpp"

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
    // Without a stream. Only what make() has returned may compress.
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

    // `level` is 1 (fast) to 9 (small), `window` 9 to 15. Without a stream
    // when there is no memory.
    static deflater create(int level, unsigned window) noexcept;

    explicit operator bool() const noexcept { return stream_ != nullptr; }

    // Forgets the messages before: the next one stands by itself.
    void reset() noexcept;

    // The level of the messages that follow. They refer to those before.
    void use_level(int level) noexcept;

    // A whole message as one final frame, header included, RSV1 set. It may
    // refer to all messages since make() or reset(): each of those has to
    // have been sent, in this order, and so has this one.
    //
    // An empty reference when there is no memory, or when the payload would
    // take more than `most` bytes; the deflater is then of no use before
    // reset(). Where `most` is less than the message, a large one is given up
    // early if what was compressed of it has not become smaller.
    shared_buffer make_frame(
        opcode kind, std::span<const std::byte> message,
        std::size_t most = std::numeric_limits<std::size_t>::max()) noexcept;

    // How much memory zlib is let use beside the window, in its own measure:
    // with less, ratio suffers; with more, a small window costs much CPU.
    static constexpr int memory_level(unsigned window) noexcept
    {
        return window < 10 ? 4 : window > 14 ? 8 : static_cast<int>(window) - 6;
    }

private:
    explicit deflater(detail::deflate_stream *created) noexcept
        : stream_{created}
    {}

    bool compress(std::span<const std::byte> message, std::size_t most,
                  shared_buffer &to) noexcept;

    detail::deflate_stream *stream_ = nullptr;
};

// The deflaters of one worker, for messages that stand by themselves: made
// when they are first needed and kept, one for each level and window in use,
// so that clients take no memory.
class deflater_pool {
public:
    // The window that a message of `size` bytes is compressed with for a
    // client with an agreed one. A short message takes a smaller one, which
    // costs less CPU and serves every client: of a message that goes to many,
    // one frame can be shared by all for whom this returns the same.
    static unsigned window_for(std::size_t size, unsigned agreed) noexcept;

    // The frame of a message. An empty reference when it is better sent
    // uncompressed: it would not become smaller, or there is no memory.
    // `window` is what window_for() returned.
    shared_buffer make_frame(opcode kind, std::span<const std::byte> message,
                             int level, unsigned window) noexcept;

    // How many messages were compressed, those that did not shrink included.
    std::size_t compressions() const noexcept { return compressions_; }

    // Frees all deflaters.
    void clear() noexcept { deflaters_ = {}; }

private:
    static constexpr std::size_t levels = 9;
    static constexpr std::size_t windows =
        largest_window - smallest_deflate_window + 1;

    std::array<std::array<deflater, windows>, levels> deflaters_;
    std::size_t compressions_ = 0;
};

} // namespace websocket::protocol
