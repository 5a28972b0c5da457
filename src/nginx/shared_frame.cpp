// Encodes a message for many clients, compressed ones too: each form once.
#include "nginx/shared_frame.hpp"

#include "nginx/worker.hpp"
#include "protocol/utf8.hpp"

#include <new>

namespace websocket::nginx {

shared_frame::shared_frame(protocol::opcode kind,
                           std::span<const std::byte> payload) noexcept
    : bytes_{protocol::shared_buffer::allocate(
          protocol::server_header_size(payload.size()) + payload.size())},
      payload_size_{payload.size()}, kind_{kind}
{
    if (bytes_) {
        bytes_.extend(
            protocol::write_header(bytes_.data(), kind, payload.size()));
        bytes_.append(payload);
    }
}

shared_frame *shared_frame::make(protocol::opcode kind,
                                 std::span<const std::byte> payload) noexcept
{
    if (kind == protocol::opcode::text && !protocol::is_valid_utf8(payload)) {
        return nullptr;
    }

    auto *made = new (std::nothrow) shared_frame(kind, payload);

    if (made != nullptr && !*made) {
        delete made;
        return nullptr;
    }

    return made;
}

protocol::shared_buffer shared_frame::compressed(int level,
                                                 unsigned window) const noexcept
{
    for (std::size_t i = 0; i != variant_count_; i++) {
        const variant &known = variants_[i];

        if (known.level == level && known.window == window) {
            return known.frame;
        }
    }

    auto made =
        this_worker().deflaters.make_frame(kind_, payload(), level, window);

    if (variant_count_ != variants_.size()) {
        variants_[variant_count_++] = {level, window, made};
    }

    return made;
}

} // namespace websocket::nginx
