// Fuzzes the payloads of compressed messages. Two readers, one with whole and
// one with cut input, must report the same within the limits.
//
// The input is a series of frames. Its first four bytes choose the limits and
// the negotiated parameters. Each frame has a byte of flags, a byte of length,
// and its payload. All frame headers are valid, so that the fuzzer reaches the
// payloads.
#include "protocol/messages/message_reader.hpp"
#include "protocol/text/utf8.hpp"

#include "fuzzing.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

using namespace websocket::protocol;

namespace {

struct choices {
    std::uint8_t size;      // one of four limits
    std::uint8_t agreement; // context takeover, and the client's window
    std::uint8_t seed_of_cuts;
    std::uint8_t key; // repeated in all four bytes of each masking key
};

constexpr std::array<std::uint64_t, 4> sizes{0, 100, 5000, 500000};

struct outcome {
    event_type type;
    opcode kind;
    error reason;
    std::vector<std::byte> payload;

    bool operator==(const outcome &) const = default;
};

class client {
public:
    explicit client(const choices &chosen)
        : limits_{.max_message_size = sizes[chosen.size % sizes.size()],
                  .max_frame_size = 100000}
    {
        reader_.accept_compressed({.agreed = true,
                                   .client_takeover = chosen.agreement % 2 == 0,
                                   .client_window = static_cast<std::uint8_t>(
                                       8 + chosen.agreement / 2 % 8)});
    }

    void receive(std::span<const std::byte> bytes)
    {
        std::vector<std::byte> copy(bytes.begin(), bytes.end());
        std::span<std::byte> input{copy};

        for (;;) {
            const std::size_t before = inflated();
            const event found = reader_.next(input);

            require(inflated() <= before + 2 * message_reader::inflation_step);

            require(!reader_.assembled() ||
                    reader_.assembled().size() <=
                        std::max<std::uint64_t>(limits_.max_message_size,
                                                max_control_payload));
            require(!reader_.assembled() ||
                    reader_.assembled().capacity() <= 524288);
            if (found.type == event_type::need_input) {
                require(input.empty());
                return;
            }
            if (found.type == event_type::unfinished) {
                std::vector<std::byte> moved(input.begin(), input.end());
                copy = std::move(moved);
                input = copy;
                continue;
            }
            note(found);
        }
    }

    std::vector<outcome> outcomes;

private:
    // Properties of the current message.
    std::size_t inflated() const
    {
        return reader_.assembled() && reader_.inside_message()
                   ? reader_.assembled().size()
                   : 0;
    }

    void note(const event &found)
    {
        if (found.type == event_type::message) {
            require(found.payload.size() <= limits_.max_message_size);
            require(found.kind == opcode::binary ||
                    is_valid_utf8(found.payload));
        }

        require(found.type != event_type::failed ||
                found.reason != error::out_of_memory);
        outcomes.push_back({found.type,
                            found.kind,
                            found.reason,
                            {found.payload.begin(), found.payload.end()}});
    }

    message_limits limits_;
    message_reader reader_{limits_};
};

// Adds the first frame of `rest`. Bit 0 of the flags is FIN, bit 1 text, bit 2
// ping, bit 3 uncompressed. The higher bits repeat the payload.
void add_frame(std::vector<std::byte> &wire, std::span<const std::byte> &rest,
               std::byte key, bool &inside)
{
    const auto flags = std::to_integer<unsigned>(rest[0]);
    const std::size_t length =
        std::min(std::to_integer<std::size_t>(rest[1]), rest.size() - 2);
    const std::span<const std::byte> payload = rest.subspan(2, length);
    const bool is_ping = (flags & 4) != 0;
    const std::size_t times = is_ping ? 1 : 1 + (flags >> 4);
    const std::size_t sent =
        is_ping ? std::min(length, max_control_payload) : times * length;
    const opcode code = is_ping            ? opcode::ping
                        : inside           ? opcode::continuation
                        : (flags & 2) != 0 ? opcode::text
                                           : opcode::binary;
    const bool begins = !is_ping && !inside && (flags & 8) == 0;
    std::array<std::byte, max_server_header> header;
    const std::size_t header_size =
        write_header(header.data(), code, sent, begins ? rsv1 : 0);

    if (!is_ping) {
        inside = (flags & 1) == 0;
        if (inside) {
            header[0] &= std::byte{0x7F};
        }
    }
    header[1] |= std::byte{0x80};
    wire.insert(wire.end(), header.begin(), header.begin() + header_size);
    wire.insert(wire.end(), 4, key);
    for (std::size_t i = 0; i < sent; i++) {
        wire.push_back(payload[i % length] ^ key);
    }
    rest = rest.subspan(2 + length);
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
    std::span<const std::byte> rest =
        std::as_bytes(std::span(data, size)).subspan(sizeof(chosen));
    std::vector<std::byte> wire;
    bool inside = false;

    while (rest.size() >= 2) {
        add_frame(wire, rest, std::byte{chosen.key}, inside);
    }

    client whole{chosen};
    client in_pieces{chosen};
    std::uint32_t seed = chosen.seed_of_cuts;
    whole.receive(wire);

    for (std::span<const std::byte> left = wire; !left.empty();) {
        seed = seed * 1664525 + 1013904223;
        const std::size_t piece = std::min<std::size_t>(
            1 + (seed >> 8) % (std::size_t{1} << (seed >> 29)), left.size());
        in_pieces.receive(left.first(piece));
        left = left.subspan(piece);
    }

    require(whole.outcomes == in_pieces.outcomes);
    return 0;
}
