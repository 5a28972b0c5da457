// A message that is encoded once and sent to many clients.
#pragma once

#include "protocol/frame.hpp"
#include "protocol/shared_buffer.hpp"
#include "protocol/utf8.hpp"

#include <cstddef>
#include <new>
#include <span>

namespace websocket::nginx {

struct shared_frame {
    // Without memory `bytes` is empty.
    shared_frame(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept
        : bytes{protocol::shared_buffer::allocate(
              protocol::server_header_size(payload.size()) + payload.size())},
          payload_size{payload.size()}
    {
        if (bytes) {
            bytes.extend(
                protocol::write_header(bytes.data(), kind, payload.size()));
            bytes.append(payload);
        }
    }

    // Null: no memory, or text that is not UTF-8.
    static shared_frame *make(protocol::opcode kind,
                              std::span<const std::byte> payload) noexcept
    {
        if (kind == protocol::opcode::text &&
            !protocol::is_valid_utf8(payload)) {
            return nullptr;
        }

        auto *made = new (std::nothrow) shared_frame(kind, payload);

        if (made != nullptr && !made->bytes) {
            delete made;
            return nullptr;
        }

        return made;
    }

    protocol::shared_buffer bytes; // the whole frame
    std::size_t payload_size;
};

} // namespace websocket::nginx
