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

using hiredis::functions;

} // namespace

bool redis_context::attach(redisAsyncContext &context) noexcept
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

// What could be written has been, or it is not connected yet: then the socket
// tells when. Else there may be more to come in this turn.
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

// hiredis closes the socket itself, and frees the context. Which it may do
// before or after it calls the answers, by its version: the owner is told when
// it has returned.
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

// As ngx_close_connection does, without closing the socket.
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

// hiredis takes it for a fault of its own that nobody waits for an answer, and
// aborts the process; with an error it ends the connection.
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
