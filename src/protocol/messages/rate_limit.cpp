// Computes the leaky bucket.
#include "protocol/messages/rate_limit.hpp"

namespace websocket::protocol {

bool rate_limiter::take(const rate_limit &rate, std::uint64_t now) noexcept
{
    const std::uint64_t passed = now > last_ ? now - last_ : 0;

    // Dividing avoids an overflow of the product of a long time and a high rate
    level_ = passed > level_ / rate.leak_ ? 0 : level_ - passed * rate.leak_;
    last_ = now;

    if (level_ > rate.capacity_) {
        return false;
    }

    level_ += rate_limit::parts;
    return true;
}

} // namespace websocket::protocol
