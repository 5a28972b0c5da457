// Inflates the compressed messages of one client (RFC 7692 7.2.2) as their
// payload arrives.
//
// zlib's streams are lent: a message takes one from the worker's spares when
// its first byte comes and gives it back when it ends. Between messages a
// client without context takeover holds nothing, one with it holds the text
// that the next message may refer to, at most its window:
//
//     window            9       10     11     12     13     14      15
//     bytes held     1,056   1,056  2,080  4,128  8,224  16,416  32,800
//
// and less as long as it has sent less. A stream takes 39,928 bytes of zlib's
// (7,160 until the first byte comes out). Not for use by several threads.
#pragma once

#include "protocol/error.hpp"
#include "protocol/shared_buffer.hpp"
#include "protocol/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace websocket::protocol {

namespace detail {
struct inflate_stream;
}

// Where a message is inflated to.
struct inflation_target {
    shared_buffer &message; // made with the first byte that goes in
    utf8_checker *text;     // null for a binary message
    std::uint64_t limit;    // bytes that the message may have
    std::size_t step;       // bytes after which inflate() pauses
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

    // With takeover, messages may refer to the last 2^`window` bytes of those
    // before; else they may not, and nothing is kept. A window that is larger
    // than agreed within one message is not noticed.
    void keep_context(bool takeover, unsigned window) noexcept
    {
        kept_ = static_cast<std::uint16_t>(takeover ? 1U << window : 0);
    }

    // Takes the next piece of a message's payload, unmasked; the last one with
    // `last`, which may be empty. What comes out is put behind the message's
    // bytes, never beyond the limit, and checked at once. When more than a step
    // has come out, the rest of the piece is left in `piece`, to be passed to
    // the next call with the same `last`; up to 16 KiB more may come out.
    //
    // However the payload is cut, the outcome is the same: the first of
    // message_too_big, invalid_utf8 and invalid_compression that its bytes lead
    // to, or out_of_memory. After an error only reset() may follow.
    //
    // A message that does not end where a block of DEFLATE ends, once the four
    // bytes that its sender has cut off are put back, is invalid. A text that
    // ends inside a character is left to the caller, who has the checker.
    error inflate(std::span<const std::byte> &piece, bool last,
                  const inflation_target &to) noexcept;

    // Gives the stream back and forgets the context.
    void reset() noexcept;

    // Frees the spare streams.
    static void clear_cache() noexcept;

private:
    bool begin() noexcept;
    error run(std::span<const std::byte> &input, int flush,
              const inflation_target &to) noexcept;
    error drain(int flush, std::size_t &step,
                const inflation_target &to) noexcept;
    error finish(const inflation_target &to) noexcept;
    bool remember(std::span<const std::byte> message) noexcept;

    detail::inflate_stream *stream_ = nullptr; // inside a message
    shared_buffer history_;
    std::uint16_t kept_ = 0; // bytes of history at most
};

} // namespace websocket::protocol
