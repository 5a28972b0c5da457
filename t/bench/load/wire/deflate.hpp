// The client's side of permessage-deflate (RFC 7692).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <zlib.h>

namespace websocket::load {

inline constexpr std::string_view deflate_offer =
    "permessage-deflate; client_max_window_bits";

struct deflate_terms {
    bool server_takeover = true;
    bool client_takeover = true;
    int server_window = 15;
    int client_window = 15;

    bool operator==(const deflate_terms &) const = default;
};

// Parses Sec-WebSocket-Extensions of the response. Throws peer_fault if it does
// not match the offer.
deflate_terms parse_deflate_terms(std::string_view answer);

class compressor {
public:
    explicit compressor(const deflate_terms &terms);
    ~compressor();
    compressor(const compressor &) = delete;
    compressor &operator=(const compressor &) = delete;

    // Returns the payload of the compressed frame.
    std::vector<std::byte> compress(std::span<const std::byte> payload);

private:
    z_stream stream_ = {};
    bool takeover_;
};

class inflater {
public:
    explicit inflater(const deflate_terms &terms);
    ~inflater();
    inflater(const inflater &) = delete;
    inflater &operator=(const inflater &) = delete;

    // Valid until the next call. Throws peer_fault.
    std::span<const std::byte> inflate(std::span<const std::byte> payload);

private:
    void inflate_part(std::span<const std::byte> part);

    z_stream stream_ = {};
    bool takeover_;
    std::vector<std::byte> inflated_;
    std::size_t size_ = 0;
};

} // namespace websocket::load
