// Grows a message buffer with few copies, and without trusting announced
// lengths.
#include "protocol/frames/message_buffer.hpp"

#include <algorithm>
#include <functional>

namespace websocket::protocol {

bool reserve_for(shared_buffer &buffer, std::uint64_t expected,
                 std::size_t more, std::uint64_t limit) noexcept
{
    const std::size_t held = buffer ? buffer.capacity() : 0;
    const std::uint64_t needed = (buffer ? buffer.size() : 0) + more;

    if (buffer && needed <= held) {
        return true;
    }

    // Doubling bounds the number of copies for many small fragments
    const std::uint64_t doubled =
        std::min<std::uint64_t>(2 * std::uint64_t{held}, limit);
    const auto wanted = static_cast<std::size_t>(
        std::max({needed, std::min(expected, max_initial_capacity), doubled}));

    if (buffer) {
        return buffer.reserve(wanted);
    }

    buffer = shared_buffer::allocate(wanted);
    return static_cast<bool>(buffer);
}

bool lies_within(std::span<const std::byte> piece,
                 const shared_buffer &buffer) noexcept
{
    // std::less orders any two pointers; < may not
    const std::less_equal<const std::byte *> ordered;

    return buffer && ordered(buffer.data(), piece.data()) &&
           ordered(piece.data() + piece.size(),
                   buffer.data() + buffer.capacity());
}

} // namespace websocket::protocol
