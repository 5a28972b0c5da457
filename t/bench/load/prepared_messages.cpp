// Messages that lie ready to be sent, each unlike the others, with what is to
// come back for it.
#include "prepared_messages.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>

namespace websocket::load {

namespace {

// More than are in flight, so that one in another's place is seen, but no
// more than caches hold.
constexpr std::size_t usual_count = 257;
constexpr std::size_t usual_bytes = 1 << 20;
constexpr std::size_t fewest = 3;

constexpr std::size_t index_digits = 8;
constexpr std::string_view digits = "0123456789abcdef";

std::size_t count_for(std::size_t least, std::size_t size)
{
    return std::max(std::clamp(usual_bytes / (size + 1), fewest, usual_count),
                    least + 1);
}

// The lowest digit comes first, so that short payloads differ too.
void write_number(std::span<std::byte> to, std::size_t number)
{
    for (std::byte &digit : to) {
        digit = static_cast<std::byte>(digits[number % 16]);
        number /= 16;
    }
}

std::optional<std::size_t> read_number(std::span<const std::byte> from)
{
    std::size_t number = 0;

    for (std::size_t i = from.size(); i-- != 0;) {
        const std::size_t digit = digits.find(static_cast<char>(from[i]));

        if (digit == digits.npos) {
            return std::nullopt;
        }

        number = number * 16 + digit;
    }

    return number;
}

std::vector<std::byte> payload_of(const signature &of, std::size_t size,
                                  std::minstd_rand &random)
{
    std::vector<std::byte> payload(std::max(size, signature::size));

    write_number(std::span(payload).first(index_digits), of.index);
    write_number(std::span(payload).subspan(index_digits).first(4), of.author);

    for (std::size_t i = signature::size; i < payload.size(); i++) {
        payload[i] = static_cast<std::byte>('a' + random() % 26);
    }

    payload.resize(size);
    return payload;
}

} // namespace

bool same_bytes(std::span<const std::byte> one,
                std::span<const std::byte> other) noexcept
{
    return one.size() == other.size() &&
           (one.empty() ||
            std::memcmp(one.data(), other.data(), one.size()) == 0);
}

void append_frame(std::vector<std::byte> &to, opcode code,
                  std::span<const std::byte> payload, masking_key key)
{
    constexpr std::byte masked{0x80};
    const std::size_t size = payload.size();
    const std::size_t length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;

    to.push_back(std::byte{0x80} | static_cast<std::byte>(code));
    to.push_back(masked | static_cast<std::byte>(length_bytes == 0   ? size
                                                 : length_bytes == 2 ? 126
                                                                     : 127));

    for (std::size_t i = length_bytes; i-- != 0;) {
        to.push_back(static_cast<std::byte>(std::uint64_t{size} >> (8 * i)));
    }

    std::array<std::byte, 4> bytes;

    for (std::size_t i = 0; i != bytes.size(); i++) {
        bytes[i] = static_cast<std::byte>(key >> (8 * i));
    }

    to.insert(to.end(), bytes.begin(), bytes.end());

    for (std::size_t i = 0; i != size; i++) {
        to.push_back(payload[i] ^ bytes[i % 4]);
    }
}

std::optional<signature>
read_signature(std::span<const std::byte> payload) noexcept
{
    if (payload.size() < signature::size) {
        return std::nullopt;
    }

    const auto index = read_number(payload.first(index_digits));
    const auto author =
        read_number(payload.first(signature::size).subspan(index_digits));

    return index && author ? std::optional(signature{*index, *author})
                           : std::nullopt;
}

prepared_messages::prepared_messages(std::size_t author, std::size_t least,
                                     std::size_t size, opcode code,
                                     bool echoed_as_bytes)
    : count_{count_for(least, size)}, size_{size}
{
    std::minstd_rand random(static_cast<unsigned>(author + 1));

    for (std::size_t index = 0; index != count_; index++) {
        const auto payload = payload_of({index, author}, size, random);

        append_frame(frames_, code, payload,
                     static_cast<masking_key>(random()));

        const auto returned = echoed_as_bytes
                                  ? std::span(frames_).last(size)
                                  : std::span(std::as_const(payload));
        expected_.insert(expected_.end(), returned.begin(), returned.end());
    }

    frame_size_ = frames_.size() / count_;
}

} // namespace websocket::load
