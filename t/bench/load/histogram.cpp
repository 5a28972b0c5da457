// A histogram of durations whose steps grow with them.
#include "histogram.hpp"

#include <bit>
#include <cmath>

namespace websocket::load {

// Below 2^step_bits each number has its own step. Above, the bits after the
// highest one select the step within its power of two.
std::size_t histogram::step_of(std::uint64_t nanoseconds) noexcept
{
    const unsigned width = static_cast<unsigned>(std::bit_width(nanoseconds));

    if (width <= step_bits) {
        return nanoseconds;
    }

    const unsigned shift = width - step_bits - 1;
    const std::size_t in_power = (nanoseconds >> shift) - (1u << step_bits);

    return (std::size_t{shift + 1} << step_bits) + in_power;
}

std::uint64_t histogram::end_of(std::size_t step) noexcept
{
    const std::size_t power = step >> step_bits;

    if (power == 0) {
        return step;
    }

    const std::size_t in_power = step & ((1u << step_bits) - 1);
    return ((std::uint64_t{in_power} + (1u << step_bits) + 1) << (power - 1)) -
           1;
}

void histogram::add(std::uint64_t nanoseconds) noexcept
{
    steps_[step_of(nanoseconds)]++;
    count_++;
}

void histogram::clear() noexcept
{
    steps_ = {};
    count_ = 0;
}

std::uint64_t histogram::quantile(double share) const noexcept
{
    const auto wanted = static_cast<std::uint64_t>(
        std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;

    for (std::size_t step = 0; step != steps_.size() && count_ != 0; step++) {
        seen += steps_[step];

        if (seen >= wanted && seen != 0) {
            return end_of(step);
        }
    }

    return 0;
}

} // namespace websocket::load
