// zlib's side of the messages that are sent compressed.
#include "protocol/deflater.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include <zlib.h>

namespace websocket::protocol {

// zlib's stream must stay where it was made.
struct detail::deflate_stream {
    z_stream zlib;
    int level;
};

namespace {

// What a flush ends with and the receiver puts back (RFC 7692 7.2.1).
constexpr std::size_t tail_size = 4;

// Room is taken for text as it is: a third or less is left of it.
constexpr std::size_t expected_text_ratio = 3;

// zlib cannot refer to the last bytes of a window: those that it looks ahead.
constexpr std::size_t look_ahead = 262;

constexpr std::size_t max_deflate_step = std::numeric_limits<uInt>::max();

// More than deflate can make of a message, even if nothing shrinks.
constexpr std::size_t bound(std::size_t size) noexcept
{
    return size + size / 4 + 64;
}

// Whether it is not worth going on with a message of which so much was taken
// in, and so much came out.
constexpr bool hardly_shrinks(std::size_t taken, std::size_t produced) noexcept
{
    constexpr std::size_t enough = 256 * 1024;
    constexpr std::size_t kept_back = 64 * 1024; // by zlib, at most

    return produced >= enough && produced + kept_back >= taken - taken / 32;
}

// Gives zlib the next part of what it shall read and write, each in 32 bits.
void set_zlib_buffers(z_stream &zlib, std::span<const std::byte> &message,
                      const shared_buffer &to, std::size_t used) noexcept
{
    if (zlib.avail_in == 0) {
        const std::size_t size = std::min(message.size(), max_deflate_step);

        // zlib does not write to its input, but says so only if asked to
        zlib.next_in =
            reinterpret_cast<Bytef *>(const_cast<std::byte *>(message.data()));
        zlib.avail_in = static_cast<uInt>(size);
        message = message.subspan(size);
    }

    zlib.next_out = reinterpret_cast<Bytef *>(to.data() + used);
    zlib.avail_out =
        static_cast<uInt>(std::min(to.capacity() - used, max_deflate_step));
}

} // namespace

deflater deflater::create(int level, unsigned window) noexcept
{
    auto *created = static_cast<detail::deflate_stream *>(
        std::calloc(1, sizeof(detail::deflate_stream)));

    if (created == nullptr) {
        return {};
    }

    if (deflateInit2(&created->zlib, level, Z_DEFLATED,
                     -static_cast<int>(window), memory_level(window),
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        std::free(created);
        return {};
    }

    created->level = level;
    return deflater{created};
}

deflater::~deflater()
{
    if (stream_ != nullptr) {
        deflateEnd(&stream_->zlib);
        std::free(stream_);
    }
}

void deflater::reset() noexcept
{
    // It fails only for a stream that is none
    static_cast<void>(deflateReset(&stream_->zlib));
}

void deflater::use_level(int level) noexcept
{
    if (std::exchange(stream_->level, level) == level) {
        return;
    }

    // Between two messages nothing waits in the stream: zlib has no use for
    // the byte, but asks for one
    std::array<Bytef, 1> unused{};
    z_stream &zlib = stream_->zlib;

    zlib.avail_in = 0;
    zlib.next_out = unused.data();
    zlib.avail_out = 1;
    static_cast<void>(deflateParams(&zlib, level, Z_DEFAULT_STRATEGY));
}

shared_buffer deflater::make_frame(opcode kind,
                                   std::span<const std::byte> message,
                                   std::size_t most) noexcept
{
    // The header's length is known only when the payload is there: it has
    // room for the longest that may be, and what is too much is cut off.
    const std::size_t room = server_header_size(bound(message.size()));
    auto frame = shared_buffer::allocate(
        room + message.size() / expected_text_ratio + tail_size);

    if (!frame) {
        return {};
    }

    frame.extend(room);

    if (!compress(message, most, frame)) {
        return {};
    }

    const std::size_t size = frame.size() - room;
    const std::size_t header = server_header_size(size);

    frame.drop_front(room - header);
    write_header(frame.data(), kind, size, rsv1);
    return frame;
}

// Puts the compressed message behind what is in `to`.
bool deflater::compress(std::span<const std::byte> message, std::size_t most,
                        shared_buffer &to) noexcept
{
    if (message.empty()) {
        // 7.2.3.6; to zlib there would be nothing to flush
        constexpr std::array<std::byte, 1> empty_block{};
        to.append(empty_block);
        return most != 0;
    }

    z_stream &zlib = stream_->zlib;
    const std::size_t before = to.size();
    const std::size_t all = message.size();
    const bool limited = most < all;
    zlib.avail_in = 0;

    do {
        if (to.size() == to.capacity() && !to.reserve(2 * to.capacity())) {
            return false;
        }

        set_zlib_buffers(zlib, message, to, to.size());
        const uInt room = zlib.avail_out;

        // A flush that fills the room to its last byte is made twice: that
        // costs five bytes, and is as legal as once
        if (deflate(&zlib, message.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH) ==
            Z_STREAM_ERROR) {
            return false;
        }

        to.extend(room - zlib.avail_out);

        // What may yet be cut off does not count
        if (const std::size_t produced = to.size() - before;
            produced > tail_size &&
            (produced - tail_size > most ||
             (limited && hardly_shrinks(all - zlib.avail_in - message.size(),
                                        produced)))) {
            return false;
        }
    } while (zlib.avail_out == 0 || zlib.avail_in != 0 || !message.empty());

    to.drop_back(tail_size);
    return true;
}

unsigned deflater_pool::window_for(std::size_t size, unsigned agreed) noexcept
{
    // More would find nothing more to refer to
    const auto sufficient =
        static_cast<unsigned>(std::bit_width(size + look_ahead - 1));

    return std::min(agreed,
                    std::max<unsigned>(sufficient, smallest_deflate_window));
}

shared_buffer deflater_pool::make_frame(opcode kind,
                                        std::span<const std::byte> message,
                                        int level, unsigned window) noexcept
{
    deflater &used = deflaters_[static_cast<std::size_t>(level - 1)]
                               [window - smallest_deflate_window];

    if (!used) {
        used = deflater::create(level, window);

        if (!used) {
            return {};
        }
    } else {
        used.reset();
    }

    compressions_++;
    return message.empty() ? shared_buffer{}
                           : used.make_frame(kind, message, message.size() - 1);
}

} // namespace websocket::protocol
