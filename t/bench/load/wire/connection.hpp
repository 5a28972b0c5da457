// One client of the load generator: a WebSocket connection, or an event stream
// on a connection of its own or on one that several share.
#pragma once

#include "../event_loop.hpp"
#include "event_reader.hpp"
#include "frame_reader.hpp"
#include "http2_link.hpp"
#include "opening_handshake.hpp"
#include "prepared_messages.hpp"
#include "transport.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::load {

class connection;

// The callbacks of a run. They may send on the connection. `opened` may also
// reset it and open it again.
struct connection_events {
    virtual void opened(connection &of) = 0;
    virtual void message(connection &of, opcode code,
                         std::span<const std::byte> payload) = 0;

    // Called before and after the frames of a read.
    virtual void read_begins(connection &of) = 0;
    virtual void read_through(connection &of) = 0;

protected:
    ~connection_events() = default;
};

// Any error of the connection is thrown as std::runtime_error.
class connection final : public ready_handler, http2_reader {
public:
    connection(std::size_t number, event_loop &loop, connection_events &events,
               bool raw);
    ~connection();
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;

    // Begins to connect. `opened` is called after the handshake. The
    // destination must outlive the connection.
    void open(const destination &to);

    // The same for an event stream over HTTP/2.
    void open(const destination &to, http2_link &link);

    // Closes the connection at once, and leaves no socket in TIME_WAIT.
    void reset() noexcept;

    // Sends the next messages of the ring, after those that wait.
    void send(const prepared_messages &ring, std::size_t count);

    // Sends one more text message, before those of the ring.
    void send_first(std::string_view text);

    std::size_t number() const noexcept { return number_; }
    bool is_open() const noexcept { return state_ == state::open; }

    // The negotiated parameters of the server's response.
    const agreement &agreed() const noexcept { return agreed_; }
    std::string cipher() const { return transport_.cipher(); }

    void ready(bool readable) override;

private:
    enum class state { closed, connecting, securing, shaking_hands, open };

    [[noreturn]] void fail(const std::string &what) const;
    void go_on(bool readable);
    void connected();
    void secure();
    void write_request();
    void answered() override;
    void body(std::span<const std::byte> bytes) override;
    void shake_hands();
    void feed(std::span<const std::byte> bytes);
    void receive();
    std::span<const std::byte> inflated(std::span<const std::byte> payload);
    void received(const frame &what);
    void write_messages();
    void write_control();

    std::size_t number_;
    event_loop &loop_;
    connection_events &events_;
    frame_reader reader_;
    std::optional<event_reader> events_reader_; // instead of frames
    frame_reader::sink sink_;
    state state_ = state::closed;
    const destination *to_ = nullptr;
    transport transport_;
    agreement agreed_;
    std::optional<inflater> inflater_;
    std::string request_;
    std::string answer_;
    std::vector<std::byte> control_; // Pongs and first messages to be sent
    const prepared_messages *ring_ = nullptr;
    std::size_t next_ = 0;          // message of the ring
    std::size_t ring_position_ = 0; // bytes
    std::size_t owed_ = 0;          // bytes of the ring to be sent
};

} // namespace websocket::load
