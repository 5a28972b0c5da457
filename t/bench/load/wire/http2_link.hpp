// A connection of HTTP/2 (RFC 9113) without TLS, on which several clients read
// event streams.
#pragma once

#include "../event_loop.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::load {

// One stream. Errors are thrown as peer_fault.
struct http2_reader {
    // The response has begun, with the status 200.
    virtual void answered() = 0;
    virtual void body(std::span<const std::byte> bytes) = 0;

protected:
    ~http2_reader() = default;
};

class http2_link final : public ready_handler {
public:
    // Connects to the port on this host.
    http2_link(event_loop &loop, std::uint16_t port);
    ~http2_link();
    http2_link(const http2_link &) = delete;
    http2_link &operator=(const http2_link &) = delete;

    // Requests an event stream for the reader.
    void get(std::string_view path, http2_reader &reader);

    void ready(bool readable) override;

private:
    struct head {
        std::size_t size;
        std::uint8_t type;
        std::uint8_t flags;
        std::uint32_t stream;
    };

    void frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
               std::string_view payload);
    void write();
    void receive();
    std::size_t handle(std::span<const std::byte> bytes);
    void handle(const head &of, std::span<const std::byte> payload);
    http2_reader &reader_of(const head &of) const;

    int socket_;
    std::uint16_t port_;
    std::vector<http2_reader *> readers_; // of the streams 1, 3, ...
    std::string unsent_;
    std::vector<std::byte> partial_; // a frame that has not arrived whole
};

} // namespace websocket::load
