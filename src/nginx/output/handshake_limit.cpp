// OpenSSL processes handshake messages within SSL_read(), in a loop while there
// are any. Without a limit, a flood of them would keep a worker there forever.
#include "nginx/output/handshake_limit.hpp"

#include "nginx/core/log_line.hpp"

#include <bit>
#include <cstdint>

namespace websocket::nginx {

#if (NGX_SSL)

namespace {

// TLS libraries update their keys every few million records. Each update takes
// about 10 us.
constexpr std::uintptr_t max_burst = 32;
constexpr std::uintptr_t interval = 1000; // one more per interval, in ms

// The callback's argument is not a pointer, but the time up to which the
// messages so far use the allowance. So no memory has to outlive the
// connection.
void on_message(int sent, int, int kind, const void *, std::size_t, SSL *tls,
                void *allowed_for)
{
    if (sent != 0 || kind != SSL3_RT_HANDSHAKE) {
        return;
    }

    const std::uintptr_t now = ngx_current_msec;
    const auto allowed = std::bit_cast<std::uintptr_t>(allowed_for);
    const std::uintptr_t next = (allowed > now ? allowed : now) + interval;

    SSL_set_msg_callback_arg(tls, std::bit_cast<void *>(next));

    if (next - now <= max_burst * interval ||
        (SSL_get_shutdown(tls) & SSL_RECEIVED_SHUTDOWN) != 0) {
        return;
    }

    // OpenSSL reports the end of the peer's side instead of the next record
    SSL_set_shutdown(tls, SSL_get_shutdown(tls) | SSL_RECEIVED_SHUTDOWN);

    const auto *c =
        static_cast<const ngx_connection_t *>(ngx_ssl_get_connection(tls));

    write_log(NGX_LOG_INFO, c->log,
              "websocket: client sends too many TLS handshake messages: its "
              "input is ignored from now on");
}

} // namespace

void limit_handshake_messages(SSL *tls) noexcept
{
    SSL_set_msg_callback(tls, on_message);
}

#endif

} // namespace websocket::nginx
