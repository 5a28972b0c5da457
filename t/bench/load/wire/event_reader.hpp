// Splits the body of a response into server-sent events.
#pragma once

#include "frame_reader.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace websocket::load {

// The data of an event without a name is given to the sink, as a text message.
// Other events and comments are skipped.
class event_reader {
public:
    explicit event_reader(bool chunked) noexcept : chunked_{chunked} {}

    // Throws std::runtime_error if a chunk is invalid, or the last one.
    void feed(std::span<const std::byte> bytes, const frame_reader::sink &each);

private:
    std::string_view take_chunk(std::string_view &bytes);
    void add(std::string_view body, const frame_reader::sink &each);
    static void deliver(std::string_view event, const frame_reader::sink &each);

    bool chunked_;
    std::string chunk_line_;     // the part of its first line that has arrived
    std::size_t chunk_left_ = 0; // with the CR LF at its end
    std::string partial_;        // an event that has not ended
};

} // namespace websocket::load
