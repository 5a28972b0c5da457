// OpenSSL reads records within SSL_read(), which nginx calls until the buffer
// is full. Only the BIO of the socket can stop it.
#include "nginx/output/tls_reading.hpp"

#include <algorithm>
#include <cstdint>

namespace websocket::nginx {

#if (NGX_SSL)

namespace {

// One-byte records that are read before the clock is checked.
constexpr std::size_t max_small_records = 1024;

// Bytes that are read from the socket before the clock is checked. OpenSSL may
// read up to one record more.
constexpr std::size_t max_read = turn::unit;

constexpr std::size_t unlimited = SIZE_MAX;

std::size_t left_to_read = unlimited;
bool read_refused = false;

// A rejected read looks like one from a socket without input.
long on_socket(BIO *socket, int operation, const char *, std::size_t, int, long,
               int result, std::size_t *processed)
{
    if (operation == BIO_CB_READ && left_to_read == 0) {
        read_refused = true;
        BIO_set_retry_read(socket);
        return -1;
    }

    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
        left_to_read -=
            left_to_read == unlimited ? 0 : std::min(left_to_read, *processed);
    }

    return result;
}

ssize_t receive_some(ngx_connection_t *c, std::span<std::byte> buffer) noexcept
{
    left_to_read = max_read;
    read_refused = false;

    const ssize_t received =
        c->recv(c, reinterpret_cast<u_char *>(buffer.data()), buffer.size());

    left_to_read = unlimited;

    if (read_refused) {
        c->read->ready = 1;
    }

    return received;
}

} // namespace

void limit_reads(SSL *tls) noexcept
{
    BIO_set_callback_ex(SSL_get_rbio(tls), on_socket);
}

// Receives until the turn is over. nginx is given only a small part of the
// buffer in addition to the rest of the record that OpenSSL has already read.
ssize_t receive_records(ngx_connection_t *c, std::span<std::byte> buffer,
                        turn &current) noexcept
{
    std::size_t total = 0;

    while (total != buffer.size()) {
        const auto pending =
            static_cast<std::size_t>(SSL_pending(c->ssl->connection));
        const std::size_t size =
            std::min(buffer.size() - total, pending + max_small_records);
        const ssize_t received = receive_some(c, buffer.subspan(total, size));
        const bool stopped = received == NGX_AGAIN && read_refused;

        if (received <= 0 && !stopped && total != 0) {
            if (received != NGX_AGAIN) {
                c->read->ready = 1; // the next call returns the same result
            }
            break;
        }

        if (received <= 0 && !stopped) {
            // The peer may have ended only its side; nginx would then not send
            // our close_notify
            if (received == 0 && !c->write->error) {
                c->ssl->no_send_shutdown = 0;
            }
            return received;
        }

        total += stopped ? 0 : static_cast<std::size_t>(received);

        if (!read_refused &&
            (static_cast<std::size_t>(received) < size || !c->read->ready)) {
            break;
        }

        current.spend(turn::unit);

        if (current.over()) {
            break;
        }
    }

    return total != 0 ? static_cast<ssize_t>(total) : ssize_t{NGX_AGAIN};
}

#endif

} // namespace websocket::nginx
