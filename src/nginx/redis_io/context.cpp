// Sends commands over a hiredis context, and dispatches replies.
#include "nginx/redis_io/context.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

using hiredis::functions;

// Whether the reply confirms a subscription: its first element is "subscribe".
bool is_confirmation(const redisReply &reply) noexcept
{
    return reply.elements > 0 && reply.element[0]->str != nullptr &&
           std::strcmp(reply.element[0]->str, "subscribe") == 0;
}

} // namespace

redis_context::redis_context(owner &holder) noexcept : owner_{&holder}
{
    flush_event_.handler = on_flush;
    flush_event_.data = this;
    flush_event_.log = ngx_cycle->log;
    ended_event_.handler = on_end;
    ended_event_.data = this;
    ended_event_.log = ngx_cycle->log;
}

redis_context *redis_context::connect_tcp(owner &holder,
                                          const std::string &address,
                                          std::uint16_t port,
                                          std::string &reason)
{
    return create(holder, functions().connect(address.c_str(), port), reason);
}

redis_context *redis_context::connect_unix(owner &holder,
                                           const std::string &path,
                                           std::string &reason)
{
    return create(holder, functions().connect_unix(path.c_str()), reason);
}

redis_context *redis_context::create(owner &holder, redisAsyncContext *context,
                                     std::string &reason)
{
    if (context == nullptr) {
        reason = "no memory";
        return nullptr;
    }

    if (context->err != 0) {
        reason = context->errstr;
        functions().free(context);
        return nullptr;
    }

    auto *created = new (std::nothrow) redis_context(holder);

    if (created == nullptr || !created->attach(*context)) {
        reason = "no free connection; increase worker_connections";
        functions().free(context);
        delete created;
        return nullptr;
    }

    return created;
}

bool redis_context::send(std::span<const std::string_view> args,
                         redisCallbackFn *function, const subscriber *to)
{
    args_.clear();
    arg_sizes_.clear();

    for (const std::string_view arg : args) {
        args_.push_back(arg.data());
        arg_sizes_.push_back(arg.size());
    }

    return functions().command(context_, function, const_cast<subscriber *>(to),
                               static_cast<int>(args.size()), args_.data(),
                               arg_sizes_.data()) == REDIS_OK;
}

void redis_context::count_unanswered() noexcept
{
    if (unanswered_++ == 0) {
        received_at_ = ngx_current_msec;
    }
}

bool redis_context::command(std::span<const std::string_view> args,
                            reply_callback callback, void *data) noexcept
try {
    if (!alive()) {
        return false;
    }

    pending_.push_back({callback, data});

    if (!send(args, on_reply, nullptr)) {
        pending_.pop_back();
        return false;
    }

    count_unanswered();
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

const redis_context::subscriber &
redis_context::find_or_add_subscriber(reply_callback callback, void *data)
{
    const subscriber wanted{callback, data};
    const auto found =
        std::find(subscribers_.begin(), subscribers_.end(), wanted);

    return found == subscribers_.end() ? subscribers_.emplace_back(wanted)
                                       : *found;
}

// One command for each channel: hiredis 0.14 miscounts replies if one command
// subscribes to several channels and some are known.
bool redis_context::subscribe(std::span<const std::string_view> channels,
                              reply_callback callback, void *data) noexcept
try {
    if (!alive()) {
        return false;
    }

    const subscriber &to = find_or_add_subscriber(callback, data);

    for (const std::string_view &channel : channels) {
        const std::string_view args[] = {"SUBSCRIBE", channel};

        if (!send(args, on_subscription_reply, &to)) {
            end("no memory");
            return &channel != channels.data();
        }

        count_unanswered();
    }

    return true;

} catch (const std::bad_alloc &) {
    end("no memory");
    return false;
}

bool redis_context::unsubscribe(
    std::span<const std::string_view> channels) noexcept
try {
    for (const std::string_view channel : channels) {
        const std::string_view args[] = {"UNSUBSCRIBE", channel};

        if (!alive() || !send(args, nullptr, nullptr)) {
            return false;
        }
    }

    return alive();

} catch (const std::bad_alloc &) {
    return false;
}

void redis_context::end(std::string_view reason) noexcept
{
    if (!alive()) {
        return;
    }

    try {
        reason_ = reason;
    } catch (const std::bad_alloc &) {
        reason_.clear();
    }

    ending_ = true;
    functions().free(context_); // in a callback: deferred until it returns
}

void redis_context::abandon(bool silently) noexcept
{
    owner_ = nullptr;
    silenced_ = silently;
    end({});
}

std::size_t redis_context::unsent() const noexcept
{
    return context_ == nullptr ? 0 : hiredis::unsent(*context_);
}

void redis_context::on_received(const redisReply *reply, bool answered) noexcept
{
    received_at_ = ngx_current_msec;

    if (reply == nullptr) {
        ending_ = true;

    } else if (answered && unanswered_ != 0) {
        unanswered_--;
    }
}

// The callback comes last: it may end the connection and destroy its owner.
void redis_context::on_reply(redisAsyncContext *context, void *reply,
                             void *) noexcept
{
    auto &self = *static_cast<redis_context *>(context->data);
    const auto *received = static_cast<const redisReply *>(reply);
    const subscriber next = self.pending_.front();

    self.pending_.pop_front();
    self.on_received(received, true);

    if (self.pending_.empty() && self.subscribers_.empty() &&
        received != nullptr && hiredis::has_partial_reply(*context)) {
        self.end(unsolicited_data);
    }

    if (next.callback != nullptr && !self.silenced_) {
        next.callback(next.data, received);
    }
}

void redis_context::on_subscription_reply(redisAsyncContext *context,
                                          void *reply, void *data) noexcept
{
    auto &self = *static_cast<redis_context *>(context->data);
    const auto *received = static_cast<const redisReply *>(reply);
    const auto &to = *static_cast<const subscriber *>(data);

    self.on_received(received,
                     received != nullptr && is_confirmation(*received));

    if (to.callback != nullptr && !self.silenced_) {
        to.callback(to.data, received);
    }
}

void redis_context::on_end(ngx_event_t *event) noexcept
{
    auto *self = static_cast<redis_context *>(event->data);
    owner *holder = self->owner_;
    const std::string reason = std::move(self->reason_);

    delete self;

    if (holder != nullptr) {
        holder->context_ended(reason.empty() ? "connection closed"
                                             : std::string_view{reason});
    }
}

} // namespace websocket::nginx
