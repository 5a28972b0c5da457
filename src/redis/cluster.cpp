// Computes slots, and parses redirections.
#include "redis/cluster.hpp"

#include "redis/keys.hpp"
#include "sdk/websocket_text.hpp"

namespace websocket::redis {

namespace {

// CRC-16/XMODEM
unsigned crc16(std::string_view text) noexcept
{
    unsigned sum = 0;

    for (const char each : text) {
        sum ^= static_cast<unsigned>(static_cast<unsigned char>(each)) << 8;

        for (int bit = 0; bit != 8; bit++) {
            sum = (sum << 1 ^ ((sum & 0x8000) != 0 ? 0x1021u : 0u)) & 0xffff;
        }
    }

    return sum;
}

// "SLOT HOST:PORT", where an IPv6 address has no brackets.
redirect parse_target(redirect::type what, std::string_view text)
{
    const std::string_view address = text.substr(text.find(' ') + 1);
    const std::size_t colon = address.rfind(':');
    const auto port = colon == address.npos
                          ? std::nullopt
                          : detail::decimal(address.substr(colon + 1));

    if (!port || *port == 0 || *port > 65535) {
        return {redirect::type::later, {}, 0};
    }

    return {what, std::string(address.substr(0, colon)),
            static_cast<std::uint16_t>(*port)};
}

} // namespace

unsigned slot_of(unsigned shard) noexcept
{
    const char digits[]{static_cast<char>('0' + shard / 10),
                        static_cast<char>('0' + shard % 10)};

    // Redis hashes only what is between the braces
    return crc16({digits + (shard < 10 ? 1 : 0), shard < 10 ? 1u : 2u}) %
           slot_count;
}

redirect parse_redirect(std::string_view error)
{
    constexpr std::string_view moved = "MOVED ";
    constexpr std::string_view ask = "ASK ";

    if (error.starts_with(moved)) {
        return parse_target(redirect::type::moved, error.substr(moved.size()));
    }

    if (error.starts_with(ask)) {
        return parse_target(redirect::type::ask, error.substr(ask.size()));
    }

    // The last text: see scripts.hpp
    const bool later = error.starts_with("TRYAGAIN") ||
                       error.starts_with("CLUSTERDOWN") ||
                       error.find("access a non local key") != error.npos;

    return {later ? redirect::type::later : redirect::type::none, {}, 0};
}

} // namespace websocket::redis
