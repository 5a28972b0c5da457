// Messages that are ready to be sent, all different, and the expected replies.
#include "prepared_messages.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace websocket::load {

namespace {

// More messages than are in flight, so that a reply with another message is
// detected, but no more than fit into caches.
constexpr std::size_t default_count = 257;
constexpr std::size_t default_bytes = 1 << 20;
constexpr std::size_t min_count = 3;

constexpr std::size_t index_digits = 8;
constexpr std::string_view digits = "0123456789abcdef";

std::size_t count_for(std::size_t in_flight, std::size_t size)
{
    return std::max(
        std::clamp(default_bytes / (size + 1), min_count, default_count),
        in_flight + 1);
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

// Random letters, which cannot be compressed well.
void fill_with_random_text(std::span<std::byte> to, std::minstd_rand &random)
{
    for (std::byte &letter : to) {
        letter = static_cast<std::byte>('a' + random() % 26);
    }
}

// Rows of JSON, like those that are compressed in practice.
void fill_with_rows(std::span<std::byte> to, std::minstd_rand &random)
{
    while (!to.empty()) {
        const std::string row =
            "{\"sensor\":" + std::to_string(random() % 1000) +
            ",\"celsius\":" + std::to_string(random() % 40) + "." +
            std::to_string(random() % 10) + ",\"valid\":true},";
        const std::size_t size = std::min(row.size(), to.size());

        std::memcpy(to.data(), row.data(), size);
        to = to.subspan(size);
    }
}

std::vector<std::byte> payload_of(const signature &of, const message_plan &plan,
                                  std::minstd_rand &random)
{
    const std::size_t size = plan.size;
    std::vector<std::byte> payload(std::max(size, signature::size));
    const auto rest = std::span(payload).subspan(signature::size);

    write_number(std::span(payload).first(index_digits), of.index);
    write_number(std::span(payload).subspan(index_digits).first(4), of.author);

    if (plan.deflate) {
        fill_with_rows(rest, random);
    } else {
        fill_with_random_text(rest, random);
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
                  std::span<const std::byte> payload, masking_key key,
                  bool compressed)
{
    constexpr std::byte masked{0x80};
    const std::byte first{compressed ? std::uint8_t{0xc0} : std::uint8_t{0x80}};
    const std::size_t size = payload.size();
    const std::size_t length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;

    to.push_back(first | static_cast<std::byte>(code));
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

// With context takeover, a message refers only to earlier messages of its own
// lap of the ring. They precede it in every lap.
prepared_messages::prepared_messages(const message_plan &plan)
    : count_{count_for(plan.in_flight, plan.size)}, size_{plan.size}
{
    std::minstd_rand random(static_cast<unsigned>(plan.author + 1));
    std::optional<compressor> deflating;

    if (plan.deflate) {
        deflating.emplace(*plan.deflate);
    }

    for (std::size_t index = 0; index != count_; index++) {
        const auto payload = payload_of({index, plan.author}, plan, random);

        append_frame(frames_, plan.code,
                     deflating ? deflating->compress(payload) : payload,
                     static_cast<masking_key>(random()), deflating.has_value());
        ends_.push_back(frames_.size());

        const auto returned = plan.echoed_as_bytes
                                  ? std::span(frames_).last(size_)
                                  : std::span(std::as_const(payload));
        expected_.insert(expected_.end(), returned.begin(), returned.end());
    }
}

std::size_t prepared_messages::size_of(std::size_t first,
                                       std::size_t count) const noexcept
{
    const std::size_t begin = first == 0 ? 0 : ends_[first - 1];
    const std::size_t end = first + count;

    return count == 0      ? 0
           : end <= count_ ? ends_[end - 1] - begin
                           : frames_.size() - begin + ends_[end - count_ - 1];
}

bool prepared_messages::begins_at(std::size_t position) const noexcept
{
    return position == 0 ||
           std::binary_search(ends_.begin(), ends_.end(), position);
}

} // namespace websocket::load
