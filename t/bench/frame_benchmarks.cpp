// Measures an endpoint with the messages of one client: many small ones in one
// input, 16 KiB of text, and 1 MiB that arrives in pieces.
#include "protocol/messages/endpoint.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace websocket::protocol;

namespace {

constexpr message_limits limits;
constexpr std::size_t read_size = 65536;

// The masking key is zero. The work is the same, and the input can be read
// again, because unmasking does not change it.
std::string frame(opcode code, std::string_view payload)
{
    std::array<std::byte, max_server_header> header;
    const std::size_t size = write_header(header.data(), code, payload.size());
    header[1] |= std::byte{0x80};

    return std::string(reinterpret_cast<const char *>(header.data()), size)
        .append(4, '\0')
        .append(payload);
}

std::string repeated(std::string_view text, std::size_t size)
{
    std::string all;

    while (all.size() + text.size() <= size) {
        all += text;
    }

    return all.append(size - all.size(), '.');
}

std::vector<std::byte> as_input(const std::string &wire)
{
    const auto bytes = std::as_bytes(std::span(wire));
    return {bytes.begin(), bytes.end()};
}

std::size_t count_messages(endpoint &peer, std::span<std::byte> input)
{
    for (std::size_t count = 0;; count++) {
        const event found = peer.next(input);

        if (found.type == event_type::need_input) {
            return count;
        }

        benchmark::DoNotOptimize(found.payload.data());
    }
}

// Fails the benchmark if it did not do the expected work.
void expect(benchmark::State &state, bool holds)
{
    if (!holds) {
        state.SkipWithError("the messages did not arrive");
    }
}

void report(benchmark::State &state, std::size_t messages,
            std::size_t payload_size)
{
    const auto all = static_cast<std::int64_t>(state.iterations() * messages);

    state.SetItemsProcessed(all);
    state.SetBytesProcessed(all * static_cast<std::int64_t>(payload_size));
    state.counters["per_message"] =
        benchmark::Counter(static_cast<double>(messages),
                           benchmark::Counter::kIsIterationInvariantRate |
                               benchmark::Counter::kInvert);
}

void read_small_messages(benchmark::State &state, opcode code)
{
    constexpr std::size_t messages = 1000;
    const std::string payload = repeated("twenty bytes of text", 20);
    std::string wire;

    for (std::size_t i = 0; i < messages; i++) {
        wire += frame(code, payload);
    }

    std::vector<std::byte> input = as_input(wire);
    endpoint peer{limits};

    for (auto _ : state) {
        expect(state, count_messages(peer, input) == messages);
    }

    report(state, messages, payload.size());
}

void read_16_kib(benchmark::State &state, opcode code, std::string_view text)
{
    const std::string payload = repeated(text, 16384);
    std::vector<std::byte> input = as_input(frame(code, payload));
    endpoint peer{limits};

    for (auto _ : state) {
        expect(state, count_messages(peer, input) == 1);
    }

    report(state, 1, payload.size());
}

// Each read copies bytes to the place where a socket's bytes would go, like the
// kernel.
void read_1_mib(benchmark::State &state, opcode code, bool direct)
{
    const std::string payload = repeated("words of a text ", 1 << 20);
    const std::vector<std::byte> wire = as_input(frame(code, payload));
    std::vector<std::byte> buffer(read_size);
    endpoint peer{limits};

    for (auto _ : state) {
        std::span<const std::byte> rest = wire;
        std::size_t messages = 0;

        while (!rest.empty()) {
            std::span<std::byte> to = buffer;

            if (const auto room = peer.receive_buffer();
                direct && !room.empty()) {
                to = room.first(std::min(room.size(), read_size));
            }

            to = to.first(std::min(to.size(), rest.size()));
            std::memcpy(to.data(), rest.data(), to.size());
            rest = rest.subspan(to.size());
            messages += count_messages(peer, to);
        }

        expect(state, messages == 1);
    }

    report(state, 1, payload.size());
}

} // namespace

BENCHMARK_CAPTURE(read_small_messages, text, opcode::text);
BENCHMARK_CAPTURE(read_small_messages, binary, opcode::binary);
BENCHMARK_CAPTURE(read_16_kib, ascii, opcode::text, "words of a text ");
BENCHMARK_CAPTURE(read_16_kib, accents, opcode::text, "W\xc3\xb6rter im Text ");
BENCHMARK_CAPTURE(read_16_kib, cyrillic, opcode::text,
                  "\xd1\x81\xd0\xbb\xd0\xbe\xd0\xb2\xd0\xb0 ");
BENCHMARK_CAPTURE(read_16_kib, binary, opcode::binary, "bytes");
BENCHMARK_CAPTURE(read_1_mib, text_in_pieces, opcode::text, false);
BENCHMARK_CAPTURE(read_1_mib, text_direct, opcode::text, true);
BENCHMARK_CAPTURE(read_1_mib, binary_direct, opcode::binary, true);
