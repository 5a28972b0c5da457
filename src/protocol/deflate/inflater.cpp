// Inflates messages with zlib, and keeps the context between them.
#include "protocol/deflate/inflater.hpp"

#include "protocol/frames/message_buffer.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <zlib.h>

namespace websocket::protocol {

// Always uses the largest window: with a smaller one, zlib would accept or
// reject a stream depending on how its output is cut.
struct detail::inflate_stream {
    z_stream zlib;
    inflate_stream *next_spare;
    bool ended; // the last input byte ended a final block
};

namespace {

constexpr std::size_t max_spare_streams = 8; // 320 KiB

// The bytes that a sender cuts off the end of a message (RFC 7692 7.2.1).
constexpr std::array<std::byte, 4> tail{std::byte{0}, std::byte{0},
                                        std::byte{0xFF}, std::byte{0xFF}};

// Bits of zlib's data_type: at the end of a block; and the number of unused
// bits, or whether that block was final.
constexpr int after_block = 128;
constexpr int position_bits = 255;

// zlib counts in 32 bits.
constexpr std::size_t max_inflate_step = std::numeric_limits<uInt>::max();

// The first buffer of a message has this many times the size of its input.
constexpr std::uint64_t expected_inflation_ratio = 4;

detail::inflate_stream *spare_streams = nullptr;
std::size_t spare_count = 0;

void destroy(detail::inflate_stream *unused) noexcept
{
    inflateEnd(&unused->zlib);
    std::free(unused);
}

detail::inflate_stream *acquire_stream() noexcept
{
    if (spare_streams != nullptr) {
        spare_count--;
        return std::exchange(spare_streams, spare_streams->next_spare);
    }

    auto *created = static_cast<detail::inflate_stream *>(
        std::calloc(1, sizeof(detail::inflate_stream)));

    if (created == nullptr) {
        return nullptr;
    }

    if (inflateInit2(&created->zlib, -MAX_WBITS) != Z_OK) {
        std::free(created);
        return nullptr;
    }

    return created;
}

void release_stream(detail::inflate_stream *unused) noexcept
{
    if (spare_count == max_spare_streams) {
        destroy(unused);
        return;
    }

    unused->next_spare = std::exchange(spare_streams, unused);
    spare_count++;
}

Bytef *zlib_bytes(const std::byte *bytes) noexcept
{
    // zlib does not write to its input; the type lacks const without ZLIB_CONST
    return reinterpret_cast<Bytef *>(const_cast<std::byte *>(bytes));
}

// The free part of the buffer within the limit and a step. If there is none:
// the part of `probe` that the message may still take, at least one byte.
std::span<std::byte> output_buffer(const shared_buffer &message,
                                   std::uint64_t limit, std::size_t step,
                                   std::span<std::byte> probe) noexcept
{
    const std::size_t size = message.size();
    const auto allowed =
        static_cast<std::size_t>(limit > size ? limit - size : 0);
    const std::size_t available =
        std::min({message.capacity() - size, allowed, step, max_inflate_step});

    return available != 0
               ? std::span(message.data() + size, available)
               : probe.first(std::clamp(allowed, std::size_t{1}, probe.size()));
}

// Appends output to the message, where it may lie already, and checks it.
error accept(std::span<const std::byte> produced,
             const inflation_target &to) noexcept
{
    shared_buffer &message = to.message;

    if (produced.empty()) {
        return error::none;
    }

    if (message.size() == to.limit) {
        return error::message_too_big;
    }

    if (produced.data() == message.data() + message.size()) {
        message.extend(produced.size());
    } else {
        if (!reserve_for(message, 0, produced.size(), to.limit)) {
            return error::out_of_memory;
        }
        message.append(produced);
    }

    return to.text != nullptr && !to.text->feed(produced) ? error::invalid_utf8
                                                          : error::none;
}

} // namespace

error inflater::inflate(std::span<const std::byte> &piece, bool last,
                        const inflation_target &to) noexcept
{
    if (stream_ == nullptr && !begin()) {
        return error::out_of_memory;
    }

    if (const error reason = run(piece, Z_SYNC_FLUSH, to);
        reason != error::none || !last || !piece.empty()) {
        return reason;
    }

    return finish(to);
}

bool inflater::begin() noexcept
{
    stream_ = acquire_stream();

    if (stream_ == nullptr) {
        return false;
    }

    z_stream &zlib = stream_->zlib;
    stream_->ended = false;

    return inflateReset(&zlib) == Z_OK &&
           (!history_ ||
            inflateSetDictionary(&zlib, zlib_bytes(history_.data()),
                                 static_cast<uInt>(history_.size())) == Z_OK);
}

error inflater::run(std::span<const std::byte> &input, int flush,
                    const inflation_target &to) noexcept
{
    std::size_t step = to.step;

    while (!input.empty() && step != 0) {
        const std::size_t size = std::min(input.size(), max_inflate_step);

        stream_->zlib.next_in = zlib_bytes(input.data());
        stream_->zlib.avail_in = static_cast<uInt>(size);

        if (const error reason = drain(flush, step, to);
            reason != error::none) {
            return reason;
        }

        input = input.subspan(size - stream_->zlib.avail_in);
    }

    return error::none;
}

// Inflates all input, unless a step of output comes first: then some input is
// left. A full buffer grows only if there is more output, which goes to the
// stack first.
error inflater::drain(int flush, std::size_t &step,
                      const inflation_target &to) noexcept
{
    z_stream &zlib = stream_->zlib;
    shared_buffer &message = to.message;

    if (!message &&
        !reserve_for(
            message,
            std::min(expected_inflation_ratio * zlib.avail_in, to.limit), 1,
            to.limit)) {
        return error::out_of_memory;
    }

    for (;;) {
        std::array<std::byte, 64> probe;
        const std::span<std::byte> buffer =
            output_buffer(message, to.limit, to.step, probe);
        zlib.next_out = reinterpret_cast<Bytef *>(buffer.data());
        zlib.avail_out = static_cast<uInt>(buffer.size());

        const int result = ::inflate(&zlib, flush);
        const std::size_t produced = buffer.size() - zlib.avail_out;

        if (const error reason = accept(buffer.first(produced), to);
            reason != error::none) {
            return reason;
        }

        stream_->ended = result == Z_STREAM_END;

        if (result == Z_MEM_ERROR) {
            return error::out_of_memory;
        }

        // RFC 7692 7.2.3.4: a final block does not end the stream; later blocks
        // may refer to bytes before it
        if (result != Z_OK && result != Z_BUF_ERROR &&
            (result != Z_STREAM_END || inflateResetKeep(&zlib) != Z_OK)) {
            return error::invalid_compression;
        }

        step -= std::min(step, produced);

        // Input inside zlib is finished in any case: it is little
        if (zlib.avail_in == 0 ? zlib.avail_out != 0 || stream_->ended
                               : step == 0) {
            return error::none;
        }
    }
}

error inflater::finish(const inflation_target &to) noexcept
{
    // After a final block there should be the first byte of an empty one. If
    // the sender left it out, there is nothing to append.
    if (!stream_->ended) {
        std::span<const std::byte> end = tail;

        if (const error reason = run(end, Z_BLOCK, to); reason != error::none) {
            return reason;
        }

        if (!stream_->ended &&
            (stream_->zlib.data_type & position_bits) != after_block) {
            return error::invalid_compression;
        }
    }

    if (kept_ != 0 && to.message && !remember(to.message.bytes())) {
        return error::out_of_memory;
    }

    release_stream(std::exchange(stream_, nullptr));
    return error::none;
}

bool inflater::remember(std::span<const std::byte> message) noexcept
{
    message = message.last(std::min<std::size_t>(message.size(), kept_));

    if (!reserve_for(history_, 0, 0, kept_)) {
        return false;
    }

    const std::size_t all = history_.size() + message.size();

    if (all > kept_) {
        history_.drop_front(all - kept_);
    }

    if (!reserve_for(history_, 0, message.size(), kept_)) {
        return false;
    }

    history_.append(message);
    return true;
}

void inflater::reset() noexcept
{
    history_.reset();

    if (stream_ != nullptr) {
        release_stream(std::exchange(stream_, nullptr));
    }
}

void inflater::clear_cache() noexcept
{
    while (spare_streams != nullptr) {
        destroy(std::exchange(spare_streams, spare_streams->next_spare));
    }
    spare_count = 0;
}

} // namespace websocket::protocol
