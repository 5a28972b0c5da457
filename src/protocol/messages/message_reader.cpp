// Assembles messages from frames (RFC 6455 5.4 to 5.6, 8.1).
#include "protocol/messages/message_reader.hpp"

#include "protocol/frames/close_payload.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace websocket::protocol {

namespace {

// Text is checked in parts that are still in the L1 cache from unmasking.
constexpr std::size_t utf8_check_size = 16 * 1024;

// The most fragments that one call reads: they may be empty.
constexpr unsigned max_fragments_per_call = 128;

// The largest compressed size of a message of `size` bytes that does not
// shrink, in small DEFLATE blocks.
constexpr std::uint64_t largest_compressed(std::uint64_t size) noexcept
{
    constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t more = size / 4 + 1024;

    return size > max - more ? max : size + more;
}

} // namespace

void message_reader::accept_compressed(const deflate_params &params) noexcept
{
    if (params.agreed) {
        allowed_reserved_bits_ = rsv1;
        inflater_.keep_context(params.client_takeover, params.client_window);
    }
}

event message_reader::next(std::span<std::byte> &input) noexcept
{
    if (std::exchange(text_invalid_, false)) {
        return fail(error::invalid_utf8);
    }

    if (failed_) {
        input = {};
        return {};
    }

    // The last payload that was returned is no longer needed
    if (!in_message_) {
        message_.reset();
    }
    if (!in_frame_) {
        control_.reset();
    }

    if (between_messages()) {
        if (const whole_frame found = next_whole(input);
            found.header_size != 0) {
            return {.type = event_type::message,
                    .kind = found.kind,
                    .headroom = found.header_size,
                    .payload = found.payload};
        }

        if (std::exchange(text_invalid_, false)) {
            return fail(error::invalid_utf8);
        }
    }

    return next_in_parts(input);
}

// Reads frames or fragments one after the other, as far as they are there.
event message_reader::next_in_parts(std::span<std::byte> &input) noexcept
{
    const std::size_t all = input.size();
    std::size_t inflated = 0;

    for (unsigned fragments = 0;
         fragments != max_fragments_per_call && inflated < inflation_step &&
         !(compressed_ && all - input.size() >= max_compressed_input);
         fragments++) {
        if (!in_frame_) {
            if (const error reason = read_header(input);
                reason != error::none) {
                return fail(reason);
            }

            if (!in_frame_) {
                return {};
            }

            if (limits_->frames_announced && !is_control(code_)) {
                return {.type = event_type::frame,
                        .kind = kind_,
                        .fragment_length = length_,
                        .total_length = message_size_,
                        .first = code_ != opcode::continuation};
            }
        }

        const std::span<std::byte> piece = next_piece(input);

        if (compressed_ && !is_control(code_)) {
            if (const error reason = consume_compressed(input, inflated);
                reason != error::none) {
                return fail(reason);
            }

            if (taken_ != length_ && !input.empty()) {
                return {.type = event_type::unfinished};
            }
        } else {
            const std::uint64_t taken_then = taken_ + piece.size();
            input = input.subspan(piece.size());

            if (const error reason = consume_payload(piece);
                reason != error::none) {
                taken_ = taken_then; // find_close() continues after it
                return fail(reason);
            }
        }

        if (taken_ != length_) {
            return {};
        }

        if (const event done = end_frame(piece);
            done.type != event_type::need_input) {
            return done;
        }
    }

    return {.type = event_type::unfinished};
}

inline error message_reader::read_header(std::span<std::byte> &input) noexcept
{
    frame_header header;

    if (header_size_ == 0) {
        const header_result result =
            parse_header(input, allowed_reserved_bits_, header);

        if (result.size != 0) {
            input = input.subspan(result.size);
            return begin_frame(header);
        }

        if (result.reason != error::none) {
            return result.reason;
        }
    }

    while (!input.empty()) {
        header_[header_size_++] = input.front();
        input = input.subspan(1);

        const header_result result =
            parse_header(std::span(header_).first(header_size_),
                         allowed_reserved_bits_, header);

        if (result.reason != error::none) {
            return result.reason;
        }

        if (result.size != 0) {
            header_size_ = 0;
            return begin_frame(header);
        }
    }

    return error::none;
}

inline error message_reader::begin_frame(const frame_header &header) noexcept
{
    code_ = header.code;
    fin_ = header.fin;
    key_ = header.key;
    length_ = header.payload_length;
    taken_ = 0;
    in_frame_ = true;

    return is_control(header.code) ? error::none : begin_data_frame(header);
}

inline error
message_reader::begin_data_frame(const frame_header &header) noexcept
{
    const bool first = header.code != opcode::continuation;

    if (first == in_message_) {
        return first ? error::continuation_expected
                     : error::continuation_unexpected;
    }

    if (first) {
        if (!(header.code == opcode::text ? limits_->text_accepted
                                          : limits_->binary_accepted)) {
            return error::kind_not_accepted;
        }

        kind_ = header.code;
        message_size_ = 0;
        text_.reset();
        in_message_ = true;
        compressed_ = header.reserved_bits != 0;
    }

    // Check limits before memory is taken
    message_size_ += header.payload_length;

    if (too_big(message_size_, limits_->max_message_size)) {
        return error::message_too_big;
    }

    return too_big(header.payload_length, limits_->max_frame_size)
               ? error::frame_too_big
               : error::none;
}

inline bool message_reader::too_big(std::uint64_t size,
                                    std::uint64_t limit) const noexcept
{
    return size > limit && !(compressed_ && size <= largest_compressed(limit));
}

inline error
message_reader::consume_payload(std::span<std::byte> piece) noexcept
{
    const bool whole = piece.size() == length_;

    if (!is_control(code_) && kind_ == opcode::text) {
        if (!consume_text(piece)) {
            return error::invalid_utf8;
        }
    } else {
        unmask_next(piece);
    }

    if (is_control(code_)) {
        return whole ? error::none : store(control_, length_, piece);
    }

    if (whole && fin_ && code_ != opcode::continuation && !message_) {
        return error::none; // returned where it lies
    }

    return store(message_, expected_size(), piece);
}

inline bool message_reader::consume_text(std::span<std::byte> piece) noexcept
{
    while (!piece.empty()) {
        const std::span<std::byte> part =
            piece.first(std::min(piece.size(), utf8_check_size));
        piece = piece.subspan(part.size());

        // After a cut character, ASCII is invalid
        if (!(unmask_next(part) && text_.complete()) && !text_.feed(part)) {
            return false;
        }
    }

    return true;
}

inline event message_reader::end_frame(std::span<std::byte> piece) noexcept
{
    in_frame_ = false;

    if (is_control(code_)) {
        return end_control(control_ ? control_.bytes() : piece);
    }

    if (!fin_) {
        return {};
    }

    return end_message(message_ ? message_.bytes() : piece);
}

inline event message_reader::end_message(std::span<std::byte> payload) noexcept
{
    in_message_ = false;

    if (kind_ == opcode::text && !text_.complete()) {
        return fail(error::invalid_utf8);
    }

    return {.type = event_type::message, .kind = kind_, .payload = payload};
}

event message_reader::end_control(std::span<std::byte> payload) noexcept
{
    if (code_ != opcode::close) {
        return {.type =
                    code_ == opcode::ping ? event_type::ping : event_type::pong,
                .payload = payload};
    }

    const close_payload read = read_close_payload(payload);

    return read.broken == error::none ? event{.type = event_type::close,
                                              .code = read.code,
                                              .payload = read.reason}
                                      : fail(read.broken);
}

event message_reader::fail(error reason) noexcept
{
    stop();
    return {.type = event_type::failed, .reason = reason};
}

bool message_reader::inside_message() const noexcept
{
    return in_message_ || in_frame_ || header_size_ != 0;
}

} // namespace websocket::protocol
