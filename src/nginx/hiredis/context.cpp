// A connection to Redis: commands and their answers, channels and what comes
// through them, and its end.
#include "nginx/hiredis/context.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

using redis_library::calls;

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
