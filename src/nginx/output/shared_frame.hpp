// A message that is encoded once and sent to many clients. Frames of one
// dispatch are allocated one after the other in one block, so that each client
// is sent them as one piece.
#pragma once

#include "protocol/deflate/deflater.hpp"
#include "protocol/frames/frame.hpp"
#include "protocol/frames/shared_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::nginx {

// While an arena exists, small frames are placed after those created before in
// it. Frames outlive the arena.
class frame_arena {
public:
    // `expected`: the likely number of bytes of all frames.
    explicit frame_arena(std::size_t expected) noexcept;
    frame_arena(const frame_arena &) = delete;
    frame_arena &operator=(const frame_arena &) = delete;
    ~frame_arena();
};

class shared_frame {
public:
    // The frame is empty without memory.
    shared_frame(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept;

    // Returns null without memory, or if text is not valid UTF-8.
    static shared_frame *
    create_validated(protocol::opcode kind,
                     std::span<const std::byte> payload) noexcept;

    explicit operator bool() const noexcept
    {
        return static_cast<bool>(frame_.holder);
    }

    protocol::opcode kind() const noexcept { return kind_; }
    std::span<const std::byte> payload() const noexcept
    {
        return frame_.bytes.last(payload_size_);
    }

    // The whole frame.
    const protocol::shared_slice &whole() const noexcept { return frame_; }

    // Returns the frame compressed for clients without context takeover, which
    // is the same for all with this level and window. Null if it was not
    // compressed with them before; an empty buffer if compression does not
    // reduce the size.
    const protocol::shared_buffer *compressed(int level,
                                              unsigned window) const noexcept;

    // True if the frame was compressed with any level and window.
    bool has_compressed() const noexcept { return variant_count_ != 0; }

    protocol::shared_buffer compress(int level, unsigned window) const noexcept;

private:
    struct variant {
        int level;
        unsigned window;
        protocol::shared_buffer frame;
    };

    protocol::shared_slice frame_;
    std::size_t payload_size_;
    protocol::opcode kind_;

    // One per window size. With several levels, variants beyond these are
    // compressed each time.
    mutable std::array<variant, 7> variants_{};
    mutable std::uint8_t variant_count_ = 0;
};

} // namespace websocket::nginx
