// Builds frames of a client, valid or not, and runs bytes through a reader with
// each way in which a network may cut them.
#pragma once

#include "protocol/messages/endpoint.hpp"
#include "protocol/messages/message_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace frames {

namespace protocol = websocket::protocol;

// The first byte of a header is one of these bits joined with an opcode.
inline constexpr unsigned fin = 0x80;
inline constexpr unsigned continuation = 0x0;
inline constexpr unsigned text = 0x1;
inline constexpr unsigned binary = 0x2;
inline constexpr unsigned close = 0x8;
inline constexpr unsigned ping = 0x9;
inline constexpr unsigned pong = 0xA;

inline constexpr std::string_view key = "\x37\xfa\x21\x3d";

// The place of the length: the second byte, or the 16 or 64 bits after it. RFC
// 6455 5.2 requires the shortest form.
enum class length_form { shortest, short_7, long_16, long_64 };

inline std::string big_endian(std::uint64_t value, std::size_t size)
{
    std::string bytes(size, '\0');

    for (std::size_t i = size; i != 0; i--, value >>= 8) {
        bytes[i - 1] = static_cast<char>(value & 0xFF);
    }

    return bytes;
}

inline std::string header(unsigned first, std::uint64_t length,
                          length_form form = length_form::shortest,
                          bool masked = true)
{
    if (form == length_form::shortest) {
        form = length < 126     ? length_form::short_7
               : length < 65536 ? length_form::long_16
                                : length_form::long_64;
    }

    const std::size_t extended = form == length_form::short_7   ? 0
                                 : form == length_form::long_16 ? 2
                                                                : 8;
    const std::uint64_t second = extended == 0   ? length
                                 : extended == 2 ? 126
                                                 : 127;

    std::string bytes{static_cast<char>(first),
                      static_cast<char>(second | (masked ? 0x80 : 0))};
    bytes += big_endian(length, extended);

    return masked ? bytes + std::string(key) : bytes;
}

// XORed with the key; `offset` as in protocol::unmask().
inline std::string masked(std::string_view payload, std::size_t offset = 0)
{
    std::string bytes{payload};

    for (std::size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = static_cast<char>(bytes[i] ^ key[(i + offset) % 4]);
    }

    return bytes;
}

inline std::string frame(unsigned first, std::string_view payload = {})
{
    return header(first, payload.size()) + masked(payload);
}

inline std::string close_frame(unsigned code, std::string_view reason = {})
{
    return frame(fin | close, big_endian(code, 2) + std::string(reason));
}

// A copy of an event.
struct seen {
    protocol::event_type type{};
    protocol::opcode kind = protocol::opcode::continuation;
    protocol::error reason = protocol::error::none;
    std::uint16_t code = 0;
    std::string payload{};

    bool operator==(const seen &) const = default;

    friend std::ostream &operator<<(std::ostream &to, const seen &event)
    {
        to << "{type " << int(event.type) << ", kind " << int(event.kind)
           << ", " << protocol::describe(event.reason) << ", code "
           << event.code << ", " << event.payload.size() << " bytes: ";
        return to << event.payload.substr(0, 40) << "}";
    }
};

using events = std::vector<seen>;

inline std::string as_string(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

inline seen copy_of(const protocol::event &event)
{
    return {event.type, event.kind, event.reason, event.code,
            as_string(event.payload)};
}

inline seen text_message(std::string_view payload)
{
    return {protocol::event_type::message, protocol::opcode::text,
            protocol::error::none, 0, std::string(payload)};
}

inline seen binary_message(std::string_view payload)
{
    return {protocol::event_type::message, protocol::opcode::binary,
            protocol::error::none, 0, std::string(payload)};
}

inline seen control(protocol::event_type type, std::string_view payload = {})
{
    return {.type = type, .payload = std::string(payload)};
}

inline seen closed(std::uint16_t code, std::string_view reason = {})
{
    return {.type = protocol::event_type::close,
            .code = code,
            .payload = std::string(reason)};
}

inline seen failed(protocol::error reason)
{
    return {.type = protocol::event_type::failed, .reason = reason};
}

// Bytes on the heap in a block of exactly their size, so that a sanitizer finds
// an access past it.
class received {
public:
    explicit received(std::string_view bytes)
        : bytes_{new std::byte[bytes.size()]}, size_{bytes.size()}
    {
        if (!bytes.empty()) {
            std::memcpy(bytes_.get(), bytes.data(), size_);
        }
    }

    std::span<std::byte> input() { return {bytes_.get(), size_}; }

    bool holds(std::span<const std::byte> part) const
    {
        return part.data() >= bytes_.get() &&
               part.data() + part.size() <= bytes_.get() + size_;
    }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_;
};

// All events up to the next need_input. Unconsumed input is moved to other
// memory between calls.
template <class reader>
events read(reader &from, std::span<std::byte> input)
{
    events found;
    std::unique_ptr<received> moved;

    for (;;) {
        const protocol::event event = from.next(input);

        if (event.type == protocol::event_type::unfinished) {
            moved = std::make_unique<received>(as_string(input));
            input = moved->input();
            continue;
        }

        if (event.type == protocol::event_type::need_input) {
            EXPECT_TRUE(input.empty()) << "input left over";
            return found;
        }

        found.push_back(copy_of(event));
    }
}

template <class reader>
events read(reader &from, std::string_view bytes)
{
    received copy{bytes};
    return read(from, copy.input());
}

enum class receive_into { input, receive_buffer };

// The events of `wire` in pieces of `sizes`, of which the last repeats. With
// receive_buffer(), each piece goes there as far as it fits.
template <class reader>
events read_in_pieces(reader &from, std::string_view wire,
                      const std::vector<std::size_t> &sizes,
                      receive_into where = receive_into::input)
{
    events found;

    for (std::size_t turn = 0; !wire.empty(); turn++) {
        std::size_t size =
            std::min(sizes[std::min(turn, sizes.size() - 1)], wire.size());
        std::span<std::byte> buffer;

        if (where == receive_into::receive_buffer) {
            buffer = from.receive_buffer();
        }

        events some;

        if (buffer.empty()) {
            some = read(from, wire.substr(0, size));
        } else {
            size = std::min(size, buffer.size());
            std::memcpy(buffer.data(), wire.data(), size);
            some = read(from, buffer.first(size));
        }

        wire.remove_prefix(size);
        found.insert(found.end(), some.begin(), some.end());
    }

    return found;
}

// The events of `wire` at once, which must be the same byte by byte.
template <class reader = protocol::message_reader>
events read_two_ways(const std::string &wire,
                     const protocol::message_limits &limits = {})
{
    reader at_once{limits};
    reader by_byte{limits};
    const events whole = read_in_pieces(at_once, wire, {wire.size()});

    EXPECT_EQ(read_in_pieces(by_byte, wire, {1}), whole) << "byte by byte";
    return whole;
}

// FRAMES_SEED in the environment determines the random cuts.
inline unsigned seed()
{
    static const unsigned chosen = [] {
        const char *given = std::getenv("FRAMES_SEED");
        return given != nullptr
                   ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                   : std::random_device{}();
    }();

    return chosen;
}

inline std::vector<std::size_t> random_sizes(std::mt19937 &random,
                                             std::size_t total)
{
    std::vector<std::size_t> sizes;
    const std::size_t largest = 1 + random() % (1 + total / 2);

    for (std::size_t sum = 0; sum < total; sum += sizes.back()) {
        sizes.push_back(1 + random() % largest);
    }

    return sizes;
}

// Reads `wire` with new readers: whole, byte by byte, cut once at each place,
// and in random pieces, with and without receive_buffer(). A long `wire` is cut
// at 500 places. All events must be equal; returns them.
template <class reader = protocol::message_reader>
events read_all_ways(const std::string &wire,
                     const protocol::message_limits &limits = {})
{
    const auto read_with = [&](const std::vector<std::size_t> &sizes,
                               receive_into where = receive_into::input) {
        reader from{limits};
        return read_in_pieces(from, wire, sizes, where);
    };
    const std::size_t size = wire.size();
    const events whole = read_with({size});

    EXPECT_EQ(read_with({1}), whole) << "byte by byte";

    const std::size_t step = 1 + size / 500;
    for (std::size_t cut = 1; cut < size; cut += cut < 40 ? 1 : step) {
        EXPECT_EQ(read_with({cut, size}), whole) << "cut at " << cut;
        EXPECT_EQ(read_with({cut, size}, receive_into::receive_buffer), whole)
            << "cut at " << cut << ", received directly";
    }

    std::mt19937 random{seed()};
    for (int round = 0; round < 20; round++) {
        const std::vector<std::size_t> sizes = random_sizes(random, size);
        EXPECT_EQ(read_with(sizes), whole) << "FRAMES_SEED=" << seed();
        EXPECT_EQ(read_with(sizes, receive_into::receive_buffer), whole)
            << "received directly, FRAMES_SEED=" << seed();
    }

    return whole;
}

// The number of single bytes after which a reader fails, or npos.
inline std::size_t
bytes_until_failure(std::string_view wire,
                    const protocol::message_limits &limits = {})
{
    protocol::message_reader from{limits};

    for (std::size_t i = 0; i < wire.size(); i++) {
        const events found = read(from, wire.substr(i, 1));

        if (!found.empty() &&
            found.back().type == protocol::event_type::failed) {
            return i + 1;
        }
    }

    return std::string::npos;
}

} // namespace frames
