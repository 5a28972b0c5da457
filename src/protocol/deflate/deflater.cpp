// Compresses messages with zlib.
#include "protocol/deflate/deflater.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include <zlib.h>

namespace websocket::protocol {

// A zlib stream must not move.
struct detail::deflate_stream {
    z_stream zlib;
    int level;
};

namespace {

// The end of a flush, which the receiver appends again (RFC 7692 7.2.1).
constexpr std::size_t tail_size = 4;

// The first allocation assumes that text shrinks to a third.
constexpr std::size_t expected_text_ratio = 3;

// zlib cannot refer to the last bytes of a window, its look-ahead.
constexpr std::size_t look_ahead = 262;

constexpr std::size_t max_deflate_step = std::numeric_limits<uInt>::max();

// An upper bound of the compressed size, for incompressible data too.
constexpr std::size_t bound(std::size_t size) noexcept
{
    return size + size / 4 + 64;
}

// Whether to give up on a message of which `taken` bytes became `produced`.
constexpr bool hardly_shrinks(std::size_t taken, std::size_t produced) noexcept
{
    constexpr std::size_t enough = 256 * 1024;
    constexpr std::size_t kept_back = 64 * 1024; // by zlib, at most

    return produced >= enough && produced + kept_back >= taken - taken / 32;
}

// Sets the next part of input and output; zlib counts both in 32 bits.
void set_zlib_buffers(z_stream &zlib, std::span<const std::byte> &message,
                      const shared_buffer &to, std::size_t used) noexcept
{
    if (zlib.avail_in == 0) {
        const std::size_t size = std::min(message.size(), max_deflate_step);

        // zlib does not write to its input; the type lacks const without
        // ZLIB_CONST
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
    // It fails only for an invalid stream
    static_cast<void>(deflateReset(&stream_->zlib));
}

void deflater::use_level(int level) noexcept
{
    if (std::exchange(stream_->level, level) == level) {
        return;
    }

    // Between messages the stream is empty: zlib does not use the byte, but
    // requires one
    std::array<Bytef, 1> unused{};
    z_stream &zlib = stream_->zlib;

    zlib.avail_in = 0;
    zlib.next_out = unused.data();
    zlib.avail_out = 1;
    static_cast<void>(deflateParams(&zlib, level, Z_DEFAULT_STRATEGY));
}

shared_buffer deflater::make_frame(opcode kind,
                                   std::span<const std::byte> message,
                                   std::size_t max_size) noexcept
{
    // The length of the header is known only after the payload. Reserve the
    // longest header, and cut off what is too much.
    const std::size_t headroom = server_header_size(bound(message.size()));
    auto frame = shared_buffer::allocate(
        headroom + message.size() / expected_text_ratio + tail_size);

    if (!frame) {
        return {};
    }

    frame.extend(headroom);

    if (!compress(message, max_size, frame)) {
        return {};
    }

    const std::size_t size = frame.size() - headroom;
    const std::size_t header = server_header_size(size);

    frame.drop_front(headroom - header);
    write_header(frame.data(), kind, size, rsv1);
    return frame;
}

// Appends the compressed message to `to`.
bool deflater::compress(std::span<const std::byte> message,
                        std::size_t max_size, shared_buffer &to) noexcept
{
    if (message.empty()) {
        // RFC 7692 7.2.3.6; zlib would have nothing to flush
        constexpr std::array<std::byte, 1> empty_block{};
        to.append(empty_block);
        return max_size != 0;
    }

    z_stream &zlib = stream_->zlib;
    const std::size_t before = to.size();
    const std::size_t all = message.size();
    const bool limited = max_size < all;
    zlib.avail_in = 0;

    do {
        if (to.size() == to.capacity() && !to.reserve(2 * to.capacity())) {
            return false;
        }

        set_zlib_buffers(zlib, message, to, to.size());
        const uInt available = zlib.avail_out;

        // A flush that fills the output to its last byte is repeated: that
        // costs five bytes, and is legal too
        if (deflate(&zlib, message.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH) ==
            Z_STREAM_ERROR) {
            return false;
        }

        to.extend(available - zlib.avail_out);

        // The tail does not count: it is cut off
        if (const std::size_t produced = to.size() - before;
            produced > tail_size &&
            (produced - tail_size > max_size ||
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
    // A larger window would have nothing more to refer to
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
