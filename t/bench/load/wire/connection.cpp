// One WebSocket connection of the load generator.
#include "connection.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace websocket::load {

namespace {

constexpr std::size_t longest_answer = 16384;

// Connections are read one after another, so they share a buffer.
const auto buffer =
    std::make_unique_for_overwrite<std::byte[]>(transport::buffer_size);

void set_option(int socket, int level, int name, const auto &value)
{
    setsockopt(socket, level, name, &value, sizeof(value));
}

} // namespace

connection::connection(std::size_t number, event_loop &loop,
                       connection_events &events, bool raw)
    : number_{number}, loop_{loop}, events_{events}, reader_{raw},
      sink_{[this](const frame &what) { received(what); }}
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

    const int socket =
        ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (socket == -1) {
        fail("no socket: " + error_text(errno));
    }

    transport_.open(socket, to.tls);
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_LINGER, linger{1, 0});
    to_ = &to;
    answer_.clear();
    state_ = state::connecting;

    if (connect(socket, reinterpret_cast<const sockaddr *>(&address),
                sizeof(address)) == -1 &&
        errno != EINPROGRESS) {
        fail("cannot connect: " + error_text(errno));
    }

    loop_.add(socket, *this);
}

void connection::open(const destination &to, http2_link &link)
{
    events_reader_.emplace(false);
    to_ = &to;
    state_ = state::shaking_hands;
    link.get(path_for(to, number_), *this);
}

void connection::answered()
{
    state_ = state::open;
    events_.opened(*this);
}

void connection::body(std::span<const std::byte> bytes)
{
    events_.read_begins(*this);
    feed(bytes);
    events_.read_through(*this);
}

void connection::reset() noexcept
{
    transport_.close();
    state_ = state::closed;
}

// epoll may have reported the socket before it was closed.
void connection::ready(bool readable)
{
    try {
        go_on(readable);

    } catch (const peer_fault &fault) {
        fail(fault.what());
    }
}

void connection::go_on(bool readable)
{
    if (state_ == state::connecting) {
        connected();
    } else if (state_ == state::securing) {
        secure();
    } else if (state_ == state::shaking_hands) {
        write_request();
        if (readable) {
            shake_hands();
        }
    } else if (state_ == state::open) {
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

    if (getsockopt(transport_.socket(), SOL_SOCKET, SO_ERROR, &error, &size) ==
            -1 ||
        error != 0) {
        fail("cannot connect: " + error_text(error));
    }

    sockaddr_in peer;
    size = sizeof(peer);

    if (getpeername(transport_.socket(), reinterpret_cast<sockaddr *>(&peer),
                    &size) == -1) {
        return; // not complete yet
    }

    state_ = state::securing;
    secure();
}

void connection::secure()
{
    if (!transport_.secure()) {
        return;
    }

    if (to_->raw) {
        state_ = state::open;
        events_.opened(*this);
    } else {
        state_ = state::shaking_hands;
        request_ = request_for(*to_, number_);
        write_request();
    }
}

void connection::write_request()
{
    const auto bytes = std::as_bytes(std::span(request_));

    request_.erase(0, transport_.send(bytes, {}));
    transport_.flush();
}

void connection::shake_hands()
{
    const reading got =
        transport_.receive({}, {buffer.get(), transport::buffer_size});

    answer_.append(reinterpret_cast<const char *>(buffer.get()), got.size);
    const std::size_t end = answer_.find("\r\n\r\n");

    if (end == answer_.npos) {
        if (answer_.size() > longest_answer) {
            fail("the server's response does not end");
        }
        return;
    }

    // The first frames may follow the response in the same packet.
    const std::string rest = answer_.substr(end + 4);

    agreed_ =
        check_response(std::string_view(answer_).substr(0, end + 2), *to_);
    reader_.allow_compressed(agreed_.deflate.has_value());

    if (to_->event_stream) {
        events_reader_.emplace(agreed_.chunked);
    }

    state_ = state::open;
    events_.opened(*this);

    if (state_ == state::open) {
        events_.read_begins(*this);
        feed(std::as_bytes(std::span(rest)));
        receive();
    }
}

void connection::feed(std::span<const std::byte> bytes)
{
    events_reader_ ? events_reader_->feed(bytes, sink_)
                   : reader_.feed(bytes, sink_);
}

void connection::receive()
{
    while (state_ == state::open) {
        const std::span<std::byte> gap = reader_.gap();
        const reading got =
            transport_.receive(gap, {buffer.get(), transport::buffer_size});

        if (got.size != 0) {
            events_.read_begins(*this);

            const std::size_t in_gap = std::min(got.size, gap.size());

            if (in_gap != 0) {
                reader_.filled(in_gap, sink_);
            }

            feed({buffer.get(), got.size - in_gap});
            events_.read_through(*this);
        }

        if (!got.more) {
            return; // epoll reports later data again
        }
    }
}

// Without context takeover, all connections share an inflater.
std::span<const std::byte>
connection::inflated(std::span<const std::byte> payload)
{
    static std::optional<inflater> shared;
    std::optional<inflater> &current =
        agreed_.deflate->server_takeover ? inflater_ : shared;

    if (!current) {
        current.emplace(*agreed_.deflate);
    }

    return current->inflate(payload);
}

void connection::received(const frame &what)
{
    switch (what.code) {
    case opcode::text:
    case opcode::binary:
        events_.message(*this, what.code,
                        what.compressed ? inflated(what.payload)
                                        : what.payload);
        break;
    case opcode::ping:
        append_frame(control_, opcode::pong, what.payload, 0x01020304);
        write_messages();
        break;
    case opcode::pong:
        break;
    case opcode::close:
        fail("the server closed the connection with " +
             (what.payload.size() < 2
                  ? std::string("no code")
                  : std::to_string(std::to_integer<int>(what.payload[0]) << 8 |
                                   std::to_integer<int>(what.payload[1]))));
        break;
    default:
        fail("a frame with an unknown opcode was received");
    }
}

void connection::send(const prepared_messages &ring, std::size_t count)
{
    ring_ = &ring;
    owed_ += ring.size_of(next_, count);
    next_ = (next_ + count) % ring.count();
    write_messages();
}

void connection::send_first(std::string_view text)
{
    append_frame(control_, opcode::text, std::as_bytes(std::span(text)),
                 0x04030201);
    write_messages();
}

// The messages to be sent are consecutive in the ring, and may continue at its
// start.
void connection::write_messages()
{
    write_control();

    while (owed_ != 0) {
        const std::span<const std::byte> frames = ring_->frames();
        const auto first = frames.subspan(
            ring_position_, std::min(owed_, frames.size() - ring_position_));
        const auto second =
            frames.first(std::min(owed_ - first.size(), ring_position_));
        const std::size_t sent = transport_.send(first, second);

        if (sent == 0) {
            return; // continues when the socket is writable
        }

        owed_ -= sent;
        ring_position_ = (ring_position_ + sent) % frames.size();
        write_control();
    }

    transport_.flush();
}

// A Pong or a first message is sent between two messages.
void connection::write_control()
{
    const bool between = ring_ == nullptr || ring_->begins_at(ring_position_);

    if (control_.empty() || !between) {
        return;
    }

    if (transport_.send(control_, {}) != control_.size()) {
        fail("cannot send a Pong: the socket is full");
    }

    control_.clear();
}

} // namespace websocket::load
