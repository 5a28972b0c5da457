// Messages that lie ready to be sent, each unlike the others, with what is to
// come back for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace websocket::load {

enum class opcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10
};

bool same_bytes(std::span<const std::byte> one,
                std::span<const std::byte> other) noexcept;

using masking_key = std::uint32_t;

// Writes a masked frame behind what is there.
void append_frame(std::vector<std::byte> &to, opcode code,
                  std::span<const std::byte> payload, masking_key key);

// What each payload begins with, unless it is shorter.
struct signature {
    static constexpr std::size_t size = 12;

    std::size_t index = 0; // of the message among its author's
    std::size_t author = 0;
};

// None: the payload begins with no signature.
std::optional<signature>
read_signature(std::span<const std::byte> payload) noexcept;

// A ring of frames of one size, in the order of their indices.
class prepared_messages {
public:
    // At least so many, each with a payload of `size` bytes of ASCII. What
    // echoes bytes, not messages, returns the masked payload.
    prepared_messages(std::size_t author, std::size_t least, std::size_t size,
                      opcode code, bool echoed_as_bytes);

    std::size_t count() const noexcept { return count_; }
    std::size_t frame_size() const noexcept { return frame_size_; }
    std::span<const std::byte> frames() const noexcept { return frames_; }

    // The payload that is to come back for a message.
    std::span<const std::byte> expected(std::size_t index) const noexcept
    {
        return std::span(expected_).subspan(index % count_ * size_, size_);
    }

private:
    std::size_t count_;
    std::size_t size_;
    std::size_t frame_size_ = 0;
    std::vector<std::byte> frames_;
    std::vector<std::byte> expected_;
};

} // namespace websocket::load
