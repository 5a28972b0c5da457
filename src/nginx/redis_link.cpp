// hiredis in nginx's event loop.
//
// The events are level-triggered, with epoll too: hiredis reads 16 KB for each
// and does not say whether that was all, so that behind an edge there would
// have to be a read that finds nothing. Writing needs no event as a rule: what
// was asked in one turn is written at its end, and only what the socket does
// not take waits for one.
#include "nginx/redis_link.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <fcntl.h>

namespace websocket::nginx {

namespace {

using redis_library::calls;

constexpr std::string_view unasked = "it says what it was not asked for";

// A subscription's confirmation, by its first element.
bool is_confirmation(const redisReply &reply) noexcept
{
    return reply.elements > 0 && reply.element[0]->str != nullptr &&
           std::strcmp(reply.element[0]->str, "subscribe") == 0;
}

} // namespace

redis_link::redis_link(owner &told) noexcept : owner_{&told}
{
    flush_.handler = on_flush;
    flush_.data = this;
    flush_.log = ngx_cycle->log;
    ended_.handler = on_end;
    ended_.data = this;
    ended_.log = ngx_cycle->log;
}

redis_link *redis_link::to_address(owner &told, const std::string &address,
                                   std::uint16_t port, std::string &why)
{
    return begin(told, calls().connect(address.c_str(), port), why);
}

redis_link *redis_link::to_socket(owner &told, const std::string &path,
                                  std::string &why)
{
    return begin(told, calls().connect_unix(path.c_str()), why);
}

redis_link *redis_link::begin(owner &told, redisAsyncContext *context,
                              std::string &why)
{
    if (context == nullptr) {
        why = "no memory";
        return nullptr;
    }

    if (context->err != 0) {
        why = context->errstr;
        calls().free(context);
        return nullptr;
    }

    auto *made = new (std::nothrow) redis_link(told);

    if (made == nullptr || !made->attach(*context)) {
        why = "the worker has no connection left";
        calls().free(context);
        delete made;
        return nullptr;
    }

    return made;
}

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

bool redis_link::send(std::span<const std::string_view> words,
                      redisCallbackFn *called, const listener *listening)
{
    words_.clear();
    sizes_.clear();

    for (const std::string_view word : words) {
        words_.push_back(word.data());
        sizes_.push_back(word.size());
    }

    return calls().command(context_, called, const_cast<listener *>(listening),
                           static_cast<int>(words.size()), words_.data(),
                           sizes_.data()) == REDIS_OK;
}

void redis_link::expect_answer() noexcept
{
    if (unanswered_++ == 0) {
        heard_ = ngx_current_msec;
    }
}

bool redis_link::command(std::span<const std::string_view> words,
                         redis_answer answer, void *data) noexcept
try {
    if (!alive()) {
        return false;
    }

    answers_.push_back({answer, data});

    if (!send(words, replied, nullptr)) {
        answers_.pop_back();
        return false;
    }

    expect_answer();
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

const redis_link::listener &redis_link::remember(redis_answer answer,
                                                 void *data)
{
    const listener wanted{answer, data};
    const auto found = std::find(listeners_.begin(), listeners_.end(), wanted);

    return found == listeners_.end() ? listeners_.emplace_back(wanted) : *found;
}

// One command for each channel: hiredis 0.14 counts wrong where one subscribes
// to several and knows some of them already.
bool redis_link::subscribe(std::span<const std::string_view> channels,
                           redis_answer answer, void *data) noexcept
try {
    if (!alive()) {
        return false;
    }

    const listener &listening = remember(answer, data);

    for (const std::string_view &channel : channels) {
        const std::string_view words[] = {"SUBSCRIBE", channel};

        if (!send(words, published, &listening)) {
            end("no memory");
            return &channel != channels.data();
        }

        expect_answer();
    }

    return true;

} catch (const std::bad_alloc &) {
    end("no memory");
    return false;
}

bool redis_link::unsubscribe(
    std::span<const std::string_view> channels) noexcept
try {
    for (const std::string_view channel : channels) {
        const std::string_view words[] = {"UNSUBSCRIBE", channel};

        if (!alive() || !send(words, nullptr, nullptr)) {
            return false;
        }
    }

    return alive();

} catch (const std::bad_alloc &) {
    return false;
}

void redis_link::end(std::string_view why) noexcept
{
    if (!alive()) {
        return;
    }

    try {
        why_ = why;
    } catch (const std::bad_alloc &) {
        why_.clear();
    }

    ending_ = true;
    calls().free(context_); // inside of an answer, when that has returned
}

void redis_link::leave(bool nobody_left) noexcept
{
    owner_ = nullptr;
    nobody_left_ = nobody_left;
    end({});
}

std::size_t redis_link::unsent() const noexcept
{
    return context_ == nullptr ? 0 : redis_library::unsent(*context_);
}

void redis_link::heard(const redisReply *reply, bool answered) noexcept
{
    heard_ = ngx_current_msec;

    if (reply == nullptr) {
        ending_ = true;

    } else if (answered && unanswered_ != 0) {
        unanswered_--;
    }
}

// hiredis takes it for a fault of its own that nobody waits for an answer, and
// aborts the process; with an error it ends the connection.
bool redis_link::speaks_unasked() const noexcept
{
    char first;

    return unanswered_ == 0 && listeners_.empty() &&
           recv(connection_->fd, &first, 1, MSG_PEEK) == 1 && first != '-';
}

// The answer comes last: it may end the link, and whoever owns it.
void redis_link::replied(redisAsyncContext *context, void *reply,
                         void *) noexcept
{
    auto &self = *static_cast<redis_link *>(context->data);
    const auto *came = static_cast<const redisReply *>(reply);
    const listener next = self.answers_.front();

    self.answers_.pop_front();
    self.heard(came, true);

    if (self.answers_.empty() && self.listeners_.empty() && came != nullptr &&
        redis_library::has_more(*context)) {
        self.end(unasked);
    }

    if (next.answer != nullptr && !self.nobody_left_) {
        next.answer(next.data, came);
    }
}

void redis_link::published(redisAsyncContext *context, void *reply,
                           void *listening) noexcept
{
    auto &self = *static_cast<redis_link *>(context->data);
    const auto *came = static_cast<const redisReply *>(reply);
    const auto &own = *static_cast<const listener *>(listening);

    self.heard(came, came != nullptr && is_confirmation(*came));

    if (own.answer != nullptr && !self.nobody_left_) {
        own.answer(own.data, came);
    }
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

void redis_link::on_end(ngx_event_t *event) noexcept
{
    auto *self = static_cast<redis_link *>(event->data);
    owner *told = self->owner_;
    const std::string why = std::move(self->why_);

    delete self;

    if (told != nullptr) {
        told->link_ended(why.empty() ? "it ended" : std::string_view{why});
    }
}

} // namespace websocket::nginx
