// Parses the bytes of one client into messages and control frames. The events
// do not depend on how the bytes are cut.
//
// A frame that is whole in the input is unmasked in place and returned as a
// view of the input. Only a message that arrives in pieces is copied, once,
// into a buffer that lives until the message has been returned. A compressed
// message is inflated into such a buffer as it arrives.
#pragma once

#include "protocol/frames/error.hpp"
#include "protocol/frames/frame.hpp"
#include "protocol/deflate/inflater.hpp"
#include "protocol/deflate/permessage_deflate.hpp"
#include "protocol/frames/shared_buffer.hpp"
#include "protocol/text/utf8.hpp"
#include "protocol/frames/whole_frame.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace websocket::protocol {

// Limits for one client, in bytes of payload; for a compressed message, of the
// inflated one. Compressed messages and their frames may arrive larger by a
// fourth and 1,024 bytes, because incompressible data grows.
struct message_limits {
    std::uint64_t max_message_size = std::uint64_t{1} << 20;
    std::uint64_t max_frame_size = std::uint64_t{1} << 20;
    bool text_accepted = true;
    bool binary_accepted = true;
    bool frames_announced = false; // report each data frame's header too
};

enum class event_type : std::uint8_t {
    need_input, // all input was read; nothing to report
    unfinished, // to be continued: call next() again
    frame,      // the header of a data frame of a message of `kind`
    message,    // a whole message of `kind`
    ping,
    pong,
    close,  // the peer's Close frame, valid
    failed, // the broken rule is in `reason`; nothing is read after it
};

struct event {
    event_type type = event_type::need_input;
    opcode kind = opcode::continuation;
    error reason = error::none;
    // For a message: bytes in front of its payload, of its header, that may be
    // overwritten. The header of a frame sent back is never longer.
    std::uint8_t headroom = 0;
    // The received close code; close_code::none_received for an empty Close.
    std::uint16_t code = 0;
    // For a frame: the length of its payload, and that of its message including
    // it, as they arrive, compressed or not. No memory has been taken for
    // either.
    std::uint64_t fragment_length = 0;
    std::uint64_t total_length = 0;
    bool first = false; // for a frame: it begins a message
    // The payload of a message, ping or pong; the reason of a close. A view of
    // the input or of the reader's buffer, valid until the next call.
    std::span<std::byte> payload{};
};

class message_reader {
public:
    // `limits` must outlive the reader.
    explicit message_reader(const message_limits &limits) noexcept
        : limits_{&limits}
    {}

    // Accepts compressed messages, if they were negotiated. Call it at most
    // once, before the first byte.
    void accept_compressed(const deflate_params &params) noexcept;

    // Reads bytes from the front of `input` until there is an event, and leaves
    // the rest. Bytes that it reads are unmasked in place.
    //
    // A call inflates about one step, and reads at most some hundred fragments,
    // however much a client makes of few bytes: then the event is `unfinished`.
    // The rest of the input may be moved before the next call.
    event next(std::span<std::byte> &input) noexcept;

    static constexpr std::size_t inflation_step = 64 * 1024;

    // The fast path of most messages, without an event. Requires
    // between_messages(). Takes the next message if it is one whole frame, not
    // compressed, within all limits; it lies in the input. Otherwise
    // `header_size` is 0, and next() returns the event.
    whole_frame next_whole(std::span<std::byte> &input) noexcept;

    // No message or frame has begun, and no returned payload is kept. Remains
    // true after next_whole() has taken a message.
    bool between_messages() const noexcept
    {
        return !in_message_ && !in_frame_ && header_size_ == 0 && !message_ &&
               !control_ && !failed_;
    }

    // Replaces next() when only the peer's Close frame counts, because a Close
    // was sent or a rule was broken. Reads up to the end of that frame and
    // returns whether it was there. Other frames are skipped, whatever rules
    // they break. Nothing is unmasked, inflated or kept.
    bool find_close(std::span<std::byte> &input) noexcept;

    bool inside_frame() const noexcept
    {
        return in_frame_ || header_size_ != 0;
    }

    // The bytes of the present frame that have not arrived.
    std::uint64_t frame_rest() const noexcept
    {
        return in_frame_ ? length_ - taken_ : 0;
    }

    // A buffer for the next bytes, so that they need not be copied: for the
    // rest of the present payload or a part of it. Empty between frames and
    // where bytes should come as other input. Pass the received bytes to
    // next().
    std::span<std::byte> receive_buffer() noexcept;

    // The buffer of the message returned last, if it was assembled or inflated.
    // A holder of a reference may keep the payload.
    const shared_buffer &assembled() const noexcept { return message_; }

    // True if next() needs input for progress.
    bool needs_input() const noexcept
    {
        return !in_frame_ && !message_ && !control_ && !text_invalid_;
    }

    // True if the message that is being read, or was read last, is compressed.
    bool inflates() const noexcept { return compressed_; }

    // True inside a frame, its header included, or a fragmented message.
    bool inside_message() const noexcept;

private:
    // The most compressed bytes that one call takes, because they may cost much
    // and produce nothing. They are unmasked at once; a rest that is not
    // inflated is masked again.
    static constexpr std::size_t max_compressed_input = 4096;

    bool accepts(opcode kind, std::size_t size) const noexcept;
    event next_in_parts(std::span<std::byte> &input) noexcept;
    error read_header(std::span<std::byte> &input) noexcept;
    error begin_frame(const frame_header &header) noexcept;
    error begin_data_frame(const frame_header &header) noexcept;
    bool too_big(std::uint64_t size, std::uint64_t limit) const noexcept;
    std::span<std::byte> next_piece(std::span<std::byte> input) const noexcept;
    error consume_payload(std::span<std::byte> piece) noexcept;
    bool unmask_next(std::span<std::byte> piece) noexcept;
    bool consume_text(std::span<std::byte> piece) noexcept;
    error consume_compressed(std::span<std::byte> &input,
                             std::size_t &inflated) noexcept;
    error store(shared_buffer &buffer, std::uint64_t expected,
                std::span<const std::byte> piece) noexcept;
    std::uint64_t expected_size() const noexcept;
    event end_frame(std::span<std::byte> piece) noexcept;
    event end_message(std::span<std::byte> payload) noexcept;
    event end_control(std::span<std::byte> payload) noexcept;
    event fail(error reason) noexcept;
    void stop() noexcept;
    bool skip_header(std::span<std::byte> &input) noexcept;

    const message_limits *limits_;
    shared_buffer message_;          // pieces of the message so far
    shared_buffer control_;          // pieces of a control frame so far
    std::uint64_t length_ = 0;       // of the current frame's payload
    std::uint64_t taken_ = 0;        // bytes of it so far
    std::uint64_t message_size_ = 0; // by the headers of its frames so far
    // Its padding holds the next members
    [[no_unique_address]] inflater inflater_;
    utf8_checker text_;
    masking_key key_{};
    opcode code_ = opcode::continuation; // of the current frame
    opcode kind_ = opcode::continuation; // of the current message
    bool fin_ = false;
    bool in_frame_ = false;   // its header is read, not all its payload
    bool in_message_ = false; // until its last frame ends
    bool failed_ = false;
    bool text_invalid_ = false; // by next_whole(); next() reports it
    bool compressed_ = false;   // the current message is
    std::uint8_t allowed_reserved_bits_ = 0; // RSV1 if compression is agreed
    std::uint8_t header_size_ = 0;
    std::array<std::byte, max_client_header> header_{}; // of a cut header
};

inline bool message_reader::accepts(opcode kind,
                                    std::size_t size) const noexcept
{
    return (kind == opcode::text ? limits_->text_accepted
                                 : limits_->binary_accepted) &&
           size <= limits_->max_message_size &&
           size <= limits_->max_frame_size && !limits_->frames_announced;
}

// Returned in parts, not as a whole_frame, so that they stay in registers.
inline whole_frame
message_reader::next_whole(std::span<std::byte> &input) noexcept
{
    const auto [payload, header_size, kind] = find_whole_frame(input);

    if (header_size == 0 || !accepts(kind, payload.size())) {
        return {};
    }

    masking_key key;
    std::memcpy(key.data(), payload.data() - key.size(), key.size());
    input = input.subspan(header_size + payload.size());

    if (!unmask(payload, key) && kind == opcode::text &&
        !is_valid_utf8(payload)) {
        failed_ = true;
        text_invalid_ = true;
        return {};
    }

    return {payload, header_size, kind};
}

// The part of the frame's payload that is in the input.
inline std::span<std::byte>
message_reader::next_piece(std::span<std::byte> input) const noexcept
{
    return input.first(static_cast<std::size_t>(
        std::min<std::uint64_t>(length_ - taken_, input.size())));
}

inline bool message_reader::unmask_next(std::span<std::byte> piece) noexcept
{
    const bool ascii = unmask(piece, key_, static_cast<std::size_t>(taken_));

    taken_ += piece.size();
    return ascii;
}

} // namespace websocket::protocol
