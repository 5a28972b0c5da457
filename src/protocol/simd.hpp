// Names the instruction sets that unmasking and the UTF-8 check can use.
#pragma once

#include <cstdint>

namespace websocket::protocol {

// A path through the code that is written once per instruction set. Every path
// gives the same result. `portable` runs anywhere, `sse2` on every x86-64,
// `avx2` where best_simd_level() says so.
enum class simd_level : std::uint8_t { portable, sse2, avx2 };

// The fastest path this machine can run. Cheap enough to ask on each call: the
// compiler's run-time library looked at the processor, and at whether the
// system saves its wide registers, once while the program was loaded.
[[nodiscard]] inline simd_level best_simd_level() noexcept
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") ? simd_level::avx2 : simd_level::sse2;
#else
    return simd_level::portable;
#endif
}

} // namespace websocket::protocol
