// Maps errors to status codes and texts.
#include "protocol/frames/error.hpp"

#include "protocol/frames/close_code.hpp"

namespace websocket::protocol {

namespace {

struct meaning {
    std::uint16_t code;
    std::string_view text;
};

constexpr meaning meaning_of(error reason) noexcept
{
    using namespace close_code;

    switch (reason) {
    case error::none:
        return {normal, ""};
    case error::reserved_bits:
        return {protocol_error, "reserved bit that no extension allows here"};
    case error::reserved_opcode:
        return {protocol_error, "reserved opcode"};
    case error::control_fragmented:
        return {protocol_error, "fragmented control frame"};
    case error::control_too_long:
        return {protocol_error, "control frame longer than 125 bytes"};
    case error::not_masked:
        return {protocol_error, "frame is not masked"};
    case error::length_not_minimal:
        return {protocol_error, "length is not in its shortest form"};
    case error::length_top_bit:
        return {protocol_error, "top bit of the length is set"};
    case error::continuation_unexpected:
        return {protocol_error, "continuation without a message"};
    case error::continuation_expected:
        return {protocol_error, "new message inside a fragmented one"};
    case error::kind_not_accepted:
        return {unsupported_data, "this kind of message is not accepted"};
    case error::frame_too_big:
        return {message_too_big, "frame is too big"};
    case error::message_too_big:
        return {close_code::message_too_big, "message is too big"};
    case error::invalid_utf8:
        return {invalid_payload, "text is not UTF-8"};
    case error::invalid_compression:
        return {invalid_payload, "compressed message is invalid"};
    case error::close_payload_truncated:
        return {protocol_error, "Close frame with a body of 1 byte"};
    case error::close_code_invalid:
        return {protocol_error, "Close frame with an invalid code"};
    case error::close_reason_not_utf8:
        return {protocol_error, "reason in the Close frame is not UTF-8"};
    case error::out_of_memory:
        return {internal_error, "out of memory"};
    }

    return {internal_error, "unknown error"};
}

} // namespace

std::uint16_t close_code_for(error reason) noexcept
{
    return meaning_of(reason).code;
}

std::string_view describe(error reason) noexcept
{
    return meaning_of(reason).text;
}

} // namespace websocket::protocol
