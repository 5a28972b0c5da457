// The SIMD levels of unmasking and the UTF-8 check that this machine can run.
#pragma once

#include <vector>

#include "protocol/text/simd.hpp"

inline const std::vector<websocket::protocol::simd_level> &simd_levels()
{
    using websocket::protocol::simd_level;
    static const std::vector<simd_level> levels = [] {
        std::vector<simd_level> found;
        for (const simd_level level :
             {simd_level::portable, simd_level::sse2, simd_level::avx2}) {
            if (level <= websocket::protocol::best_simd_level()) {
                found.push_back(level);
            }
        }
        return found;
    }();
    return levels;
}

inline const char *simd_level_name(websocket::protocol::simd_level level)
{
    constexpr const char *names[] = {"portable", "sse2", "avx2"};
    return names[static_cast<int>(level)];
}
