// Inflates the compressed messages of one client (RFC 7692 7.2.2) as their
// payload arrives.
//
// A message borrows a zlib stream from the worker's spares with its first byte,
// and returns it at its end. Between messages a client without context takeover
// holds nothing. A client with it holds the text that the next message may
// refer to, at most its window:
//
//     window            9       10     11     12     13     14      15
//     bytes held     1,056   1,056  2,080  4,128  8,224  16,416  32,800
//
// It holds less until it has received so much. A stream takes 39,928 bytes of
// zlib's memory (7,160 until the first output). Not thread-safe.
#pragma once

#include "protocol/frames/error.hpp"
#include "protocol/frames/shared_buffer.hpp"
#include "protocol/text/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace websocket::protocol {

namespace detail {
struct inflate_stream;
}

// The destination of an inflated message.
struct inflation_target {
    shared_buffer &message; // allocated with the first input byte
    utf8_checker *text;     // null for a binary message
    std::uint64_t limit;    // maximum size of the message in bytes
    std::size_t step;       // bytes of output after which inflate() pauses
};

class inflater {
public:
    inflater() noexcept = default;
    inflater(inflater &&other) noexcept
        : stream_{std::exchange(other.stream_, nullptr)},
          history_{std::move(other.history_)}, kept_{other.kept_}
    {}
    inflater &operator=(inflater &&other) noexcept
    {
        std::swap(stream_, other.stream_);
        std::swap(history_, other.history_);
        std::swap(kept_, other.kept_);
        return *this;
    }
    ~inflater() { reset(); }

    // With takeover, messages may refer to the last 2^`window` bytes before
    // them. Otherwise they may not, and nothing is kept. References beyond the
    // agreed window but within one message are not detected.
    void keep_context(bool takeover, unsigned window) noexcept
    {
        kept_ = static_cast<std::uint16_t>(takeover ? 1U << window : 0);
    }

    // Takes the next piece of a message's payload, unmasked; the last one with
    // `last`, which may be empty. Output is appended to the message, never
    // beyond the limit, and checked at once. After a step of output the rest of
    // `piece` is left for the next call, with the same `last`. Up to 16 KiB
    // more than a step may come out.
    //
    // The result does not depend on how the payload is cut. It is the first of
    // message_too_big, invalid_utf8 and invalid_compression that the bytes lead
    // to, or out_of_memory. After an error only reset() may follow.
    //
    // With the four removed bytes appended again, a message must end at the end
    // of a DEFLATE block; otherwise it is invalid. A text that ends inside a
    // character is left to the caller, who has the checker.
    error inflate(std::span<const std::byte> &piece, bool last,
                  const inflation_target &to) noexcept;

    // Returns the stream and drops the context.
    void reset() noexcept;

    // Frees the spare streams of the worker.
    static void clear_cache() noexcept;

private:
    bool begin() noexcept;
    error run(std::span<const std::byte> &input, int flush,
              const inflation_target &to) noexcept;
    error drain(int flush, std::size_t &step,
                const inflation_target &to) noexcept;
    error finish(const inflation_target &to) noexcept;
    bool remember(std::span<const std::byte> message) noexcept;

    detail::inflate_stream *stream_ = nullptr; // only inside a message
    shared_buffer history_;
    std::uint16_t kept_ = 0; // the most bytes of history
};

} // namespace websocket::protocol
