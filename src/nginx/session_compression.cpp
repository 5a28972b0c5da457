// What a session compresses: by itself where messages may refer to those
// before, else with the streams of the worker.
#include "nginx/session.hpp"

#include "nginx/worker.hpp"

namespace websocket::nginx {

namespace {

// What a byte costs that is compressed, as a turn counts it: a client chooses
// how long zlib looks for what it can refer to.
std::size_t cost_of_level(int level) noexcept
{
    return level <= 3 ? 4 : level <= 6 ? 16 : 64;
}

} // namespace

// Empty where the message is better sent as it is. With context takeover a
// message that was compressed has to be sent so.
protocol::shared_buffer
session::compress(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept
{
    const auto level = static_cast<int>(conf_.deflate_comp_level);
    const unsigned window = terms_.deflate.server_window;

    this_worker().compressed += payload.size();
    this_worker().current_turn.spend(payload.size() * cost_of_level(level));

    if (!terms_.deflate.server_takeover) {
        return this_worker().deflaters.make_frame(
            kind, payload, level,
            protocol::deflater_pool::window_for(payload.size(), window));
    }

    if (!deflater_) {
        deflater_ = protocol::deflater::make(level, window);
    }

    auto frame = deflater_ ? deflater_.make_frame(kind, payload)
                           : protocol::shared_buffer{};

    if (deflater_ && !frame) {
        deflater_.reset(); // what comes next refers to nothing before
    }

    return frame;
}

protocol::shared_buffer session::compress(const shared_frame &frame) noexcept
{
    if (terms_.deflate.server_takeover) {
        return compress(frame.kind(), frame.payload());
    }

    return frame.compressed(
        static_cast<int>(conf_.deflate_comp_level),
        protocol::deflater_pool::window_for(frame.payload().size(),
                                            terms_.deflate.server_window));
}

} // namespace websocket::nginx
