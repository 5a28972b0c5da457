// Turns the bytes of one client into messages and control frames: bytes in,
// events out. However the bytes are cut, the events are the same.
//
// A frame that lies whole in the input is unmasked where it is and handed out
// as a view of the input. Only a message that arrives in pieces is copied,
// once, into a buffer that lives until the message has been handed out. A
// compressed message is inflated into such a buffer as it arrives.
#pragma once

#include "protocol/error.hpp"
#include "protocol/frame.hpp"
#include "protocol/inflater.hpp"
#include "protocol/permessage_deflate.hpp"
#include "protocol/shared_buffer.hpp"
#include "protocol/utf8.hpp"
#include "protocol/whole_frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace websocket::protocol {

// What one client may send. Sizes in bytes of payload: of a compressed message
// the inflated one counts. What arrives of it, and its frames, may be larger
// than these limits by a fourth and 1,024 bytes, for what cannot be compressed
// grows.
struct message_limits {
    std::uint64_t max_message_size = std::uint64_t{1} << 20;
    std::uint64_t max_frame_size = std::uint64_t{1} << 20;
    bool text_accepted = true;
    bool binary_accepted = true;
    bool frames_announced = false; // report each data frame's header too
};

enum class event_type : std::uint8_t {
    need_input, // all input is taken; nothing to report
    unfinished, // a part of the work is done: next() goes on with the rest
    frame,      // the header of a data frame of a message of `kind`
    message,    // a whole message of `kind`
    ping,
    pong,
    close,  // the peer's Close frame, valid
    failed, // `reason` says which rule was broken; nothing is read after it
};

struct event {
    event_type type = event_type::need_input;
    opcode kind = opcode::continuation;
    error reason = error::none;
    // Of a message: bytes in front of its payload that may be overwritten, for
    // they held its header. Those of a header sent back are never more.
    std::uint8_t headroom = 0;
    // The close code received; close_code::none_received for an empty Close.
    std::uint16_t code = 0;
    // Of a frame: the length of its payload, and that of its message so far
    // with it, both as they arrive, compressed or not. No memory has been taken
    // for either.
    std::uint64_t fragment_length = 0;
    std::uint64_t total_length = 0;
    bool first = false; // of a frame: its message begins with it
    // Of a message, a ping or a pong; of a close, its reason. A view of the
    // input or of the reader's buffer: valid until the next call.
    std::span<std::byte> payload{};
};

class message_reader {
public:
    // `limits` outlive the reader.
    explicit message_reader(const message_limits &limits) noexcept
        : limits_{&limits}
    {}

    // Takes compressed messages from now on, if they were agreed on. To be
    // called before the first byte is read, once at most.
    void accept_compressed(const deflate_params &params) noexcept;

    // Takes bytes from the front of `input` until there is something to
    // report, and leaves the rest in it. What it takes is unmasked in place.
    //
    // However much a client may make of few bytes, a call inflates about a
    // step and reads some hundred fragments at most: then it is unfinished. The
    // rest of the input may be copied meanwhile.
    event next(std::span<std::byte> &input) noexcept;

    static constexpr std::size_t inflation_step = 64 * 1024;

    // The way that most messages take, for those who would rather not have an
    // event of each. Where between_messages(): takes the next message if it is
    // a single frame that is all there and keeps all limits. It is not
    // compressed, and lies in the input. Else `header_size` is 0, and next()
    // tells what there is.
    whole_frame next_whole(std::span<std::byte> &input) noexcept;

    // Nothing has begun, and nothing that was handed out is kept. It stays so
    // when next_whole() has taken a message.
    bool between_messages() const noexcept
    {
        return !in_message_ && !in_frame_ && header_size_ == 0 && !message_ &&
               !control_ && !failed_;
    }

    // Instead of next() once nothing but the peer's Close frame counts: our own
    // was sent, or a rule was broken. Takes bytes from the front of `input` up
    // to the end of that frame, and returns whether it was there. Other frames
    // are skipped, whatever rules they break; nothing is unmasked, inflated or
    // kept any more.
    bool find_close(std::span<std::byte> &input) noexcept;

    bool inside_frame() const noexcept
    {
        return in_frame_ || header_size_ != 0;
    }

    // Bytes that are still to come of the frame whose header was read last.
    std::uint64_t frame_rest() const noexcept
    {
        return in_frame_ ? length_ - taken_ : 0;
    }

    // Where the next bytes may be received so that they need not be copied:
    // room for the rest of the payload that is being read, or for a part of
    // it. Empty when the bytes should come as any input, which is so between
    // frames. What was received there is passed to next().
    std::span<std::byte> receive_buffer() noexcept;

    // The buffer that holds the payload of the message handed out last, if it
    // was assembled from pieces or inflated. Who takes a reference may keep the
    // payload.
    const shared_buffer &assembled() const noexcept { return message_; }

    // True if next() had nothing to do without input.
    bool needs_input() const noexcept
    {
        return !in_frame_ && !message_ && !control_ && !text_invalid_;
    }

    // True if the message that is being read, or was read last, is compressed.
    bool inflates() const noexcept { return compressed_; }

    // True inside a frame, its header included, or a fragmented message.
    bool inside_message() const noexcept;

private:
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
    shared_buffer message_;          // the message's pieces so far
    shared_buffer control_;          // a control frame's pieces so far
    std::uint64_t length_ = 0;       // of the current frame's payload
    std::uint64_t taken_ = 0;        // of it, so far
    std::uint64_t message_size_ = 0; // by the headers of its frames so far
    // Its last bytes are room for the next members: they cost nothing
    [[no_unique_address]] inflater inflater_;
    utf8_checker text_;
    masking_key key_{};
    opcode code_ = opcode::continuation; // of the current frame
    opcode kind_ = opcode::continuation; // of the current message
    bool fin_ = false;
    bool in_frame_ = false;   // its header is read, not all its payload
    bool in_message_ = false; // until its last frame ends
    bool failed_ = false;
    bool text_invalid_ = false;              // by next_whole(): next() says so
    bool compressed_ = false;                // the current message is
    std::uint8_t allowed_reserved_bits_ = 0; // RSV1 if compression is agreed
    std::uint8_t header_size_ = 0;
    std::array<std::byte, max_client_header> header_{}; // when it is cut
};

inline bool message_reader::accepts(opcode kind,
                                    std::size_t size) const noexcept
{
    return (kind == opcode::text ? limits_->text_accepted
                                 : limits_->binary_accepted) &&
           size <= limits_->max_message_size &&
           size <= limits_->max_frame_size && !limits_->frames_announced;
}

// In parts rather than as a whole_frame, so that they stay in registers.
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

} // namespace websocket::protocol
