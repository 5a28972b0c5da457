// Runs a hiredis context in nginx's event loop.
//
// Events are level-triggered, also with epoll: hiredis reads 16 KB per event
// and does not report whether that was all, so an edge would cost an additional
// read. Commands are written at the end of the event loop's turn. Only data
// that the socket does not accept waits for a write event.
#include "nginx/redis_io/context.hpp"

#include <new>
#include <utility>

#include <fcntl.h>

namespace websocket::nginx {

namespace {

using hiredis::functions;

} // namespace

bool redis_context::attach(redisAsyncContext &context) noexcept
{
    ngx_connection_t *c = ngx_get_connection(context.c.fd, ngx_cycle->log);

    if (c == nullptr) {
        return false;
    }

    // Programs that a plug-in starts must not inherit it
    (void)fcntl(c->fd, F_SETFD, FD_CLOEXEC);

    c->data = this;
    c->read->handler = on_read;
    c->read->log = c->log;
    c->write->handler = on_write;
    c->write->log = c->log;

    // Like nginx's channel, it must not be closed by a graceful shutdown
    c->read->channel = 1;
    c->write->channel = 1;

    context_ = &context;
    connection_ = c;

    // The socket becomes writable when it is connected
    if (ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        release_connection();
        return false;
    }

    context.data = this;
    context.ev.data = this;
    context.ev.addRead = add_read;
    context.ev.addWrite = add_write;
    context.ev.delWrite = del_write;
    context.ev.cleanup = on_context_freed;
    return true;
}

void redis_context::add_event(ngx_event_t &event) noexcept
{
    if (!event.active) {
        (void)ngx_add_event(&event,
                            event.write ? NGX_WRITE_EVENT : NGX_READ_EVENT,
                            NGX_LEVEL_EVENT);
    }
}

void redis_context::add_read(void *data) noexcept
{
    auto &self = *static_cast<redis_context *>(data);

    self.add_event(*self.connection_->read);
}

// Called while writing, hiredis has data that the socket did not accept, or is
// not connected: wait for the socket. Otherwise more commands may follow in
// this turn.
void redis_context::add_write(void *data) noexcept
{
    auto &self = *static_cast<redis_context *>(data);
    ngx_event_t &event = *self.connection_->write;

    if (self.writing_) {
        self.add_event(event);

    } else if (!event.active) {
        ngx_post_event(&self.flush_event_, &ngx_posted_events);
    }
}

void redis_context::del_write(void *data) noexcept
{
    auto &self = *static_cast<redis_context *>(data);

    if (self.connection_->write->active) {
        (void)ngx_del_event(self.connection_->write, NGX_WRITE_EVENT, 0);
    }
}

// hiredis closes the socket and frees the context. Depending on its version it
// does so before or after the callbacks of pending commands, so the owner is
// notified from the event loop.
void redis_context::on_context_freed(void *data) noexcept
{
    auto &self = *static_cast<redis_context *>(data);

    if (self.reason_.empty()) {
        try {
            self.reason_ = self.context_->err == 0 ? "" : self.context_->errstr;
        } catch (const std::bad_alloc &) {
            self.reason_.clear();
        }
    }

    self.ending_ = true;
    self.context_ = nullptr;
    self.release_connection();
    ngx_post_event(&self.ended_event_, &ngx_posted_events);
}

// Like ngx_close_connection, without closing the socket.
void redis_context::release_connection() noexcept
{
    ngx_connection_t *c = std::exchange(connection_, nullptr);

    for (ngx_event_t *event : {c->read, c->write}) {
        if (event->active) {
            (void)ngx_del_event(
                event, event->write ? NGX_WRITE_EVENT : NGX_READ_EVENT, 0);
        }

        if (event->posted) {
            ngx_delete_posted_event(event);
        }

        event->closed = 1;
    }

    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }

    ngx_free_connection(c);
    c->fd = static_cast<ngx_socket_t>(-1);
}

void redis_context::write() noexcept
{
    writing_ = true;
    functions().handle_write(context_);
    writing_ = false;
}

// If no callback is pending, hiredis aborts the process on any reply but an
// error, which ends the connection.
bool redis_context::has_unsolicited_data() const noexcept
{
    char first;

    return unanswered_ == 0 && subscribers_.empty() &&
           recv(connection_->fd, &first, 1, MSG_PEEK) == 1 && first != '-';
}

void redis_context::on_read(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    auto &self = *static_cast<redis_context *>(c->data);

    if (self.has_unsolicited_data()) {
        self.end(unsolicited_data);
    } else {
        functions().handle_read(self.context_);
    }
}

void redis_context::on_write(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    static_cast<redis_context *>(c->data)->write();
}

void redis_context::on_flush(ngx_event_t *event) noexcept
{
    static_cast<redis_context *>(event->data)->write();
}

} // namespace websocket::nginx
