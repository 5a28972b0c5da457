// A message that is encoded once and sent to many clients. What is published in
// one run lies in one block, one frame behind the other, so that it leaves for
// each client as one piece.
#pragma once

#include "protocol/deflater.hpp"
#include "protocol/frame.hpp"
#include "protocol/shared_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::nginx {

// While there is one, small frames are put behind those that were made since
// it began. Frames outlive it.
class frame_arena {
public:
    // `expected` bytes of frames are likely to be made.
    explicit frame_arena(std::size_t expected) noexcept;
    frame_arena(const frame_arena &) = delete;
    frame_arena &operator=(const frame_arena &) = delete;
    ~frame_arena();
};

class shared_frame {
public:
    // Without memory it is empty.
    shared_frame(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept;

    // Null: no memory, or text that is not UTF-8.
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

    // The frame compressed for a client without context takeover: the same
    // for all with this level and window. Null where it was not compressed so
    // yet. Empty where that is of no use.
    const protocol::shared_buffer *compressed(int level,
                                              unsigned window) const noexcept;

    // Whether it was compressed in any way.
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

    // One for each window; of several levels what does not fit is made anew.
    mutable std::array<variant, 7> variants_{};
    mutable std::uint8_t variant_count_ = 0;
};

} // namespace websocket::nginx
