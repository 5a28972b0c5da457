// The bytes of one connection, as they are or inside TLS.
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

std::string words_of(int error);

// The TLS settings of all connections. Certificates are not checked, and no
// session is resumed.
class tls_setting {
public:
    tls_setting();
    SSL_CTX *context() const noexcept { return context_.get(); }

private:
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX *)> context_;
};

struct reading {
    std::size_t size = 0;
    bool more = false; // the socket may have more, and is not reported again
};

class transport {
public:
    // More than `receive` ever brings at a time beyond the gap.
    static constexpr std::size_t buffer_size = 256 * 1024;

    transport() = default;
    ~transport();
    transport(const transport &) = delete;
    transport &operator=(const transport &) = delete;

    // Takes the socket; no setting: no TLS.
    void open(int socket, const tls_setting *tls);
    void close() noexcept;
    int socket() const noexcept { return socket_; }

    // False: the TLS handshake waits for the server.
    bool secure();

    // Both may be called once `secure` has returned true. Received bytes go
    // into the gap, then into the buffer.
    reading receive(std::span<std::byte> gap, std::span<std::byte> buffer);

    // How many bytes of both were taken: 0 until the socket is writable.
    std::size_t send(std::span<const std::byte> first,
                     std::span<const std::byte> second);

    // False: some of what was taken waits for the socket.
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
    std::size_t flushed_ = 0; // bytes of what TLS has written
};

} // namespace websocket::load
