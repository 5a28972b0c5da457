// Stores the payload of messages that arrive in pieces or compressed.
#include "protocol/messages/message_reader.hpp"

#include "protocol/frames/message_buffer.hpp"

#include <algorithm>

namespace websocket::protocol {

namespace {

// Shorter remainders are received together with the bytes after them.
constexpr std::uint64_t min_direct_receive = 4096;

constexpr std::size_t min_inflation = 4096;

} // namespace

// Output goes to the message's buffer, which is allocated even for no output.
// Input is left if a step, or the frame, is complete.
error message_reader::consume_compressed(std::span<std::byte> &input,
                                         std::size_t &inflated) noexcept
{
    const std::size_t before = (message_ ? message_.size() : 0) - inflated;

    const std::span<std::byte> all = next_piece(input);
    const std::span<std::byte> piece =
        all.first(std::min(all.size(), max_compressed_input));
    std::span<const std::byte> rest = piece;

    unmask_next(piece);

    const error reason = inflater_.inflate(
        rest, fin_ && taken_ == length_,
        {.message = message_,
         .text = kind_ == opcode::text ? &text_ : nullptr,
         .limit = limits_->max_message_size,
         .step = std::max(inflation_step - inflated, min_inflation)});

    // These bytes are taken by the next call
    taken_ -= rest.size();
    unmask(piece.last(rest.size()), key_, static_cast<std::size_t>(taken_));
    input = input.subspan(piece.size() - rest.size());

    inflated = (message_ ? message_.size() : 0) - before;
    return reason;
}

// The expected size of the message. If fragments follow, it exceeds the lengths
// in the headers so far; without a reserve the buffer would be copied once
// more. Browsers send fragments of 128 KiB.
std::uint64_t message_reader::expected_size() const noexcept
{
    return fin_ ? message_size_
                : std::min(8 * std::min(message_size_, max_initial_capacity),
                           limits_->max_message_size);
}

error message_reader::store(shared_buffer &buffer, std::uint64_t expected,
                            std::span<const std::byte> piece) noexcept
{
    if (piece.empty()) {
        return error::none;
    }

    if (lies_within(piece, buffer)) {
        buffer.extend(piece.size()); // it was received into receive_buffer()
        return error::none;
    }

    if (!reserve_for(buffer, expected, piece.size(),
                     limits_->max_message_size)) {
        return error::out_of_memory;
    }

    buffer.append(piece);
    return error::none;
}

std::span<std::byte> message_reader::receive_buffer() noexcept
{
    const std::uint64_t rest = length_ - taken_;

    if (!in_frame_ || failed_ || is_control(code_) || compressed_ ||
        rest < min_direct_receive ||
        !reserve_for(message_, expected_size(), min_direct_receive,
                     limits_->max_message_size)) {
        return {};
    }

    const std::size_t available = message_.capacity() - message_.size();
    return {message_.data() + message_.size(),
            static_cast<std::size_t>(std::min<std::uint64_t>(available, rest))};
}

} // namespace websocket::protocol
