// Splits the bytes of a server into frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "prepared_messages.hpp"

namespace websocket::load {

struct frame {
    opcode code = opcode::continuation;
    bool compressed = false;
    std::span<const std::byte> payload; // valid during the call
};

// Bytes are received into the gap, the missing part of an incomplete frame, and
// after it into any buffer. So a large frame is copied once at most.
class frame_reader {
public:
    using sink = std::function<void(const frame &)>;

    // Frames of servers are not masked. Those of a raw echo are.
    explicit frame_reader(bool masked) noexcept : masked_{masked} {}

    // Whether messages may have RSV1.
    void allow_compressed(bool allowed) noexcept { compressed_ = allowed; }

    std::span<std::byte> gap() const noexcept
    {
        return {partial_.get() + filled_, wanted_ - filled_};
    }

    // So many bytes were received into the gap.
    void filled(std::size_t size, const sink &each);

    // These bytes were received after the gap. Throws std::runtime_error if a
    // server may not send them.
    void feed(std::span<const std::byte> bytes, const sink &each);

private:
    struct measure {
        std::size_t header = 0;
        std::size_t whole = 0; // 0: the header is not complete
    };

    measure measured(std::span<const std::byte> bytes) const noexcept;
    void deliver(std::span<const std::byte> whole, std::size_t header,
                 const sink &each) const;
    void want(std::size_t size);
    void keep(std::span<const std::byte> bytes, const measure &of);

    bool masked_;
    bool compressed_ = false;
    std::unique_ptr<std::byte[]> partial_;
    std::size_t capacity_ = 0;
    std::size_t filled_ = 0;
    std::size_t wanted_ = 0; // size of the frame, or of its header
};

} // namespace websocket::load
