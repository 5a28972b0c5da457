// Messages that are ready to be sent, all different, and the expected replies.
#pragma once

#include "deflate.hpp"

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

// Appends a masked frame.
void append_frame(std::vector<std::byte> &to, opcode code,
                  std::span<const std::byte> payload, masking_key key,
                  bool compressed = false);

// The signature at the start of each payload that is long enough.
struct signature {
    static constexpr std::size_t size = 12;

    std::size_t index = 0; // of the message among those of its author
    std::size_t author = 0;
};

// Returns nothing if the payload does not begin with a signature.
std::optional<signature>
read_signature(std::span<const std::byte> payload) noexcept;

struct message_plan {
    std::size_t author = 0;
    std::size_t in_flight = 0; // number of messages
    std::size_t size = 0;      // bytes of each payload
    opcode code = opcode::binary;
    bool echoed_as_bytes = false; // the masked payload comes back
    std::optional<deflate_terms> deflate;
};

// A ring of frames in the order of their indices. Their payloads are ASCII and
// have the same size.
class prepared_messages {
public:
    // Creates at least as many messages as planned.
    explicit prepared_messages(const message_plan &plan);

    std::size_t count() const noexcept { return count_; }
    std::span<const std::byte> frames() const noexcept { return frames_; }

    // The size of so many frames from index `first` on, in bytes.
    std::size_t size_of(std::size_t first, std::size_t count) const noexcept;

    // Whether a frame begins at this byte.
    bool begins_at(std::size_t position) const noexcept;

    // The payload of the expected reply to a message.
    std::span<const std::byte> expected(std::size_t index) const noexcept
    {
        return std::span(expected_).subspan(index % count_ * size_, size_);
    }

private:
    std::size_t count_;
    std::size_t size_;
    std::vector<std::byte> frames_;
    std::vector<std::size_t> ends_; // end offset of each frame
    std::vector<std::byte> expected_;
};

} // namespace websocket::load
