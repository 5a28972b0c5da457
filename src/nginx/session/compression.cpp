// Compresses the messages of a session: with a deflater of its own if context
// takeover was negotiated, otherwise with the deflaters of the worker.
#include "nginx/session/session.hpp"

#include "nginx/output/deflaters.hpp"
#include "nginx/session/worker.hpp"

#include <array>
#include <cstdint>

namespace websocket::nginx {

namespace {

// If the budget is used up, smaller messages, and larger ones for one window of
// all, are compressed at level 1 from the reserve.
constexpr std::size_t small_message = 4 * 1024;

// Creating a deflater takes up to 1 ms, most of it for pages of its memory.
constexpr std::size_t creation_work = std::size_t{256} * 1024;

// The highest cost of a compressed byte per level, in units of turn of about
// 5 ns. It depends on how long zlib searches for matches, which the client's
// data decides. The worst text found is random, but its sequences of three
// bytes have few different values in zlib's hash. A byte takes 25 ns at level
// 1, 80 ns at level 3 and 4 us at level 9 (`make bench-deflate`). With windows
// of 9 and 10 bits, data that does not shrink takes 45 ns at each of the levels
// 1 to 4.
constexpr std::array<std::uint16_t, 9> costs{4,  7,  16,  10, 16,
                                             48, 80, 288, 800};

std::size_t cost_of_level(int level) noexcept
{
    return costs[static_cast<std::size_t>(level - 1)];
}

// A level, up to the configured one, at which compressing takes at most about
// 25 ms, as 1 MB at level 1 does. Level 4 takes less time than 3 and 5.
int level_for(std::size_t size, int level) noexcept
{
    while (level > 1 &&
           size > compression_budget::max_work / cost_of_level(level)) {
        level = level > 6 ? level - 1 : level > 4 ? 4 : 1;
    }

    return level;
}

} // namespace

// A client's own turn already limits compression. Outside of it, one event may
// send messages to many clients.
bool session::may_compress(std::size_t work) const noexcept
{
    return in_turn_ || this_worker().compression.spend(work, this);
}

// Empty if the message should be sent uncompressed. With context takeover a
// compressed message must be sent, as later ones refer to it; an uncompressed
// message does not change the context.
protocol::shared_buffer
session::compress(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept
{
    int level =
        level_for(payload.size(), static_cast<int>(conf_.deflate_comp_level));
    const unsigned window = negotiated_.deflate.server_window;
    const bool creates = negotiated_.deflate.server_takeover && !deflater_;
    const std::size_t setup = creates ? creation_work : 0;

    if (!may_compress(payload.size() * cost_of_level(level) + setup)) {
        level = 1;
        if (payload.size() >= small_message ||
            !this_worker().compression.spend_reserve(
                payload.size() * cost_of_level(level) + setup, this)) {
            return {};
        }
    }

    compression::compressed += payload.size();
    this_worker().current_turn.spend(payload.size() * cost_of_level(level));

    if (!negotiated_.deflate.server_takeover) {
        return compression::deflaters.make_frame(
            kind, payload, level,
            protocol::deflater_pool::window_for(payload.size(), window));
    }

    if (!deflater_) {
        deflater_ = protocol::deflater::create(level, window);
    }

    if (!deflater_) {
        return {};
    }

    deflater_.use_level(level);

    auto frame = deflater_.make_frame(kind, payload);

    if (!frame) {
        deflater_.reset(); // the next message refers to nothing before it
    }

    return frame;
}

protocol::shared_buffer session::compress(const shared_frame &frame) noexcept
{
    if (negotiated_.deflate.server_takeover) {
        return compress(frame.kind(), frame.payload());
    }

    const std::size_t size = frame.payload().size();
    int level = level_for(size, static_cast<int>(conf_.deflate_comp_level));
    const unsigned window = protocol::deflater_pool::window_for(
        size, negotiated_.deflate.server_window);

    if (const auto *known = frame.compressed(level, window); known != nullptr) {
        return *known;
    }

    if (!may_compress(size * cost_of_level(level))) {
        level = 1;

        if (const auto *known = frame.compressed(level, window);
            known != nullptr) {
            return *known;
        }

        // Clients choose their window sizes, and each one needs its own
        // compression
        if ((frame.has_compressed() && size >= small_message) ||
            !this_worker().compression.spend_reserve(size *
                                                     cost_of_level(level))) {
            return {};
        }
    }

    this_worker().current_turn.spend(size * cost_of_level(level));
    return frame.compress(level, window);
}

} // namespace websocket::nginx
