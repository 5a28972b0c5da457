// Encodes a message for many clients, uncompressed and once for each level and
// window.
#include "nginx/output/shared_frame.hpp"

#include "nginx/output/deflaters.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <new>

namespace websocket::nginx {

namespace {

// Larger frames are allocated separately.
constexpr std::size_t max_small_frame = 4096;
constexpr std::size_t max_arena_block = 64 * 1024;

struct arena_state {
    unsigned depth = 0;
    std::size_t expected = 0;
    protocol::shared_buffer block;
};

arena_state arena;

// A slow client keeps whole blocks alive. So a block is not much larger than
// the expected frames, or than those written already.
protocol::shared_buffer block_for(std::size_t size) noexcept
{
    if (arena.depth == 0 || size > max_small_frame) {
        return protocol::shared_buffer::allocate(size);
    }

    if (!arena.block || arena.block.capacity() - arena.block.size() < size) {
        arena.block = protocol::shared_buffer::allocate(
            std::clamp(arena.expected, size, max_arena_block));
        arena.expected = arena.block ? arena.block.capacity() : 0;
    }

    return arena.block;
}

} // namespace

frame_arena::frame_arena(std::size_t expected) noexcept
{
    if (arena.depth++ == 0) {
        arena.expected = expected;
    }
}

frame_arena::~frame_arena()
{
    if (--arena.depth == 0) {
        arena = {};
    }
}

shared_frame::shared_frame(protocol::opcode kind,
                           std::span<const std::byte> payload) noexcept
    : payload_size_{payload.size()}, kind_{kind}
{
    const std::size_t header = protocol::server_header_size(payload.size());
    protocol::shared_buffer block = block_for(header + payload.size());

    if (block) {
        std::byte *begin = block.data() + block.size();

        block.extend(protocol::write_header(begin, kind, payload.size()));
        block.append(payload);
        frame_ = {std::move(block), {begin, header + payload.size()}};
    }
}

shared_frame *
shared_frame::create_validated(protocol::opcode kind,
                               std::span<const std::byte> payload) noexcept
{
    if (kind == protocol::opcode::text && !protocol::is_valid_utf8(payload)) {
        return nullptr;
    }

    auto *frame = new (std::nothrow) shared_frame(kind, payload);

    if (frame != nullptr && !*frame) {
        delete frame;
        return nullptr;
    }

    return frame;
}

const protocol::shared_buffer *
shared_frame::compressed(int level, unsigned window) const noexcept
{
    for (std::size_t i = 0; i != variant_count_; i++) {
        const variant &known = variants_[i];

        if (known.level == level && known.window == window) {
            return &known.frame;
        }
    }

    return nullptr;
}

protocol::shared_buffer shared_frame::compress(int level,
                                               unsigned window) const noexcept
{
    compression::compressed += payload_size_;

    auto frame =
        compression::deflaters.make_frame(kind_, payload(), level, window);

    if (variant_count_ != variants_.size()) {
        variants_[variant_count_++] = {level, window, frame};
    }

    return frame;
}

} // namespace websocket::nginx
