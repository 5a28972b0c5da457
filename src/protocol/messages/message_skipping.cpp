// Skips frames until the Close frame of the peer (RFC 6455 7.1.1).
#include "protocol/messages/message_reader.hpp"

#include <algorithm>

namespace websocket::protocol {

void message_reader::stop() noexcept
{
    failed_ = true;
    message_.reset();
    control_.reset();
    inflater_.reset();
}

bool message_reader::find_close(std::span<std::byte> &input) noexcept
{
    if (!failed_) {
        stop();
    }

    while (in_frame_ || skip_header(input)) {
        const auto size = static_cast<std::size_t>(
            std::min<std::uint64_t>(length_ - taken_, input.size()));

        input = input.subspan(size);
        taken_ += size;

        if (taken_ != length_) {
            return false;
        }

        in_frame_ = false;

        if (code_ == opcode::close && length_ <= max_control_payload) {
            return true;
        }
    }

    return false;
}

// False while the header is incomplete. A header that broke a rule is parsed
// again from its kept bytes.
bool message_reader::skip_header(std::span<std::byte> &input) noexcept
{
    frame_extent found = find_extent(std::span(header_).first(header_size_));

    while (found.header_size == 0) {
        if (input.empty()) {
            return false;
        }

        header_[header_size_++] = input.front();
        input = input.subspan(1);
        found = find_extent(std::span(header_).first(header_size_));
    }

    header_size_ = 0;
    code_ = found.code;
    length_ = found.payload_length;
    taken_ = 0;
    in_frame_ = true;
    return true;
}

} // namespace websocket::protocol
