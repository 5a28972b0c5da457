// Connections of events. All of a worker share one end of a pair of sockets, on
// which nothing ever arrives, so that nginx may ask the socket for its state.
#include "nginx/events/event_connection.hpp"

#include "nginx/core/log_line.hpp"

#include <array>

#include <sys/socket.h>

namespace websocket::nginx::backend {

namespace {

constexpr std::size_t pool_size = 512;

// One for the request, and one for the backend.
constexpr ngx_uint_t min_connections = 2;

// nginx closes idle connections when it needs one.
bool has_connections() noexcept
{
    return ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n >=
           min_connections;
}

// Open as long as the worker.
ngx_socket_t quiet_socket() noexcept
{
    static const ngx_socket_t socket = [] {
        std::array<int, 2> pair{-1, -1};

        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0, pair.data()) == 0
                   ? pair[0]
                   : -1;
    }();

    return socket;
}

ssize_t receive_nothing(ngx_connection_t *, u_char *, size_t)
{
    return NGX_AGAIN;
}

ssize_t receive_no_chain(ngx_connection_t *, ngx_chain_t *, off_t)
{
    return NGX_AGAIN;
}

ssize_t drop(ngx_connection_t *, u_char *, size_t size)
{
    return static_cast<ssize_t>(size);
}

// Takes what a subrequest writes.
ngx_chain_t *drop_chain(ngx_connection_t *c, ngx_chain_t *in, off_t)
{
    for (ngx_chain_t *at = in; at != nullptr; at = at->next) {
        c->sent += ngx_buf_size(at->buf);
        at->buf->pos = at->buf->last;
        at->buf->file_pos = at->buf->file_last;
    }

    return nullptr;
}

// nginx neither watches such a socket nor waits until it is ready: with
// edge-triggered events the state "active" prevents that, otherwise "ready".
void never_watch(ngx_event_t &event) noexcept
{
    if ((ngx_event_flags & NGX_USE_CLEAR_EVENT) != 0) {
        event.active = 1;
    } else {
        event.ready = 1;
    }
}

bool add_log(ngx_connection_t *c, ngx_log_handler_pt handler,
             ngx_http_log_ctx_t &context) noexcept
{
    auto *log =
        static_cast<ngx_log_t *>(ngx_palloc(c->pool, sizeof(ngx_log_t)));

    if (log == nullptr) {
        return false;
    }

    *log = *ngx_cycle->log;
    log->connection = c->number;
    log->handler = handler;
    log->data = &context;
    log->action = nullptr;

    c->log = c->pool->log = c->read->log = c->write->log = log;
    context.connection = c;
    return true;
}

void prepare(ngx_connection_t *c, ngx_event_handler_pt on_read,
             ngx_event_handler_pt on_write) noexcept
{
    c->recv = receive_nothing;
    c->recv_chain = receive_no_chain;
    c->send = drop;
    c->send_chain = drop_chain;
    c->log_error = NGX_ERROR_INFO;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->start_time = ngx_current_msec;

    never_watch(*c->read);
    never_watch(*c->write);
    c->read->eof = 1; // so that nginx does not wait for more input at the end
    c->write->ready = 1;
    c->read->handler = on_read;
    c->write->handler = on_write;
}

} // namespace

ngx_connection_t *open_event_connection(ngx_log_handler_pt log_handler,
                                        ngx_http_log_ctx_t &log_context,
                                        ngx_event_handler_pt on_read,
                                        ngx_event_handler_pt on_write) noexcept
{
    const ngx_socket_t fd = quiet_socket();

    if (fd == -1 || !has_connections()) {
        return nullptr;
    }

    ngx_log_t *log = ngx_cycle->log;
    ngx_connection_t *c = ngx_get_connection(fd, log);

    if (c == nullptr) {
        return nullptr;
    }

    if (ngx_cycle->files != nullptr) {
        ngx_cycle->files[fd] = nullptr;
    }

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->pool = ngx_create_pool(pool_size, log);

    c->shared = 1; // nginx does not close the socket

#if (NGX_STAT_STUB)
    (void)ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    if (c->pool == nullptr || !add_log(c, log_handler, log_context)) {
        close_event_connection(c);
        return nullptr;
    }

    prepare(c, on_read, on_write);
    return c;
}

void close_event_connection(ngx_connection_t *c) noexcept
{
    ngx_pool_t *pool = c->pool;

#if (NGX_STAT_STUB)
    (void)ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    ngx_close_connection(c);

    if (pool != nullptr) {
        ngx_destroy_pool(pool);
    }
}

bool is_event_connection(const ngx_connection_t *c) noexcept
{
    return c->recv == receive_nothing;
}

} // namespace websocket::nginx::backend
