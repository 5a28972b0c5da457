// The bytes of frames that a server sends.
#pragma once

#include "protocol/messages/endpoint.hpp"

#include "frame_builder.hpp"

#include <string>
#include <string_view>

namespace sent_frames {

inline std::string bytes_of(const websocket::protocol::control_frame &frame)
{
    return frames::as_string(frame.bytes());
}

// A server's frame: not masked, up to 125 bytes.
inline std::string sent(unsigned first, std::string_view payload = {})
{
    return std::string{static_cast<char>(first),
                       static_cast<char>(payload.size())}
        .append(payload);
}

inline std::string sent_close(unsigned code, std::string_view reason = {})
{
    return sent(frames::fin | frames::close,
                frames::big_endian(code, 2).append(reason));
}

} // namespace sent_frames
