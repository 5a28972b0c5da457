// Fuzzes the parser of frame headers. More bytes must not change a result, and
// a parsed header must be written back as the same bytes.
#include "protocol/frames/frame.hpp"

#include "fuzzing.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

using namespace websocket::protocol;

namespace {

// Parses from a block of exactly this size, so that AddressSanitizer finds a
// read past its end.
header_result parse(std::span<const std::byte> bytes, std::uint8_t allowed,
                    frame_header &header)
{
    const auto copy = std::make_unique<std::byte[]>(bytes.size());

    if (!bytes.empty()) {
        std::memcpy(copy.get(), bytes.data(), bytes.size());
    }

    return parse_header({copy.get(), bytes.size()}, allowed, header);
}

// Writes the header as a client does, from its parsed fields alone.
std::size_t write_client_header(std::byte *to, const frame_header &header)
{
    std::array<std::byte, max_server_header> unmasked;
    const std::size_t size =
        write_header(unmasked.data(), header.code, header.payload_length,
                     header.reserved_bits);

    if (!header.fin) {
        unmasked[0] &= std::byte{0x7F};
    }

    unmasked[1] |= std::byte{0x80};
    std::memcpy(to, unmasked.data(), size);
    std::memcpy(to + size, header.key.data(), header.key.size());

    return size + header.key.size();
}

void check_header(std::span<const std::byte> bytes, const header_result &result,
                  std::uint8_t allowed, const frame_header &header)
{
    require(result.reason == error::none);
    require(result.size <= max_client_header);
    require(header.payload_length >> 63 == 0);
    require((header.reserved_bits & ~allowed) == 0);

    if (is_control(header.code)) {
        require(header.fin && header.reserved_bits == 0);
        require(header.payload_length <= max_control_payload);
    }

    std::array<std::byte, max_client_header> again{};
    require(write_client_header(again.data(), header) == result.size);
    require(std::memcmp(again.data(), bytes.data(), result.size) == 0);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    if (size == 0) {
        return 0;
    }

    const auto allowed =
        static_cast<std::uint8_t>(data[0] & (rsv1 | rsv2 | rsv3));
    const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
    frame_header whole{};
    const header_result result = parse(bytes, allowed, whole);
    bool decided = false;

    for (std::size_t i = 0; i <= bytes.size() && i <= 20; i++) {
        frame_header header{};
        const header_result found = parse(bytes.first(i), allowed, header);
        const bool incomplete = found.size == 0 && found.reason == error::none;

        require(incomplete ? !decided
                           : found.size == result.size &&
                                 found.reason == result.reason);
        require(found.size == 0 || found.size <= i);
        decided = !incomplete;
    }

    // The longest possible header gives a result
    require(decided || bytes.size() < max_client_header);

    if (result.size != 0) {
        check_header(bytes, result, allowed, whole);
    }

    return 0;
}
