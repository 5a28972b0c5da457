// SipHash-2-4: four words of state, two rounds for each word of the name, and
// four at the end.
#include "broker/name_hash.hpp"

#include <bit>

namespace websocket::broker {

namespace {

struct sip_state {
    std::uint64_t a, b, c, d;

    void round() noexcept
    {
        a += b;
        c += d;
        b = std::rotl(b, 13) ^ a;
        d = std::rotl(d, 16) ^ c;
        a = std::rotl(a, 32) + d;
        c += b;
        d = std::rotl(d, 21) ^ a;
        b = std::rotl(b, 17) ^ c;
        c = std::rotl(c, 32);
    }

    void take(std::uint64_t word) noexcept
    {
        d ^= word;
        round();
        round();
        a ^= word;
    }
};

// Little-endian, whatever the machine is.
std::uint64_t word_of(std::span<const std::byte> bytes) noexcept
{
    std::uint64_t word = 0;

    for (std::size_t i = 0; i < bytes.size(); i++) {
        word |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }

    return word;
}

} // namespace

std::uint64_t name_hash(const hash_key &key,
                        std::span<const std::byte> name) noexcept
{
    sip_state state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                    key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const std::uint64_t size = name.size();

    while (name.size() >= sizeof(std::uint64_t)) {
        state.take(word_of(name.first(sizeof(std::uint64_t))));
        name = name.subspan(sizeof(std::uint64_t));
    }

    state.take(word_of(name) | size << 56);
    state.c ^= 0xff;

    for (int i = 0; i < 4; i++) {
        state.round();
    }

    return state.a ^ state.b ^ state.c ^ state.d;
}

} // namespace websocket::broker
