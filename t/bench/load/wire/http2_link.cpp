// A connection of HTTP/2 on which several clients read event streams.
#include "http2_link.hpp"

#include "transport.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace websocket::load {

namespace {

constexpr std::size_t head_size = 9;
constexpr std::size_t link_buffer_size = 256 * 1024;
constexpr std::size_t longest_text = 127; // in one byte of HPACK

namespace frames {

enum type : std::uint8_t {
    data = 0,
    headers = 1,
    reset = 3,
    settings = 4,
    ping = 6,
    goaway = 7,
    window_update = 8
};

} // namespace frames

constexpr std::uint8_t ack = 0x1;
constexpr std::uint8_t end_stream = 0x1;
constexpr std::uint8_t end_headers = 0x4;
constexpr std::uint8_t padded = 0x8;

// The first entries of HPACK's static table: the whole field.
constexpr char method_get = '\x82';
constexpr char scheme_http = '\x86';
constexpr std::byte status_ok{0x88};

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// SETTINGS_INITIAL_WINDOW_SIZE, and the same for the connection: 2^31 - 1
// bytes, which no run exceeds
constexpr std::string_view stream_window("\0\4\x7f\xff\xff\xff", 6);
constexpr std::string_view link_window("\x7f\xff\0\0", 4);

const auto link_buffer =
    std::make_unique_for_overwrite<std::byte[]>(link_buffer_size);

std::size_t number_in(std::span<const std::byte> bytes) noexcept
{
    std::size_t number = 0;

    for (const std::byte each : bytes) {
        number = number << 8 | std::to_integer<std::size_t>(each);
    }

    return number;
}

void append_number(std::string &to, std::size_t number, int bytes)
{
    while (bytes-- != 0) {
        to += static_cast<char>(number >> (8 * bytes) & 0xff);
    }
}

void append_text(std::string &to, std::string_view text)
{
    if (text.size() >= longest_text) {
        throw peer_fault("the path is too long");
    }

    to += static_cast<char>(text.size());
    to.append(text);
}

// A field that is not indexed, whose name has this index in the static table.
void append_field(std::string &to, unsigned name, std::string_view value)
{
    constexpr unsigned longest = 15; // indices below this take one byte

    to += static_cast<char>(std::min(name, longest));

    if (name >= longest) {
        to += static_cast<char>(name - longest);
    }

    append_text(to, value);
}

// The size of HPACK's table may be changed before the status.
bool begins_with_ok(std::span<const std::byte> block) noexcept
{
    const auto status = std::ranges::find_if(block, [](std::byte each) {
        return (each & std::byte{0xe0}) != std::byte{0x20};
    });

    return status != block.end() && *status == status_ok;
}

} // namespace

http2_link::http2_link(event_loop &loop, std::uint16_t port)
    : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, port_{port}
{
    const int one = 1;
    const linger at_once{1, 0};
    sockaddr_in address = {};

    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));

    // There are few of these, so each may wait
    if (connect(socket_, reinterpret_cast<const sockaddr *>(&address),
                sizeof(address)) == -1) {
        const int error = errno;

        close(socket_);
        throw peer_fault("cannot connect: " + error_text(error));
    }

    unsent_.append(preface);
    frame(frames::settings, 0, 0, stream_window);
    frame(frames::window_update, 0, 0, link_window);
    loop.add(socket_, *this);
}

http2_link::~http2_link()
{
    close(socket_);
}

void http2_link::frame(std::uint8_t type, std::uint8_t flags,
                       std::uint32_t stream, std::string_view payload)
{
    append_number(unsent_, payload.size(), 3);
    append_number(unsent_, type, 1);
    append_number(unsent_, flags, 1);
    append_number(unsent_, stream, 4);
    unsent_.append(payload);
}

void http2_link::get(std::string_view path, http2_reader &reader)
{
    constexpr unsigned authority = 1, path_name = 4, accept = 19;
    std::string block{method_get, scheme_http};

    append_field(block, authority, "127.0.0.1:" + std::to_string(port_));
    append_field(block, path_name, path);
    append_field(block, accept, "text/event-stream");
    readers_.push_back(&reader);
    frame(frames::headers, end_headers | end_stream,
          static_cast<std::uint32_t>(2 * readers_.size() - 1), block);
    write();
}

void http2_link::write()
{
    const ssize_t sent = send(socket_, unsent_.data(), unsent_.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent == -1 && errno != EAGAIN) {
        throw peer_fault("cannot send: " + error_text(errno));
    }

    unsent_.erase(0, sent == -1 ? 0 : static_cast<std::size_t>(sent));
}

void http2_link::ready(bool readable)
{
    if (!unsent_.empty()) {
        write();
    }

    if (readable) {
        receive();
    }
}

void http2_link::receive()
{
    for (;;) {
        const ssize_t size =
            recv(socket_, link_buffer.get(), link_buffer_size, MSG_DONTWAIT);

        if (size == -1 && errno == EAGAIN) {
            return;
        }

        if (size <= 0) {
            throw peer_fault(size == 0
                                 ? "the server ended the connection"
                                 : "cannot receive: " + error_text(errno));
        }

        const std::span got(link_buffer.get(), static_cast<std::size_t>(size));

        if (partial_.empty()) {
            const std::size_t done = handle(got);

            partial_.assign(got.begin() + static_cast<std::ptrdiff_t>(done),
                            got.end());
        } else {
            partial_.insert(partial_.end(), got.begin(), got.end());
            partial_.erase(partial_.begin(),
                           partial_.begin() +
                               static_cast<std::ptrdiff_t>(handle(partial_)));
        }
    }
}

// Returns the size of the whole frames.
std::size_t http2_link::handle(std::span<const std::byte> bytes)
{
    std::size_t done = 0;

    while (bytes.size() - done >= head_size) {
        const auto rest = bytes.subspan(done);
        const head of = {.size = number_in(rest.first(3)),
                         .type = std::to_integer<std::uint8_t>(rest[3]),
                         .flags = std::to_integer<std::uint8_t>(rest[4]),
                         .stream = static_cast<std::uint32_t>(
                             number_in(rest.subspan(5, 4)))};

        if (rest.size() - head_size < of.size) {
            break;
        }

        handle(of, rest.subspan(head_size, of.size));
        done += head_size + of.size;
    }

    return done;
}

http2_reader &http2_link::reader_of(const head &of) const
{
    const std::size_t index = of.stream / 2;

    if (of.stream % 2 == 0 || index >= readers_.size()) {
        throw peer_fault("a frame of an unknown stream was received");
    }

    if ((of.flags & (end_stream | padded)) != 0) {
        throw peer_fault("the server ended an event stream, or padded it");
    }

    return *readers_[index];
}

void http2_link::handle(const head &of, std::span<const std::byte> payload)
{
    switch (of.type) {
    case frames::data:
        reader_of(of).body(payload);
        break;
    case frames::headers:
        if (!begins_with_ok(payload) || (of.flags & end_headers) == 0) {
            throw peer_fault("refused: the status is not 200");
        }
        reader_of(of).answered();
        break;
    case frames::settings:
    case frames::ping:
        if ((of.flags & ack) == 0) {
            frame(of.type, ack, 0,
                  of.type == frames::ping
                      ? std::string_view(
                            reinterpret_cast<const char *>(payload.data()),
                            payload.size())
                      : std::string_view());
            write();
        }
        break;
    case frames::reset:
    case frames::goaway:
        throw peer_fault("the server ended a stream, or all of them");
    default:
        break;
    }
}

} // namespace websocket::load
