// hiredis in nginx's event loop.
//
// The events are level-triggered, with epoll too: hiredis reads 16 KB for each
// and does not say whether that was all, so that behind an edge there would
// have to be a read that finds nothing. Writing needs no event as a rule: what
// was asked in one turn is written at its end, and only what the socket does
// not take waits for one.
#include "nginx/hiredis/context.hpp"

#include <new>
#include <utility>

#include <fcntl.h>

namespace websocket::nginx {

namespace {

using redis_library::calls;

} // namespace

bool redis_link::attach(redisAsyncContext &context) noexcept
{
    ngx_connection_t *c = ngx_get_connection(context.c.fd, ngx_cycle->log);

    if (c == nullptr) {
        return false;
    }

    // Not for the programs that a plug-in may start
    (void)fcntl(c->fd, F_SETFD, FD_CLOEXEC);

    c->data = this;
    c->read->handler = on_read;
    c->read->log = c->log;
    c->write->handler = on_write;
    c->write->log = c->log;

    // As nginx's own channel: a worker that leaves does not close it
    c->read->channel = 1;
    c->write->channel = 1;

    context_ = &context;
    connection_ = c;

    // It can be written to when it is connected
    if (ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        forget_connection();
        return false;
    }

    context.data = this;
    context.ev.data = this;
    context.ev.addRead = wants_read;
    context.ev.addWrite = wants_write;
    context.ev.delWrite = wants_no_write;
    context.ev.cleanup = lets_go;
    return true;
}

void redis_link::watch(ngx_event_t &event) noexcept
{
    if (!event.active) {
        (void)ngx_add_event(&event,
                            event.write ? NGX_WRITE_EVENT : NGX_READ_EVENT,
                            NGX_LEVEL_EVENT);
    }
}

void redis_link::wants_read(void *data) noexcept
{
    auto &self = *static_cast<redis_link *>(data);

    self.watch(*self.connection_->read);
}

// What could be written has been, or it is not connected yet: then the socket
// tells when. Else there may be more to come in this turn.
void redis_link::wants_write(void *data) noexcept
{
    auto &self = *static_cast<redis_link *>(data);
    ngx_event_t &event = *self.connection_->write;

    if (self.writing_) {
        self.watch(event);

    } else if (!event.active) {
        ngx_post_event(&self.flush_, &ngx_posted_events);
    }
}

void redis_link::wants_no_write(void *data) noexcept
{
    auto &self = *static_cast<redis_link *>(data);

    if (self.connection_->write->active) {
        (void)ngx_del_event(self.connection_->write, NGX_WRITE_EVENT, 0);
    }
}

// hiredis closes the socket itself, and frees the context. Which it may do
// before or after it calls the answers, by its version: the owner is told when
// it has returned.
void redis_link::lets_go(void *data) noexcept
{
    auto &self = *static_cast<redis_link *>(data);

    if (self.why_.empty()) {
        try {
            self.why_ = self.context_->err == 0 ? "" : self.context_->errstr;
        } catch (const std::bad_alloc &) {
            self.why_.clear();
        }
    }

    self.ending_ = true;
    self.context_ = nullptr;
    self.forget_connection();
    ngx_post_event(&self.ended_, &ngx_posted_events);
}

// As ngx_close_connection does, without closing the socket.
void redis_link::forget_connection() noexcept
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

    if (flush_.posted) {
        ngx_delete_posted_event(&flush_);
    }

    ngx_free_connection(c);
    c->fd = static_cast<ngx_socket_t>(-1);
}

void redis_link::write() noexcept
{
    writing_ = true;
    calls().handle_write(context_);
    writing_ = false;
}

// hiredis takes it for a fault of its own that nobody waits for an answer, and
// aborts the process; with an error it ends the connection.
bool redis_link::speaks_unasked() const noexcept
{
    char first;

    return unanswered_ == 0 && listeners_.empty() &&
           recv(connection_->fd, &first, 1, MSG_PEEK) == 1 && first != '-';
}

void redis_link::on_read(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    auto &self = *static_cast<redis_link *>(c->data);

    if (self.speaks_unasked()) {
        self.end(unasked);
    } else {
        calls().handle_read(self.context_);
    }
}

void redis_link::on_write(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);

    static_cast<redis_link *>(c->data)->write();
}

void redis_link::on_flush(ngx_event_t *event) noexcept
{
    static_cast<redis_link *>(event->data)->write();
}

} // namespace websocket::nginx
