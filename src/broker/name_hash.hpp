// SipHash-2-4 of names (Aumasson and Bernstein, 2012). Without the key nobody
// can choose names that collide.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace websocket::broker {

using hash_key = std::array<std::uint64_t, 2>;

std::uint64_t name_hash(const hash_key &key,
                        std::span<const std::byte> name) noexcept;

} // namespace websocket::broker
