// The bytes of one connection, plain or with TLS.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include <openssl/ssl.h>
#include <sys/types.h>

namespace websocket::load {

// An error of the server or of the network.
struct peer_fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string error_text(int error);

// The TLS settings of all connections. Certificates are not checked, and
// sessions are not resumed.
class tls_setting {
public:
    tls_setting();
    SSL_CTX *context() const noexcept { return context_.get(); }

private:
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX *)> context_;
};

struct reading {
    std::size_t size = 0;
    bool more = false; // data may be left, which epoll does not report again
};

class transport {
public:
    // More than `receive` reads at a time beyond the gap.
    static constexpr std::size_t buffer_size = 256 * 1024;

    transport() = default;
    ~transport();
    transport(const transport &) = delete;
    transport &operator=(const transport &) = delete;

    // Takes over the socket; without a setting, TLS is not used.
    void open(int socket, const tls_setting *tls);
    void close() noexcept;
    int socket() const noexcept { return socket_; }

    // Returns false while the TLS handshake waits for the server.
    bool secure();

    // Both may be called after `secure` has returned true. Received bytes go
    // into the gap, then into the buffer.
    reading receive(std::span<std::byte> gap, std::span<std::byte> buffer);

    // Returns the number of bytes that were accepted. After 0, the socket must
    // become writable first.
    std::size_t send(std::span<const std::byte> first,
                     std::span<const std::byte> second);

    // Returns false if accepted bytes wait for the socket.
    bool flush();

    // The TLS version and cipher; empty without TLS.
    std::string cipher() const;

private:
    reading receive_plain(std::span<std::byte> gap,
                          std::span<std::byte> buffer);
    std::size_t receive_records();
    std::size_t decrypt(std::span<std::byte> to);
    void encrypt(std::span<const std::byte> from);

    int socket_ = -1;
    std::unique_ptr<SSL, void (*)(SSL *)> tls_{nullptr, SSL_free};
    std::size_t flushed_ = 0; // bytes of the TLS output
};

} // namespace websocket::load
