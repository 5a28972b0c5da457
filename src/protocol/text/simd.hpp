// Instruction sets for unmasking and the UTF-8 check.
#pragma once

#include <cstdint>

namespace websocket::protocol {

// A path through code that is written once per instruction set. All paths give
// the same result. `portable` runs anywhere, `sse2` on every x86-64, `avx2` if
// best_simd_level() returns it.
enum class simd_level : std::uint8_t { portable, sse2, avx2 };

// The fastest path of this machine. Cheap enough for each call: the compiler's
// run-time library examines the processor, and whether the system saves its
// wide registers, once at program start.
[[nodiscard]] inline simd_level best_simd_level() noexcept
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") ? simd_level::avx2 : simd_level::sse2;
#else
    return simd_level::portable;
#endif
}

} // namespace websocket::protocol
