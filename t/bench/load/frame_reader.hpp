// Cuts what a server sends into frames.
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

// Bytes are received into the gap of a frame that has begun, if there is one,
// and behind it into any buffer: so a large frame is copied once at most.
class frame_reader {
public:
    using sink = std::function<void(const frame &)>;

    // Frames from servers are not masked; those of an echo of bytes are.
    explicit frame_reader(bool masked) noexcept : masked_{masked} {}

    // Whether messages may have RSV1.
    void allow_compressed(bool allowed) noexcept { compressed_ = allowed; }

    std::span<std::byte> gap() const noexcept
    {
        return {partial_.get() + filled_, wanted_ - filled_};
    }

    // So many bytes were received into the gap.
    void filled(std::size_t size, const sink &each);

    // These were received behind it. Throws std::runtime_error on what no
    // server may send here.
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
    std::size_t wanted_ = 0; // of the frame, or of its header
};

} // namespace websocket::load
