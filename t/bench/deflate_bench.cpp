// Measures the size and the cost of compression: JSON messages by size, level
// and window, without and with context takeover. Also prints zlib's memory for
// each window, and the time of each level for text that zlib finds hard.
#include "protocol/deflate/deflater.hpp"
#include "protocol/deflate/inflater.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <zlib.h>

using namespace websocket::protocol;

namespace {

constexpr std::size_t messages_of_a_size = 64;
constexpr int rounds = 5;

using messages = std::vector<std::string>;

// JSON rows like those of a ticker or a dashboard, cut to the size.
messages json_messages(std::size_t size)
{
    constexpr std::array<const char *, 5> names{"alice", "bob", "carol", "dave",
                                                "mallory"};
    std::mt19937 random{1};
    messages result;

    while (result.size() < messages_of_a_size) {
        std::string text = "{\"type\":\"update\",\"items\":[";

        while (text.size() < size) {
            const auto number = [&](unsigned below) {
                return std::to_string(random() % below);
            };
            text += "{\"id\":" + number(100000) + ",\"user\":\"" +
                    names[random() % names.size()] + "\",\"time\":17000" +
                    number(100000) + ",\"price\":" + number(1000) + "." +
                    number(100) +
                    ",\"active\":" + (random() % 2 == 0 ? "true" : "false") +
                    "},";
        }
        result.push_back(text.substr(0, size));
    }

    return result;
}

std::span<const std::byte> bytes_of(const std::string &text)
{
    return std::as_bytes(std::span(text));
}

double microseconds(std::clock_t ticks, std::size_t count)
{
    return 1e6 * static_cast<double>(ticks) / CLOCKS_PER_SEC /
           static_cast<double>(count);
}

// CPU time per message of `work`, which processes all messages.
template <class function>
double cost(std::size_t size, const function &work)
{
    const std::size_t times = std::max<std::size_t>(1, 65536 / size);
    double least = 1e9;

    for (int round = 0; round < rounds; round++) {
        const std::clock_t start = std::clock();
        for (std::size_t i = 0; i < times; i++) {
            work();
        }
        least = std::min(least, microseconds(std::clock() - start,
                                             times * messages_of_a_size));
    }

    return least;
}

struct result {
    double size;    // bytes of a payload
    double deflate; // microseconds per message
    double inflate;
};

// Exits if the output differs from the input, because the results would be
// worthless.
void require(bool holds)
{
    if (!holds) {
        std::puts("a message did not arrive as it was sent");
        std::exit(1);
    }
}

std::span<const std::byte> payload_of(const shared_buffer &frame)
{
    const auto second = std::to_integer<unsigned>(frame.data()[1]);
    return std::span<const std::byte>(frame.bytes())
        .subspan(second < 126    ? 2
                 : second == 126 ? 4
                                 : 10);
}

// `make` compresses the message with a number. `restart` is called before the
// first message of each round.
template <class maker, class function>
result measure(const messages &texts, bool takeover, const maker &make,
               const function &restart)
{
    const std::size_t size = texts.front().size();
    std::vector<shared_buffer> frames(texts.size());
    std::size_t sum = 0;

    const double deflate = cost(size, [&] {
        restart();
        for (std::size_t i = 0; i < texts.size(); i++) {
            frames[i].reset();
            frames[i] = make(texts[i]);
        }
    });

    for (const shared_buffer &frame : frames) {
        require(static_cast<bool>(frame));
        sum += payload_of(frame).size();
    }

    const double inflate = cost(size, [&] {
        inflater reader;
        reader.keep_context(takeover, largest_window);
        for (std::size_t i = 0; i < frames.size(); i++) {
            shared_buffer message;
            utf8_checker text;
            std::span<const std::byte> payload = payload_of(frames[i]);
            require(reader.inflate(payload, true,
                                   {message, &text, 1U << 20, 1U << 20}) ==
                    error::none);
            require(message.size() == size);
        }
    });

    return {static_cast<double>(sum) / static_cast<double>(texts.size()),
            deflate, inflate};
}

void print(std::size_t size, int level, unsigned window, const char *kind,
           const result &found)
{
    std::printf("%6zu %6d %7u  %-9s %8.0f %7.0f%% %10.1f %10.1f\n", size, level,
                window, kind, found.size,
                100 * (1 - found.size / static_cast<double>(size)),
                found.deflate, found.inflate);
}

void print_costs(std::size_t size, int level, unsigned window)
{
    const messages texts = json_messages(size);
    deflater_pool pool;
    deflater kept;

    print(size, level, window, "no",
          measure(
              texts, false,
              [&](const std::string &text) {
                  return pool.make_frame(
                      opcode::text, bytes_of(text), level,
                      deflater_pool::window_for(text.size(), window));
              },
              [] {}));
    print(size, level, window, "yes",
          measure(
              texts, true,
              [&](const std::string &text) {
                  return kept.make_frame(opcode::text, bytes_of(text));
              },
              [&] { kept = deflater::create(level, window); }));
}

// The bytes that zlib has requested.
std::size_t requested = 0;

voidpf count_request(voidpf, uInt items, uInt size)
{
    requested += std::size_t{items} * size;
    return std::calloc(items, size);
}

void free_request(voidpf, voidpf memory)
{
    std::free(memory);
}

void print_memory()
{
    std::printf("\nmemory of zlib's, bytes\n%7s %10s %10s\n", "window",
                "deflating", "inflating");

    for (unsigned window = 9; window <= 15; window++) {
        z_stream zlib{};
        zlib.zalloc = count_request;
        zlib.zfree = free_request;
        requested = 0;
        deflateInit2(&zlib, 1, Z_DEFLATED, -static_cast<int>(window),
                     deflater::memory_level(window), Z_DEFAULT_STRATEGY);
        const std::size_t deflating = std::exchange(requested, 0);
        deflateEnd(&zlib);

        // zlib allocates the window when data remain that a later block may
        // refer to
        std::array<Bytef, 2> out;
        std::array<Bytef, 7> in{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
        inflateInit2(&zlib, -static_cast<int>(window));
        zlib.next_in = in.data();
        zlib.avail_in = in.size();
        zlib.next_out = out.data();
        zlib.avail_out = out.size();
        inflate(&zlib, Z_SYNC_FLUSH);
        std::printf("%7u %10zu %10zu\n", window, deflating, requested);
        inflateEnd(&zlib);
    }
}

// Random text of which each sequence of three bytes has one of few values in
// zlib's hash, whose bits each byte shifts. So zlib compares with many
// sequences that differ. `values` 0: random bytes, which do not shrink.
std::string hard_text(unsigned window, unsigned values)
{
    constexpr std::size_t size = std::size_t{64} * 1024;
    const auto hash_bits =
        static_cast<unsigned>(deflater::memory_level(window)) + 7;
    const unsigned shift = (hash_bits + 2) / 3;
    const unsigned low = (1U << shift) - 1;
    std::mt19937 random{1};
    std::string result;
    unsigned next = 0;

    while (result.size() != size) {
        const unsigned byte = values == 0 ? random() : next << shift;

        next = values == 0 ? 0 : random() % values;
        result.push_back(static_cast<char>(byte | (next & low)));
    }

    return result;
}

void print_hard_text()
{
    std::printf("\nhard text, ns per byte with a window\n%7s %10s %10s\n",
                "level", "9 and 10", "12 and 15");

    for (int level = 1; level <= 9; level++) {
        std::array<double, 2> maxima{};

        for (const unsigned window : {9U, 10U, 12U, 15U}) {
            for (const unsigned values : {0U, 3U, 8U}) {
                const std::string text = hard_text(window, values);
                deflater used = deflater::create(level, window);
                const std::clock_t start = std::clock();
                const auto frame =
                    used.make_frame(opcode::binary, bytes_of(text));
                const double time =
                    1000 * microseconds(std::clock() - start, text.size());

                require(static_cast<bool>(frame));
                double &worst = maxima[window > 10];
                worst = std::max(worst, time);
            }
        }

        std::printf("%7d %10.0f %10.0f\n", level, maxima[0], maxima[1]);
    }
}

} // namespace

int main()
{
    std::printf("zlib %s\n%6s %6s %7s  %-9s %8s %8s %10s %10s\n", zlibVersion(),
                "bytes", "level", "window", "takeover", "payload", "saved",
                "deflate us", "inflate us");

    for (const std::size_t size : {100U, 1024U, 16384U}) {
        for (const int level : {1, 6, 9}) {
            for (const unsigned window : {9U, 12U, 15U}) {
                print_costs(size, level, window);
            }
        }
    }

    print_memory();
    print_hard_text();
}
