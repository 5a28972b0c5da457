// The client's side of permessage-deflate (RFC 7692).
#include "deflate.hpp"

#include "transport.hpp"

#include <array>
#include <charconv>
#include <string>

namespace websocket::load {

namespace {

// The end of each message, which is not sent (RFC 7692 7.2.1).
constexpr std::array<std::byte, 4> tail = {std::byte{0}, std::byte{0},
                                           std::byte{0xff}, std::byte{0xff}};

constexpr std::size_t first_capacity = 16 * 1024;
constexpr std::size_t largest = 64 * 1024 * 1024;

Bytef *bytes_of(std::span<const std::byte> from)
{
    return const_cast<Bytef *>(reinterpret_cast<const Bytef *>(from.data()));
}

std::string_view trimmed(std::string_view text)
{
    while (text.starts_with(' ')) {
        text.remove_prefix(1);
    }

    while (text.ends_with(' ')) {
        text.remove_suffix(1);
    }

    return text;
}

int window_bits(std::string_view value)
{
    int bits = 0;
    const char *end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, bits);

    if (error != std::errc{} || rest != end || bits < 8 || bits > 15) {
        throw peer_fault("the response has an invalid deflate window");
    }

    return bits;
}

void take_parameter(deflate_terms &to, std::string_view parameter)
{
    const std::size_t equals = parameter.find('=');
    const std::string_view name = trimmed(parameter.substr(0, equals));
    const std::string_view value =
        equals == parameter.npos ? "" : trimmed(parameter.substr(equals + 1));

    if (name == "server_no_context_takeover" && value.empty()) {
        to.server_takeover = false;
    } else if (name == "client_no_context_takeover" && value.empty()) {
        to.client_takeover = false;
    } else if (name == "server_max_window_bits") {
        to.server_window = window_bits(value);
    } else if (name == "client_max_window_bits") {
        to.client_window = window_bits(value);
    } else {
        throw peer_fault("the response has an unknown deflate parameter: " +
                         std::string(parameter));
    }
}

} // namespace

deflate_terms parse_deflate_terms(std::string_view answer)
{
    deflate_terms result;
    std::size_t end = answer.find(';');

    if (trimmed(answer.substr(0, end)) != "permessage-deflate") {
        throw peer_fault("the server declined permessage-deflate");
    }

    while (end != answer.npos) {
        answer.remove_prefix(end + 1);
        end = answer.find(';');
        take_parameter(result, trimmed(answer.substr(0, end)));
    }

    return result;
}

// zlib cannot compress with a window of 8 bits, so a server that requires one
// is refused.
compressor::compressor(const deflate_terms &terms)
    : takeover_{terms.client_takeover}
{
    if (terms.client_window == 8) {
        throw peer_fault("a deflate window of 8 bits cannot be used");
    }

    if (deflateInit2(&stream_, 6, Z_DEFLATED, -terms.client_window, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        throw peer_fault("zlib has no memory");
    }
}

compressor::~compressor()
{
    deflateEnd(&stream_);
}

std::vector<std::byte> compressor::compress(std::span<const std::byte> payload)
{
    if (payload.empty()) {
        return {std::byte{0}}; // RFC 7692 7.2.3.6
    }

    // A flush adds up to five bytes to the bound of zlib
    std::vector<std::byte> result(deflateBound(&stream_, payload.size()) + 16);

    if (!takeover_) {
        deflateReset(&stream_);
    }

    stream_.next_in = bytes_of(payload);
    stream_.avail_in = static_cast<uInt>(payload.size());
    stream_.next_out = bytes_of(result);
    stream_.avail_out = static_cast<uInt>(result.size());

    if (::deflate(&stream_, Z_SYNC_FLUSH) != Z_OK || stream_.avail_out == 0) {
        throw peer_fault("zlib cannot compress");
    }

    result.resize(result.size() - stream_.avail_out - tail.size());
    return result;
}

inflater::inflater(const deflate_terms &terms)
    : takeover_{terms.server_takeover}, inflated_(first_capacity)
{
    if (inflateInit2(&stream_, -terms.server_window) != Z_OK) {
        throw peer_fault("zlib has no memory");
    }
}

inflater::~inflater()
{
    inflateEnd(&stream_);
}

void inflater::inflate_part(std::span<const std::byte> part)
{
    stream_.next_in = bytes_of(part);
    stream_.avail_in = static_cast<uInt>(part.size());

    for (;;) {
        stream_.next_out = bytes_of(std::span(inflated_).subspan(size_));
        stream_.avail_out = static_cast<uInt>(inflated_.size() - size_);

        const int done = ::inflate(&stream_, Z_SYNC_FLUSH);

        size_ = inflated_.size() - stream_.avail_out;

        if (done == Z_STREAM_END) {
            inflateReset(&stream_); // RFC 7692 7.2.3.5
        } else if (done != Z_OK && done != Z_BUF_ERROR) {
            throw peer_fault("a message cannot be inflated");
        }

        if (stream_.avail_out != 0) {
            return;
        }

        if (inflated_.size() == largest) {
            throw peer_fault("a message inflates to too many bytes");
        }

        inflated_.resize(inflated_.size() * 2);
    }
}

std::span<const std::byte> inflater::inflate(std::span<const std::byte> payload)
{
    if (!takeover_) {
        inflateReset(&stream_);
    }

    size_ = 0;
    inflate_part(payload);
    inflate_part(tail);
    return std::span(inflated_).first(size_);
}

} // namespace websocket::load
