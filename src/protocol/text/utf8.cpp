// The state of the UTF-8 checker between pieces, and its portable path.
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace websocket::protocol {
namespace {

// The bytes that may follow. After some lead bytes the range of the second byte
// is narrower: it excludes longer forms, surrogates and code points above
// U+10FFFF (RFC 3629 section 4).
enum expectation : unsigned {
    lead, // or ASCII: a character boundary
    one_more,
    two_more,
    three_more,
    after_e0,
    after_ed,
    after_f0,
    after_f4,
    nothing, // an impossible byte was found
    expectations,
};

constexpr expectation after_lead(unsigned byte)
{
    if (byte < 0x80) {
        return lead;
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return nothing;
    }
    if (byte < 0xE0) {
        return one_more;
    }
    if (byte < 0xF0) {
        return byte == 0xE0 ? after_e0 : byte == 0xED ? after_ed : two_more;
    }
    return byte == 0xF0 ? after_f0 : byte == 0xF4 ? after_f4 : three_more;
}

constexpr expectation within(unsigned byte, unsigned low, unsigned high,
                             expectation next)
{
    return byte < low || byte > high ? nothing : next;
}

constexpr expectation after(expectation expected, unsigned byte)
{
    switch (expected) {
    case lead:
        return after_lead(byte);
    case one_more:
        return within(byte, 0x80, 0xBF, lead);
    case two_more:
        return within(byte, 0x80, 0xBF, one_more);
    case three_more:
        return within(byte, 0x80, 0xBF, two_more);
    case after_e0:
        return within(byte, 0xA0, 0xBF, one_more);
    case after_ed:
        return within(byte, 0x80, 0x9F, one_more);
    case after_f0:
        return within(byte, 0x90, 0xBF, two_more);
    case after_f4:
        return within(byte, 0x80, 0x8F, two_more);
    default:
        return nothing;
    }
}

// A state is an expectation times 6. The row of a byte holds the following
// state for each state, shifted by that state, in 6 bits. So a step is one
// load, which does not depend on the step before, and one shift, which does.
constexpr unsigned bits = 6;
static_assert(expectations * bits <= 64);

using state = std::uint64_t; // only the lower 6 bits count

constexpr state at_boundary = state{lead} * bits;
constexpr state failed = state{nothing} * bits;

constexpr auto rows = [] {
    std::array<std::uint64_t, 256> result{};
    for (unsigned byte = 0; byte < result.size(); ++byte) {
        for (unsigned i = 0; i < expectations; ++i) {
            const auto next = after(static_cast<expectation>(i), byte);
            result[byte] |= std::uint64_t{next} * bits << i * bits;
        }
    }
    return result;
}();

state step(state before, std::uint8_t byte) noexcept
{
    return rows[byte] >> (before & 63);
}

state walk(state now, std::span<const std::uint8_t> text) noexcept
{
    for (const std::uint8_t byte : text) {
        now = step(now, byte);
    }
    return now & 63;
}

template <typename word>
word load(const std::uint8_t *from) noexcept
{
    word value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

bool ascii(std::uint64_t bytes) noexcept
{
    return (bytes & 0x8080808080808080) == 0;
}

bool ascii_32(const std::uint8_t *at) noexcept
{
    return ascii(load<std::uint64_t>(at) | load<std::uint64_t>(at + 8) |
                 load<std::uint64_t>(at + 16) | load<std::uint64_t>(at + 24));
}

// For short texts. Loads the same words that unmask() stores: a load that spans
// two fresh stores waits until both have reached the cache.
bool short_ascii(std::span<const std::uint8_t> text) noexcept
{
    const std::uint8_t *at = text.data();
    std::size_t size = text.size();
    std::uint64_t bytes = 0;
    for (; size >= 8; size -= 8, at += 8) {
        bytes |= load<std::uint64_t>(at);
    }
    if (size >= 4) {
        bytes |= load<std::uint32_t>(at);
        size -= 4;
        at += 4;
    }
    for (std::size_t i = 0; i < size; ++i) {
        bytes |= at[i];
    }
    return ascii(bytes);
}

bool validate_utf8(std::span<const std::uint8_t> text,
                   simd_level level) noexcept
{
#if defined(__x86_64__)
    const std::size_t size = text.size();
    if (level == simd_level::avx2 && size >= detail::min_avx2_size) {
        return detail::validate_utf8_avx2(text);
    }
    if (level != simd_level::portable && size >= detail::min_sse2_size) {
        return detail::validate_utf8_sse2(text);
    }
#else
    static_cast<void>(level);
#endif
    return detail::validate_utf8_portable(text);
}

// The state after a possible text, found from its last character: failed if a
// byte there begins no character.
state state_after(std::span<const std::uint8_t> text) noexcept
{
    const auto reach = std::min<std::size_t>(text.size(), 3);
    for (std::size_t back = 1; back <= reach; ++back) {
        const std::uint8_t byte = text[text.size() - back];
        if (byte < 0x80) {
            return at_boundary;
        }
        if (byte >= 0xC0) {
            return walk(at_boundary, text.last(back));
        }
    }
    // Three continuation bytes end the longest character.
    return at_boundary;
}

} // namespace

namespace detail {

bool validate_utf8_portable(std::span<const std::uint8_t> text) noexcept
{
    state now = at_boundary;
    for (; text.size() >= 32; text = text.subspan(32)) {
        // The state is tested last: in other text it is hard to predict.
        if (!ascii_32(text.data()) || now != at_boundary) {
            now = walk(now, text.first(32));
        }
    }
    return walk(now, text) != failed;
}

} // namespace detail

bool utf8_checker::feed(std::span<const std::byte> piece,
                        simd_level level) noexcept
{
    std::span text(reinterpret_cast<const std::uint8_t *>(piece.data()),
                   piece.size());
    state now = state_;
    while (now != at_boundary && now != failed && !text.empty()) {
        now = walk(now, text.first(1));
        text = text.subspan(1);
    }
    if (now == at_boundary && !(text.size() <= 64 && short_ascii(text))) {
        now = validate_utf8(text, level) ? state_after(text) : failed;
    }
    state_ = static_cast<std::uint8_t>(now);
    return now != failed;
}

bool utf8_checker::feed(std::span<const std::byte> piece) noexcept
{
    return feed(piece, best_simd_level());
}

bool is_valid_utf8(std::span<const std::byte> text) noexcept
{
    utf8_checker checker;
    return checker.feed(text) && checker.complete();
}

} // namespace websocket::protocol
