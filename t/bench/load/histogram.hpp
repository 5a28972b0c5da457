// A histogram of durations whose steps grow with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace websocket::load {

class histogram {
public:
    void add(std::uint64_t nanoseconds) noexcept;
    void clear() noexcept;
    std::uint64_t count() const noexcept { return count_; }

    // The duration that a share of all, from 0 to 1, did not exceed. It is less
    // than a percent too high; 0 without durations.
    std::uint64_t quantile(double share) const noexcept;

private:
    static constexpr unsigned step_bits = 7; // steps to each power of two

    static std::size_t step_of(std::uint64_t nanoseconds) noexcept;
    static std::uint64_t end_of(std::size_t step) noexcept;

    std::array<std::uint64_t, (64 - step_bits + 1) << step_bits> steps_ = {};
    std::uint64_t count_ = 0;
};

} // namespace websocket::load
