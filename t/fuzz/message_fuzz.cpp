// Fuzzes the bytes of a client. Two endpoints read them cut in two ways, must
// report and answer the same, and must report only valid events.
//
// The first bytes of the input choose limits and cuts; the client sends the
// rest.
#include "protocol/frames/close_code.hpp"
#include "protocol/messages/endpoint.hpp"
#include "protocol/text/utf8.hpp"

#include "fuzzing.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

using namespace websocket::protocol;

namespace {

struct choices {
    std::uint8_t kinds_and_size; // accepted kinds, and one of four limits
    std::uint8_t close_after;    // events until the server's Close; 255: none
    std::uint8_t repeated; // 32 times as many copies of the last byte follow
    std::uint8_t seed_of_cuts; // even: one endpoint reads the input uncut
};

constexpr std::array<std::uint64_t, 4> sizes{100, 5000, 20000,
                                             std::uint64_t{1} << 62};

message_limits limits_of(const choices &chosen)
{
    const unsigned bits = chosen.kinds_and_size;

    return {.max_message_size = sizes[bits >> 2 & 3],
            .max_frame_size = sizes[bits >> 4 & 3],
            .text_accepted = (bits & 1) == 0,
            .binary_accepted = (bits & 2) == 0};
}

// All results of an event.
struct outcome {
    event_type type;
    opcode kind;
    error reason;
    std::uint16_t code;
    std::vector<std::byte> payload;
    std::vector<std::byte> answer;

    bool operator==(const outcome &) const = default;
};

std::vector<std::byte> copy_of(std::span<const std::byte> bytes)
{
    return {bytes.begin(), bytes.end()};
}

void check_event(const event &found, const message_limits &limits,
                 bool bare_close)
{
    switch (found.type) {
    case event_type::need_input:
    case event_type::unfinished:
    case event_type::frame: // off by default
        require(false);
        break;
    case event_type::message:
        require(found.payload.size() <= limits.max_message_size);
        require(found.kind == opcode::text ? limits.text_accepted
                                           : limits.binary_accepted);
        require(found.kind == opcode::binary || is_valid_utf8(found.payload));
        break;
    case event_type::ping:
    case event_type::pong:
        require(found.payload.size() <= max_control_payload);
        break;
    case event_type::close:
        if (bare_close) {
            require(found.code == 0 && found.payload.empty());
            break;
        }
        require(found.code == close_code::none_received ||
                close_code::is_valid_on_wire(found.code));
        require(found.payload.size() <= max_control_payload - 2);
        require(is_valid_utf8(found.payload));
        break;
    case event_type::failed:
        require(found.reason != error::none);
        break;
    }
}

class client {
public:
    explicit client(const choices &chosen)
        : chosen_{chosen}, limits_{limits_of(chosen)}
    {
        if (chosen_.close_after == 0) {
            begin_close();
        }
    }

    void receive(std::span<const std::byte> bytes)
    {
        const auto copy = std::make_unique<std::byte[]>(bytes.size());
        std::copy(bytes.begin(), bytes.end(), copy.get());
        read({copy.get(), bytes.size()});
    }

    // Reads as many bytes as fit into the receive buffer; returns 0 without
    // one.
    std::size_t receive_directly(std::span<const std::byte> bytes)
    {
        const std::span<std::byte> room = endpoint_.receive_buffer();
        const std::size_t size = std::min(room.size(), bytes.size());

        if (size != 0) {
            std::copy_n(bytes.begin(), size, room.begin());
            read(room.first(size));
        }

        return size;
    }

    std::vector<outcome> outcomes;

private:
    void read(std::span<std::byte> input)
    {
        received_ += input.size();

        for (;;) {
            const event found = endpoint_.next(input);
            check_memory();

            if (found.type == event_type::need_input) {
                require(input.empty());
                // AddressSanitizer finds access to returned memory.
                shared_buffer::clear_cache();
                return;
            }

            if (found.type == event_type::unfinished) {
                require(!ended_);
                continue;
            }

            check_event(found, limits_, closed_);
            require(!ended_);
            ended_ = endpoint_.finished_reading();
            require(found.type == event_type::close ? ended_ : !closed_);
            note(found);
        }
    }

    void note(const event &found)
    {
        outcome result{found.type,
                       found.kind,
                       found.reason,
                       found.code,
                       copy_of(found.payload),
                       {}};
        const control_frame answer = endpoint_.answer(found);

        require(answer.empty() || !closed_);
        closed_ = endpoint_.close_sent();
        result.answer = copy_of(answer.bytes());
        outcomes.push_back(std::move(result));

        if (outcomes.size() == chosen_.close_after) {
            begin_close();
        }
    }

    void begin_close()
    {
        require(endpoint_.begin_close(1001, "bye").empty() == closed_);
        require(endpoint_.begin_close(1001, "bye").empty());
        closed_ = true;
    }

    void check_memory() const
    {
        if (endpoint_.assembled()) {
            const shared_buffer &buffer = endpoint_.assembled();
            require(buffer.size() <= std::min<std::uint64_t>(
                                         limits_.max_message_size, received_));
            require(buffer.capacity() <= std::size_t{1} << 20);
        }
    }

    choices chosen_;
    message_limits limits_;
    endpoint endpoint_{limits_};
    std::size_t received_ = 0;
    bool ended_ = false;
    bool closed_ = false;
};

// The next size of a series that depends on `seed`: most are small, some up to
// 128 bytes.
std::size_t next_size(std::uint32_t &seed)
{
    seed = seed * 1664525 + 1013904223;
    return 1 + (seed >> 8) % (std::size_t{1} << (seed >> 29));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    choices chosen;

    if (size < sizeof(chosen)) {
        return 0;
    }

    std::memcpy(&chosen, data, sizeof(chosen));
    std::vector<std::byte> wire =
        copy_of(std::as_bytes(std::span(data, size)).subspan(sizeof(chosen)));
    wire.resize(wire.size() + chosen.repeated * std::size_t{32},
                wire.empty() ? std::byte{0} : wire.back());

    client in_pieces{chosen};
    client directly{chosen};
    std::uint32_t seed = chosen.seed_of_cuts;

    for (std::span<const std::byte> rest = wire; !rest.empty();) {
        const std::size_t piece = std::min(next_size(seed), rest.size());
        in_pieces.receive(rest.first(piece));
        rest = rest.subspan(piece);
    }

    for (std::span<const std::byte> rest = wire; !rest.empty();) {
        const std::size_t piece = chosen.seed_of_cuts % 2 == 0
                                      ? rest.size()
                                      : std::min(next_size(seed), rest.size());
        std::size_t taken = directly.receive_directly(
            rest.first(std::min(61 * piece, rest.size())));

        if (taken == 0) {
            directly.receive(rest.first(piece));
            taken = piece;
        }

        rest = rest.subspan(taken);
    }

    require(in_pieces.outcomes == directly.outcomes);

    return 0;
}
