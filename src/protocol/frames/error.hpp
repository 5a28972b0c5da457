// Every rule that a client's frames can break, each with one status code and
// one text.
#pragma once

#include <cstdint>
#include <string_view>

namespace websocket::protocol {

enum class error : std::uint8_t {
    none,
    reserved_bits,           // RFC 6455 5.2: RSV bits not negotiated
    reserved_opcode,         // 5.2: opcodes 3 to 7 and 11 to 15
    control_fragmented,      // 5.5: control frames have FIN
    control_too_long,        // 5.5: at most 125 bytes
    not_masked,              // 5.1: clients mask every frame
    length_not_minimal,      // 5.2: the shortest form of the length
    length_top_bit,          // 5.2: the top bit of 64 is 0
    continuation_unexpected, // 5.4: no message to continue
    continuation_expected,   // 5.4: a new message inside another
    kind_not_accepted,       // 7.4.1: 1003
    frame_too_big,           // 7.4.1: 1009
    message_too_big,         // 7.4.1: 1009
    invalid_utf8,            // 8.1: 1007
    invalid_compression,     // RFC 7692 7.2.2: 1007
    close_payload_truncated, // 5.5.1: a body of 1 byte
    close_code_invalid,      // 7.4: a code that is not valid on the wire
    close_reason_not_utf8,   // 5.5.1
    out_of_memory,           // not a rule: 1011
};

// The status code that fails the connection (7.1.7).
std::uint16_t close_code_for(error reason) noexcept;

// One phrase for the log and for the reason of the Close frame: static, at most
// 123 bytes.
std::string_view describe(error reason) noexcept;

} // namespace websocket::protocol
