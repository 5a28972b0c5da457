// One WebSocket connection of the load generator.
#include "connection.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace websocket::load {

namespace {

// The example of RFC 6455 1.3
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

constexpr std::size_t longest_answer = 16384;

// All connections are read one after another.
constexpr std::size_t buffer_size = 256 * 1024;
const auto buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_size);

void set_option(int socket, int level, int name, const auto &value)
{
    setsockopt(socket, level, name, &value, sizeof(value));
}

std::string words_of(int error)
{
    return std::generic_category().message(error);
}

// The value of a header field of an answer, empty if it is absent.
std::string_view field(std::string_view head, std::string_view name)
{
    std::size_t at = 0;

    while ((at = head.find("\r\n", at)) != head.npos) {
        at += 2;

        std::string_view line = head.substr(at, head.find("\r\n", at) - at);

        if (line.size() > name.size() && line[name.size()] == ':' &&
            std::equal(name.begin(), name.end(), line.begin(),
                       [](unsigned char a, unsigned char b) {
                           return std::tolower(a) == std::tolower(b);
                       })) {
            line.remove_prefix(name.size() + 1);
            line.remove_prefix(
                std::min(line.find_first_not_of(' '), line.size()));
            return line;
        }
    }

    return {};
}

std::string request_for(const destination &to, std::size_t number)
{
    std::string path = to.path;

    if (const auto place = path.find("{}"); place != path.npos) {
        path.replace(place, 2, std::to_string(number));
    }

    std::string request = "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" +
                          std::to_string(to.port) +
                          "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ";
    request.append(key).append("\r\n");

    if (!to.subprotocol.empty()) {
        request += "Sec-WebSocket-Protocol: " + to.subprotocol + "\r\n";
    }

    return request.append("\r\n");
}

} // namespace

connection::connection(std::size_t number, event_loop &loop,
                       connection_events &events, bool raw)
    : number_{number}, loop_{loop}, events_{events}, reader_{raw},
      sink_{[this](const frame &what) { received(what); }}, raw_{raw}
{}

connection::~connection()
{
    reset();
}

void connection::fail(const std::string &what) const
{
    throw std::runtime_error("connection " + std::to_string(number_) + ": " +
                             what);
}

void connection::open(const destination &to)
{
    sockaddr_in address = {};

    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (socket_ == -1) {
        fail("no socket: " + words_of(errno));
    }

    set_option(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket_, SOL_SOCKET, SO_LINGER, linger{1, 0});
    request_ = to.raw ? std::string() : request_for(to, number_);
    answer_.clear();
    state_ = state::connecting;

    if (connect(socket_, reinterpret_cast<const sockaddr *>(&address),
                sizeof(address)) == -1 &&
        errno != EINPROGRESS) {
        fail("cannot connect: " + words_of(errno));
    }

    loop_.add(socket_, *this);
}

void connection::reset() noexcept
{
    if (socket_ != -1) {
        close(std::exchange(socket_, -1));
        state_ = state::closed;
    }
}

// An event may be left over of a socket that has been closed since.
void connection::ready(bool readable)
{
    if (state_ == state::connecting) {
        connected();
        return;
    }

    if (state_ == state::shaking_hands && readable) {
        shake_hands();
        return;
    }

    if (state_ == state::open) {
        if (readable) {
            receive();
        }
        write_messages();
    }
}

void connection::connected()
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) == -1 ||
        error != 0) {
        fail("cannot connect: " + words_of(error));
    }

    sockaddr_in peer;
    size = sizeof(peer);

    if (getpeername(socket_, reinterpret_cast<sockaddr *>(&peer), &size) ==
        -1) {
        return; // not yet
    }

    if (raw_) {
        state_ = state::open;
        events_.opened(*this);
    } else {
        state_ = state::shaking_hands;
        write_request();
    }
}

// A new socket has room for a request.
void connection::write_request()
{
    if (write(socket_, request_.data(), request_.size()) !=
        static_cast<ssize_t>(request_.size())) {
        fail("cannot send the handshake: " + words_of(errno));
    }
}

void connection::shake_hands()
{
    std::array<char, 4096> piece;
    const ssize_t size = read(socket_, piece.data(), piece.size());

    if (size == -1 && errno == EAGAIN) {
        return;
    }

    if (size <= 0) {
        fail("the server ended the handshake");
    }

    answer_.append(piece.data(), static_cast<std::size_t>(size));
    const std::size_t end = answer_.find("\r\n\r\n");

    if (end == answer_.npos) {
        if (answer_.size() > longest_answer) {
            fail("the server's answer does not end");
        }
        return;
    }

    // With the answer may have come what was said first
    const std::string head = answer_.substr(0, end + 2);
    const std::string rest = answer_.substr(end + 4);

    judge_answer(head);
    state_ = state::open;
    events_.opened(*this);

    if (state_ == state::open) {
        events_.read_begins(*this);
        reader_.feed(std::as_bytes(std::span(rest)), sink_);
        receive();
    }
}

void connection::judge_answer(std::string_view head)
{
    if (!head.starts_with("HTTP/1.1 101")) {
        fail("refused: " + std::string(head.substr(0, head.find('\r'))));
    }

    if (field(head, "Sec-WebSocket-Accept") != accepted) {
        fail("the answer has a wrong Sec-WebSocket-Accept");
    }

    const std::string_view worker = field(head, "X-Worker");

    worker_ = 0;
    std::from_chars(worker.data(), worker.data() + worker.size(), worker_);
}

void connection::receive()
{
    while (state_ == state::open) {
        const std::span<std::byte> gap = reader_.gap();
        const std::array<iovec, 2> to = {
            {{gap.data(), gap.size()}, {buffer.get(), buffer_size}}};
        const ssize_t got = gap.empty() ? readv(socket_, &to[1], 1)
                                        : readv(socket_, to.data(), 2);

        if (got == -1 && errno == EAGAIN) {
            return;
        }

        if (got <= 0) {
            fail(got == 0 ? "the server ended it"
                          : "cannot receive: " + words_of(errno));
        }

        events_.read_begins(*this);

        const auto size = static_cast<std::size_t>(got);
        const std::size_t in_gap = std::min(size, gap.size());

        if (in_gap != 0) {
            reader_.filled(in_gap, sink_);
        }

        reader_.feed({buffer.get(), size - in_gap}, sink_);
        events_.read_through(*this);

        if (size < gap.size() + buffer_size) {
            return; // what comes now is told anew
        }
    }
}

void connection::received(const frame &what)
{
    switch (what.code) {
    case opcode::text:
    case opcode::binary:
        events_.message(*this, what.code, what.payload);
        break;
    case opcode::ping:
        append_frame(control_, opcode::pong, what.payload, 0x01020304);
        write_messages();
        break;
    case opcode::pong:
        break;
    case opcode::close:
        fail("the server closed it with " +
             (what.payload.size() < 2
                  ? std::string("no code")
                  : std::to_string(std::to_integer<int>(what.payload[0]) << 8 |
                                   std::to_integer<int>(what.payload[1]))));
        break;
    default:
        fail("a frame of unknown kind was received");
    }
}

void connection::send(const prepared_messages &ring, std::size_t count)
{
    ring_ = &ring;
    owed_ += count * ring.frame_size();
    write_messages();
}

// The messages that are owed follow each other in the ring, which they may
// reach over the end of.
void connection::write_messages()
{
    write_control();

    while (owed_ != 0) {
        const std::span<const std::byte> frames = ring_->frames();
        const auto first = frames.subspan(
            ring_position_, std::min(owed_, frames.size() - ring_position_));
        const auto second =
            frames.first(std::min(owed_ - first.size(), ring_position_));
        const std::array<iovec, 2> from = {
            {{const_cast<std::byte *>(first.data()), first.size()},
             {const_cast<std::byte *>(second.data()), second.size()}}};
        const ssize_t sent = second.empty()
                                 ? write(socket_, first.data(), first.size())
                                 : writev(socket_, from.data(), 2);

        if (sent == -1) {
            if (errno != EAGAIN) {
                fail("cannot send: " + words_of(errno));
            }
            return; // goes on when there is room
        }

        owed_ -= static_cast<std::size_t>(sent);
        ring_position_ =
            (ring_position_ + static_cast<std::size_t>(sent)) % frames.size();
        write_control();
    }
}

// A Pong goes between two messages.
void connection::write_control()
{
    const bool between =
        ring_ == nullptr || ring_position_ % ring_->frame_size() == 0;

    if (control_.empty() || !between) {
        return;
    }

    if (write(socket_, control_.data(), control_.size()) !=
        static_cast<ssize_t>(control_.size())) {
        fail("cannot answer a ping: " + words_of(errno));
    }

    control_.clear();
}

} // namespace websocket::load
