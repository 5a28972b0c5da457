// Control frames and the closing handshake.
#include "protocol/messages/endpoint.hpp"

#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <cstring>

namespace websocket::protocol {

namespace {

// The longest prefix of at most `limit` bytes that does not cut a UTF-8
// character.
std::string_view cut_text(std::string_view text, std::size_t limit) noexcept
{
    if (text.size() <= limit) {
        return text;
    }

    while (limit != 0 &&
           (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) {
        limit--;
    }

    return text.substr(0, limit);
}

// An invalid Close frame counts as received.
bool is_close_broken(error reason) noexcept
{
    return reason == error::close_payload_truncated ||
           reason == error::close_code_invalid ||
           reason == error::close_reason_not_utf8;
}

} // namespace

control_frame::control_frame(opcode code,
                             std::span<const std::byte> payload) noexcept
{
    const std::size_t length = std::min(payload.size(), max_control_payload);
    const std::size_t header = write_header(bytes_.data(), code, length);

    if (length != 0) {
        std::memcpy(bytes_.data() + header, payload.data(), length);
    }

    size_ = static_cast<std::uint8_t>(header + length);
}

std::string_view close_reason(std::string_view text) noexcept
{
    const std::string_view reason =
        cut_text(text, max_control_payload - sizeof(std::uint16_t));

    return is_valid_utf8(std::as_bytes(std::span(reason))) ? reason
                                                           : std::string_view{};
}

control_frame make_close_frame(std::uint16_t code,
                               std::string_view reason) noexcept
{
    if (!close_code::is_valid_on_wire(code)) {
        return {opcode::close, {}};
    }

    std::array<std::byte, max_control_payload> payload;
    reason = close_reason(reason);
    payload[0] = static_cast<std::byte>(code >> 8);
    payload[1] = static_cast<std::byte>(code & 0xFF);

    if (!reason.empty()) {
        std::memcpy(&payload[2], reason.data(), reason.size());
    }

    return {opcode::close, std::span(payload).first(2 + reason.size())};
}

event endpoint::next(std::span<std::byte> &input) noexcept
{
    if (finished_reading_) {
        input = {};
        return {};
    }

    if (close_sent_ || failed_) {
        finished_reading_ = reader_.find_close(input);
        return {.type = finished_reading_ ? event_type::close
                                          : event_type::need_input};
    }

    const event found = reader_.next(input);

    failed_ = found.type == event_type::failed;
    finished_reading_ = found.type == event_type::close ||
                        (failed_ && is_close_broken(found.reason));
    return found;
}

control_frame endpoint::answer(const event &received) noexcept
{
    switch (received.type) {
    case event_type::ping:
        return close_sent_ ? control_frame{}
                           : control_frame{opcode::pong, received.payload};
    case event_type::close:
        // RFC 6455 5.5.1: the code is echoed; an empty Close answers an empty
        // one
        return begin_close(received.code, {});
    case event_type::failed:
        return begin_close(close_code_for(received.reason),
                           describe(received.reason));
    default:
        return {};
    }
}

control_frame endpoint::begin_close(std::uint16_t code,
                                    std::string_view reason) noexcept
{
    if (close_sent_) {
        return {};
    }

    close_sent_ = true;
    return make_close_frame(code, reason);
}

} // namespace websocket::protocol
