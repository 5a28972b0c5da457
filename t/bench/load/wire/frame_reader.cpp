// Splits the bytes of a server into frames.
#include "frame_reader.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace websocket::load {

// The size of a frame, or of as much of its header as is known.
frame_reader::measure
frame_reader::measured(std::span<const std::byte> bytes) const noexcept
{
    if (bytes.size() < 2) {
        return {.header = 2};
    }

    const auto length = std::to_integer<std::size_t>(bytes[1]) & 0x7f;
    const std::size_t length_bytes = length < 126 ? 0 : length == 126 ? 2 : 8;
    const std::size_t header = 2 + length_bytes + (masked_ ? 4 : 0);

    if (bytes.size() < header) {
        return {.header = header};
    }

    std::size_t size = length_bytes == 0 ? length : 0;

    for (const std::byte digit : bytes.subspan(2, length_bytes)) {
        size = size << 8 | std::to_integer<std::size_t>(digit);
    }

    return {.header = header, .whole = header + size};
}

void frame_reader::deliver(std::span<const std::byte> whole, std::size_t header,
                           const sink &each) const
{
    const auto first = std::to_integer<unsigned>(whole[0]);
    const auto second = std::to_integer<unsigned>(whole[1]);

    const auto code = static_cast<opcode>(first & 0x0f);
    const bool compressed = compressed_ && (first & 0x40) != 0 &&
                            (code == opcode::text || code == opcode::binary);

    if ((first & 0xf0) != (compressed ? 0xc0 : 0x80)) {
        throw std::runtime_error("a fragment or a reserved bit was received");
    }

    if (((second & 0x80) != 0) != masked_) {
        throw std::runtime_error(masked_ ? "a frame came back unmasked"
                                         : "a masked frame was received");
    }

    each({code, compressed, whole.subspan(header)});
}

void frame_reader::want(std::size_t size)
{
    if (size > capacity_) {
        auto larger = std::make_unique_for_overwrite<std::byte[]>(size);

        if (filled_ != 0) {
            std::memcpy(larger.get(), partial_.get(), filled_);
        }

        partial_ = std::move(larger);
        capacity_ = size;
    }

    wanted_ = size;
}

void frame_reader::keep(std::span<const std::byte> bytes, const measure &of)
{
    want(of.whole != 0 ? of.whole : of.header);
    std::memcpy(partial_.get(), bytes.data(), bytes.size());
    filled_ = bytes.size();
}

// When a header is complete, the gap is extended by the payload.
void frame_reader::filled(std::size_t size, const sink &each)
{
    filled_ += size;

    while (wanted_ != 0 && filled_ == wanted_) {
        const std::span<const std::byte> known(partial_.get(), filled_);
        const measure of = measured(known);

        if (of.whole == filled_) {
            filled_ = wanted_ = 0;
            deliver(known, of.header, each);
            return;
        }

        want(of.whole != 0 ? of.whole : of.header);
    }
}

void frame_reader::feed(std::span<const std::byte> bytes, const sink &each)
{
    while (wanted_ != 0 && !bytes.empty()) {
        const std::span<std::byte> to = gap();
        const std::size_t size = std::min(to.size(), bytes.size());

        std::memcpy(to.data(), bytes.data(), size);
        bytes = bytes.subspan(size);
        filled(size, each);
    }

    while (!bytes.empty()) {
        const measure of = measured(bytes);

        if (of.whole == 0 || of.whole > bytes.size()) {
            keep(bytes, of);
            return;
        }

        deliver(bytes.first(of.whole), of.header, each);
        bytes = bytes.subspan(of.whole);
    }
}

} // namespace websocket::load
