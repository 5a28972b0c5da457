// Splits the body of a response into server-sent events.
#include "event_reader.hpp"

#include "transport.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace websocket::load {

namespace {

constexpr std::string_view end_of_event = "\n\n";
constexpr std::size_t longest_chunk_line = 64;

std::string_view text_of(std::span<const std::byte> bytes) noexcept
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

// The value of a line that begins with this name.
std::string_view value_of(std::string_view line, std::string_view name) noexcept
{
    line.remove_prefix(name.size());
    return line.starts_with(' ') ? line.substr(1) : line;
}

// The size that the first line of a chunk names.
std::size_t size_in(std::string_view line)
{
    std::size_t size = 0;
    const auto [rest, error] =
        std::from_chars(line.data(), line.data() + line.size(), size, 16);

    if (error != std::errc{} || rest == line.data()) {
        throw peer_fault("a chunk without a size was received");
    }

    if (size == 0) {
        throw peer_fault("the server ended the event stream");
    }

    return size;
}

} // namespace

// Returns the part of a chunk's data that the bytes begin with, or nothing. The
// CR LF at its end belongs to no event.
std::string_view event_reader::take_chunk(std::string_view &bytes)
{
    constexpr std::size_t end = 2;

    if (chunk_left_ == 0) {
        const std::size_t line = bytes.find('\n');

        chunk_line_.append(bytes.substr(0, line));

        if (chunk_line_.size() > longest_chunk_line) {
            throw peer_fault("the first line of a chunk does not end");
        }

        bytes.remove_prefix(line == bytes.npos ? bytes.size() : line + 1);
        chunk_left_ =
            line == bytes.npos
                ? 0
                : size_in(std::exchange(chunk_line_, std::string())) + end;
        return {};
    }

    const std::string_view taken = bytes.substr(0, chunk_left_);
    const std::size_t data =
        std::min(taken.size(), chunk_left_ - std::min(chunk_left_, end));

    bytes.remove_prefix(taken.size());
    chunk_left_ -= taken.size();
    return taken.substr(0, data);
}

void event_reader::feed(std::span<const std::byte> bytes,
                        const frame_reader::sink &each)
{
    std::string_view rest = text_of(bytes);

    if (!chunked_) {
        add(rest, each);
        return;
    }

    while (!rest.empty()) {
        add(take_chunk(rest), each);
    }
}

void event_reader::add(std::string_view body, const frame_reader::sink &each)
{
    // The end of an event may have come in two parts
    std::size_t from = partial_.empty() ? 0 : partial_.size() - 1;
    std::size_t done = 0;

    partial_.append(body);

    const std::string_view all = partial_;

    for (;;) {
        const std::size_t end = all.find(end_of_event, from);

        if (end == all.npos) {
            break;
        }

        deliver(all.substr(done, end + 1 - done), each);
        done = from = end + end_of_event.size();
    }

    partial_.erase(0, done);
}

void event_reader::deliver(std::string_view event,
                           const frame_reader::sink &each)
{
    std::string_view data;
    std::string joined;
    std::size_t lines = 0;

    while (!event.empty()) {
        const std::size_t end = event.find('\n');
        const std::string_view line = event.substr(0, end);

        event.remove_prefix(end + 1);

        if (line.starts_with("event:")) {
            return;
        }

        if (line.starts_with("data:")) {
            const std::string_view value = value_of(line, "data:");

            if (lines++ != 0) {
                joined = std::string(data).append("\n").append(value);
                data = joined;
            } else {
                data = value;
            }
        }
    }

    if (lines != 0) {
        each({opcode::text, false, std::as_bytes(std::span(data))});
    }
}

} // namespace websocket::load
