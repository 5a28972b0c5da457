// What a session compresses: by itself where messages may refer to those
// before, else with the streams of the worker.
#include "nginx/session/session.hpp"

#include "nginx/output/deflaters.hpp"
#include "nginx/session/worker.hpp"

#include <array>
#include <cstdint>

namespace websocket::nginx {

namespace {

// Messages that are smaller are compressed for however many clients, at level 1
// where that is too much at theirs.
constexpr std::size_t small_message = 4 * 1024;

// What a byte costs at most that is compressed, as a turn counts it: a client
// chooses how long zlib looks for what it can refer to. Random text of two
// letters is the worst: 20 ns at level 1, 2 us at level 9.
constexpr std::array<std::uint16_t, 9> costs{4, 4, 4, 6, 10, 20, 40, 160, 512};

std::size_t cost_of_level(int level) noexcept
{
    return costs[static_cast<std::size_t>(level - 1)];
}

// The level for a message: the highest one, up to the level that is configured,
// at which it takes no longer than about 10 ms.
int level_for(std::size_t size, int level) noexcept
{
    while (level > 1 &&
           size > compression_budget::max_work / cost_of_level(level)) {
        level = level > 6 ? level - 1 : level > 3 ? 3 : 1;
    }

    return level;
}

} // namespace

// Outside of the client's own turn, which counts what is compressed, one event
// may send a large message to each of many clients.
bool session::may_compress(std::size_t size, int level) const noexcept
{
    return in_turn_ ||
           this_worker().compression.spend(size * cost_of_level(level));
}

// Empty where the message is better sent as it is. With context takeover a
// message that was compressed has to be sent so.
protocol::shared_buffer
session::compress(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept
{
    int level =
        level_for(payload.size(), static_cast<int>(conf_.deflate_comp_level));
    const unsigned window = negotiated_.deflate.server_window;

    if (!may_compress(payload.size(), level)) {
        if (payload.size() >= small_message) {
            return {};
        }
        level = 1;
    }

    compression::compressed += payload.size();
    this_worker().current_turn.spend(payload.size() * cost_of_level(level));

    if (!negotiated_.deflate.server_takeover) {
        return compression::deflaters.make_frame(
            kind, payload, level,
            protocol::deflater_pool::window_for(payload.size(), window));
    }

    if (!deflater_) {
        deflater_ = protocol::deflater::make(level, window);
    }

    if (!deflater_) {
        return {};
    }

    deflater_.use_level(level);

    auto frame = deflater_.make_frame(kind, payload);

    if (!frame) {
        deflater_.reset(); // what comes next refers to nothing before
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

    if (!may_compress(size, level)) {
        // Clients choose their windows: many of them cost as much as many
        // clients
        if (size >= small_message && frame.has_compressed()) {
            return {};
        }

        level = 1;

        if (const auto *known = frame.compressed(level, window);
            known != nullptr) {
            return *known;
        }
    }

    this_worker().current_turn.spend(size * cost_of_level(level));
    return frame.compress(level, window);
}

} // namespace websocket::nginx
