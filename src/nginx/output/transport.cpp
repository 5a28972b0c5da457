// Sends and receives through nginx's connection, with or without TLS.
#include "nginx/output/transport.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/output/handshake_limit.hpp"
#include "nginx/output/tls_reading.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace websocket::nginx::transport {

namespace {

bool uses_tls(const ngx_connection_t *c) noexcept
{
#if (NGX_SSL)
    return c->ssl != nullptr;
#else
    return c == nullptr;
#endif
}

// The plaintext of the largest TLS record (RFC 8446 5.1).
constexpr std::size_t max_record = 16 * 1024;

using piece_list = std::span<const std::span<const std::byte>>;

// Copies the contents of the next record, without the first `skipped` bytes.
// Returns the size.
std::size_t fill_record(std::span<std::byte> record, piece_list pieces,
                        std::size_t skipped) noexcept
{
    std::size_t used = 0;

    for (std::span<const std::byte> piece : pieces) {
        piece = piece.subspan(std::exchange(skipped, 0));
        piece = piece.first(std::min(piece.size(), record.size() - used));
        ngx_memcpy(record.data() + used, piece.data(), piece.size());
        used += piece.size();

        if (used == record.size()) {
            break;
        }
    }

    return used;
}

// Small pieces share a record, because each record costs a system call and
// overhead bytes.
ssize_t send_records(ngx_connection_t *c, piece_list pieces) noexcept
{
    std::array<std::byte, max_record> record;
    std::size_t total = 0;
    std::size_t skipped = 0; // bytes of the first piece

    while (!pieces.empty() && c->write->ready) {
        std::span<const std::byte> next = pieces.front().subspan(skipped);

        if (next.size() >= max_record) {
            next = next.first(next.size() - next.size() % max_record);
        } else if (pieces.size() != 1) {
            next =
                std::span(record).first(fill_record(record, pieces, skipped));
        }

        const ssize_t sent = send(c, next);

        if (sent < 0) {
            return NGX_ERROR;
        }

        total += static_cast<std::size_t>(sent);
        skipped += static_cast<std::size_t>(sent);

        while (!pieces.empty() && skipped >= pieces.front().size()) {
            skipped -= pieces.front().size();
            pieces = pieces.subspan(1);
        }
    }

    return static_cast<ssize_t>(total);
}

// While a tls_log exists, TLS failures of the connection are logged at info.
// Once a client is connected, they are caused by the client or the network, but
// nginx logs unknown reasons as critical.
class tls_log {
public:
    explicit tls_log(ngx_connection_t *c) noexcept
        : connection_{uses_tls(c) ? c : nullptr}, log_{c->log}
    {
        if (connection_ != nullptr) {
            lowering_.log_level = log_->log_level;
            lowering_.writer = write;
            lowering_.wdata = log_;
            connection_->log = &lowering_;
        }
    }

    ~tls_log()
    {
        if (connection_ != nullptr) {
            connection_->log = log_;
        }
    }

    tls_log(const tls_log &) = delete;
    tls_log &operator=(const tls_log &) = delete;

private:
    static void write(ngx_log_t *log, ngx_uint_t level, u_char *line,
                      std::size_t size);

    static ngx_log_t lowering_;

    ngx_connection_t *connection_;
    ngx_log_t *log_;
};

ngx_log_t tls_log::lowering_;

void tls_log::write(ngx_log_t *log, ngx_uint_t level, u_char *line,
                    std::size_t size)
{
    write_log(std::max<ngx_uint_t>(level, NGX_LOG_INFO),
              static_cast<ngx_log_t *>(log->wdata), "%V",
              unquoted{message_in({line, size})});
}

// nginx takes the text as char *, but does not change it.
void log_failure(ngx_connection_t *c, const char *what) noexcept
{
    ngx_connection_error(c, ngx_socket_errno, const_cast<char *>(what));
}

// TLS must not be used after a failure: OpenSSL rejects a retry that differs,
// and each attempt is logged.
ssize_t mark_broken(ngx_connection_t *c) noexcept
{
    c->write->error = 1;
    return NGX_ERROR;
}

ngx_int_t set_no_delay(ngx_http_request_t *r) noexcept
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_get_module_loc_conf(r, ngx_http_core_module));

    return clcf->tcp_nodelay ? ngx_tcp_nodelay(r->connection) : NGX_OK;
}

} // namespace

ngx_int_t configure(ngx_http_request_t *r) noexcept
{
    ngx_connection_t *c = r->connection;

    // Sending the header may have set TCP_CORK
    if (c->tcp_nopush == NGX_TCP_NOPUSH_SET) {
        if (ngx_tcp_push(c->fd) == -1) {
            log_failure(c, ngx_tcp_push_n " failed");
            return NGX_ERROR;
        }
        c->tcp_nopush = NGX_TCP_NOPUSH_UNSET;
    }

#if (NGX_SSL)
    if (c->ssl != nullptr) {
        // The rest of a blocked write moves to the send queue, while OpenSSL by
        // default requires the same address again
        SSL_set_mode(c->ssl->connection,
                     SSL_MODE_ENABLE_PARTIAL_WRITE |
                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        limit_handshake_messages(c->ssl->connection);
        limit_reads(c->ssl->connection);
    }
#endif

    return set_no_delay(r);
}

std::span<const std::byte> tls_buffered(const ngx_connection_t *c) noexcept
{
#if (NGX_SSL)
    if (c->ssl != nullptr && (c->buffered & NGX_SSL_BUFFERED) != 0) {
        return bytes_between(c->ssl->buf->pos, c->ssl->buf->last);
    }
#endif

    (void)c;
    return {};
}

void drop_tls_buffered(ngx_connection_t *c) noexcept
{
#if (NGX_SSL)
    if (c->ssl != nullptr) {
        c->buffered &= ~static_cast<unsigned>(NGX_SSL_BUFFERED);
        ngx_ssl_free_buffer(c);
    }
#endif

    (void)c;
}

ssize_t receive(ngx_connection_t *c, std::span<std::byte> buffer,
                turn &current) noexcept
{
#if (NGX_SSL)
    if (c->ssl != nullptr) {
        const tls_log log{c};

        return receive_records(c, buffer, current);
    }
#else
    (void)current;
#endif

    return c->recv(c, reinterpret_cast<u_char *>(buffer.data()), buffer.size());
}

ssize_t send(ngx_connection_t *c, std::span<const std::byte> bytes) noexcept
{
    const tls_log log{c};
    std::size_t sent = 0;

    if (c->write->error) {
        return NGX_ERROR;
    }

    while (sent != bytes.size() && c->write->ready) {
        auto *from = reinterpret_cast<u_char *>(
            const_cast<std::byte *>(bytes.data() + sent));
        const ssize_t n = c->send(c, from, bytes.size() - sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n < 0) {
            return mark_broken(c);
        }

        sent += static_cast<std::size_t>(n);
    }

    return static_cast<ssize_t>(sent);
}

ssize_t send(ngx_connection_t *c,
             std::span<const std::span<const std::byte>> pieces) noexcept
{
    if (uses_tls(c)) {
        return send_records(c, pieces);
    }

    if (c->write->error) {
        return NGX_ERROR;
    }

    std::array<ngx_buf_t, max_pieces> bufs;
    std::array<ngx_chain_t, max_pieces> links;
    ngx_chain_t *chain = nullptr;

    for (std::size_t i = pieces.size(); i-- != 0;) {
        bufs[i] = {};
        bufs[i].pos = reinterpret_cast<u_char *>(
            const_cast<std::byte *>(pieces[i].data()));
        bufs[i].last = bufs[i].pos + pieces[i].size();
        bufs[i].memory = 1;
        links[i] = {&bufs[i], chain};
        chain = &links[i];
    }

    const off_t before = c->sent;

    if (c->send_chain(c, chain, 0) == NGX_CHAIN_ERROR) {
        return mark_broken(c);
    }

    return static_cast<ssize_t>(c->sent - before);
}

bool supports_writev(const ngx_connection_t *c) noexcept
{
    return !uses_tls(c);
}

std::size_t max_partial_record(const ngx_connection_t *c) noexcept
{
    return uses_tls(c) ? max_record : 0;
}

ngx_int_t half_close(ngx_connection_t *c,
                     ngx_connection_handler_pt on_done) noexcept
{
    const tls_log log{c};

    if (c->write->error) {
        return NGX_ERROR;
    }

#if (NGX_SSL)
    if (c->ssl != nullptr) {
        c->ssl->shutdown_without_free = 1;

        const ngx_int_t rc = ngx_ssl_shutdown(c);

        if (rc == NGX_AGAIN) {
            c->ssl->handler = on_done;
            return NGX_AGAIN;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }
#else
    (void)on_done;
#endif

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        log_failure(c, ngx_shutdown_socket_n " failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}

} // namespace websocket::nginx::transport
