// Connects, reads and writes as nginx does with its own connections.
#include "nginx/redis_io/socket.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/turn.hpp"
#include "nginx/redis_io/tls.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include <fcntl.h>

namespace websocket::nginx {

namespace {

// Bytes that are read at once, and in one turn of the event loop, if it does
// not take longer than the turn of a client may. So large replies do not delay
// the clients, and many clients do not delay messages of other hosts.
constexpr std::size_t receive_size = 16 * 1024;
constexpr std::size_t max_received = 1024 * 1024;

// Messages of one turn must not push each other out of the memory of a room
// before they are delivered.
std::size_t reads_of_turn() noexcept
{
    return std::clamp(main_conf_of(*ngx_cycle).room_memory / 4, receive_size,
                      max_received) /
           receive_size;
}

// A larger output buffer is freed when it is empty.
constexpr std::size_t max_kept_output = 64 * 1024;

void prepare_event(ngx_event_t &event, void *data,
                   ngx_event_handler_pt handler) noexcept
{
    event.data = data;
    event.handler = handler;
    event.log = ngx_cycle->log;
}

} // namespace

redis_socket::redis_socket(owner &holder, const redis_settings &settings,
                           const std::string &server_name)
    : owner_{&holder}, settings_{settings},
      server_name_{server_name}, reader_{hiredis::functions().create_reader(),
                                         hiredis::functions().free_reader}
{
    prepare_event(flush_event_, this, on_flush);
    prepare_event(ended_event_, this, on_ended);
}

redis_socket *redis_socket::connect(owner &holder,
                                    const redis_settings &settings,
                                    const redis_peer &peer,
                                    const std::string &server_name,
                                    std::string &reason)
{
    std::unique_ptr<redis_socket> created{
        new redis_socket(holder, settings, server_name)};

    if (created->reader_ == nullptr) {
        reason = "no memory";
        return nullptr;
    }

    if (!created->open(peer)) {
        reason = created->log_.error();
        return nullptr;
    }

    return created.release();
}

bool redis_socket::open(const redis_peer &peer) noexcept
{
    ngx_peer_connection_t request{};
    ngx_str_t name = borrowed(peer.text);
    ngx_sockaddr_t address = peer.address;

    request.sockaddr = &address.sockaddr;
    request.socklen = peer.size;
    request.name = &name;
    request.get = ngx_event_get_peer;
    request.log = log_.get();
    request.log_error = NGX_ERROR_ERR;
    request.so_keepalive = 1;

    const ngx_int_t result = ngx_event_connect_peer(&request);

    if (result != NGX_OK && result != NGX_AGAIN) {
        return false;
    }

    ngx_connection_t *c = request.connection;

    // Programs that a plug-in starts must not inherit it
    (void)fcntl(c->fd, F_SETFD, FD_CLOEXEC);

    if (c->tcp_nodelay == NGX_TCP_NODELAY_UNSET) {
        (void)ngx_tcp_nodelay(c);
    }

    c->data = this;
    c->read->handler = on_read;
    c->write->handler = on_write;

    // Like nginx's channel, it must not be closed by a graceful shutdown
    c->read->channel = 1;
    c->write->channel = 1;
    connection_ = c;

    if (result == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return true;
}

// Whether the connection is established. It ends if that failed.
bool redis_socket::check_connected() noexcept
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(connection_->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = ngx_socket_errno;
    }

    if (error != 0) {
        (void)ngx_connection_error(connection_, error,
                                   const_cast<char *>("connect() failed"));
        end(log_.error());
        return false;
    }

    return true;
}

void redis_socket::on_connected() noexcept
{
    if (settings_.tls == nullptr) {
        on_open();
    } else if (!start_handshake(connection_, settings_, server_name_,
                                on_handshake)) {
        end("no memory");
    }
}

void redis_socket::on_handshake(ngx_connection_t *c) noexcept
try {
    auto &self = *static_cast<redis_socket *>(c->data);
    const auto fault = handshake_fault(c, self.settings_, self.server_name_,
                                       self.log_.error());

    if (!fault.empty()) {
        self.end(fault);
        return;
    }

    // The handshake has read what followed it
    ngx_post_event(c->read, &ngx_posted_events);
    self.on_open();

} catch (const std::bad_alloc &) {
    static_cast<redis_socket *>(c->data)->end("no memory");
}

void redis_socket::on_open() noexcept
{
    connection_->read->handler = on_read;
    connection_->write->handler = on_write;
    open_ = true;
    flush();
}

void redis_socket::flush() noexcept
{
    if (!open_ || write_failed_ || !alive()) {
        return;
    }

    while (unsent() != 0 && connection_->write->ready) {
        const ssize_t sent = connection_->send(
            connection_, reinterpret_cast<u_char *>(output_.data()) + sent_,
            unsent());

        if (sent == NGX_ERROR) {
            read_reason();
            return;
        }

        sent_ += sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }

    if (sent_ >= max_kept_output || unsent() == 0) {
        output_.erase(0, sent_);
        sent_ = 0;
    }

    if (output_.empty() && output_.capacity() > max_kept_output) {
        output_ = {};
    }

    if (ngx_handle_write_event(connection_->write, 0) != NGX_OK) {
        end(log_.error());
    }
}

// The server may have sent why it closed the connection. So the connection ends
// when all has been read.
void redis_socket::read_reason() noexcept
{
    write_failed_ = true;
    connection_->read->available = -1; // unknown
    ngx_post_event(connection_->read, &ngx_posted_events);
}

void redis_socket::receive() noexcept
{
    ngx_event_t &event = *connection_->read;
    turn present;
    std::size_t reads = reads_of_turn();

    present.begin_with_clock();

    do {
        receive_once();
        present.spend(turn::unit + 1); // over() reads the clock
    } while (alive() && event.ready && !write_failed_ && --reads != 0 &&
             !present.over());

    if (!alive()) {
        return;
    }

    if (event.ready || write_failed_) {
        ngx_post_event(&event, &ngx_posted_next_events);

    } else if (ngx_handle_read_event(&event, 0) != NGX_OK) {
        end(log_.error());
    }
}

// The connection may have ended on return.
void redis_socket::receive_once() noexcept
{
    std::array<u_char, receive_size> buffer;
    const ssize_t received =
        connection_->recv(connection_, buffer.data(), buffer.size());

    if (received == 0) {
        end("Redis closed the connection");

    } else if (received > 0) {
        received_at_ = ngx_current_msec;
        parse({reinterpret_cast<const char *>(buffer.data()),
               static_cast<std::size_t>(received)});

    } else if (received == NGX_ERROR || write_failed_) {
        end(log_.error());
    }
}

void redis_socket::on_read(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    auto &self = *static_cast<redis_socket *>(c->data);

    if (self.open_) {
        self.receive();
    } else {
        on_write(c->write);
    }
}

void redis_socket::on_write(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    auto &self = *static_cast<redis_socket *>(c->data);

    if (self.open_) {
        self.flush();
    } else if (self.check_connected()) {
        self.on_connected();
    }
}

void redis_socket::on_flush(ngx_event_t *event) noexcept
{
    static_cast<redis_socket *>(event->data)->flush();
}

void redis_socket::close() noexcept
{
    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }

    ngx_connection_t *c = std::exchange(connection_, nullptr);
    ngx_pool_t *pool = c->pool; // of TLS

    end_tls(c);
    ngx_close_connection(c);

    if (pool != nullptr) {
        ngx_destroy_pool(pool);
    }

    ngx_post_event(&ended_event_, &ngx_posted_events);
}

void redis_socket::end(std::string_view reason) noexcept
{
    if (!alive()) {
        return;
    }

    try {
        reason_ = reason;
    } catch (const std::bad_alloc &) {
        reason_.clear();
    }

    close();
}

void redis_socket::abandon(bool silently) noexcept
{
    owner_ = nullptr;

    if (alive()) {
        close();
    }

    if (silently) {
        pending_.clear();
        subscriber_ = {};
    }

    fail_pending();
}

// A callback may destroy the owner, which clears what is left.
void redis_socket::fail_pending() noexcept
{
    while (!pending_.empty()) {
        const pending_reply next = pending_.front();

        pending_.pop_front();
        next.call(nullptr);
    }

    std::exchange(subscriber_, {}).call(nullptr);
}

void redis_socket::on_ended(ngx_event_t *event) noexcept
{
    auto *self = static_cast<redis_socket *>(event->data);

    self->fail_pending();

    owner *holder = self->owner_;
    const std::string reason = std::move(self->reason_);

    delete self;

    if (holder != nullptr) {
        holder->socket_ended(reason.empty() ? "connection closed"
                                            : std::string_view{reason});
    }
}

} // namespace websocket::nginx
