// A message that is encoded once and sent to many clients.
#pragma once

#include "protocol/deflater.hpp"
#include "protocol/frame.hpp"
#include "protocol/shared_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::nginx {

class shared_frame {
public:
    // Without memory it is empty.
    shared_frame(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept;

    // Null: no memory, or text that is not UTF-8.
    static shared_frame *make(protocol::opcode kind,
                              std::span<const std::byte> payload) noexcept;

    explicit operator bool() const noexcept
    {
        return static_cast<bool>(bytes_);
    }

    protocol::opcode kind() const noexcept { return kind_; }
    std::span<const std::byte> payload() const noexcept
    {
        return bytes_.bytes().last(payload_size_);
    }

    // The whole frame.
    const protocol::shared_buffer &bytes() const noexcept { return bytes_; }

    // The frame compressed for a client without context takeover: the same
    // for all with this level and window. Empty where that is of no use.
    protocol::shared_buffer compressed(int level,
                                       unsigned window) const noexcept;

private:
    struct variant {
        int level;
        unsigned window;
        protocol::shared_buffer frame;
    };

    protocol::shared_buffer bytes_;
    std::size_t payload_size_;
    protocol::opcode kind_;

    // One for each window; of several levels what does not fit is made anew.
    mutable std::array<variant, 7> variants_{};
    mutable std::uint8_t variant_count_ = 0;
};

} // namespace websocket::nginx
