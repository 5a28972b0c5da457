// Resources and their timers: the class that handlers derive from. Included by
// websocket.hpp, whose rules apply.
#pragma once

#include "websocket_subscription.hpp"
#include "websocket_timer.hpp"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace websocket {

// Levels of nginx's error log.
enum class log_level {
    error = WEBSOCKET_LOG_ERROR,
    warn = WEBSOCKET_LOG_WARN,
    notice = WEBSOCKET_LOG_NOTICE,
    info = WEBSOCKET_LOG_INFO,
    debug = WEBSOCKET_LOG_DEBUG
};

// A resource, which clients connect to: one object per worker and key. Handlers
// derive a class with a default constructor, in which all functions work. An
// exception in it rejects the first client with 500. The object ends after its
// last client, or with the worker if the key has no variables. Its state is
// local to the worker.
//
// The server calls the virtual functions. Those that are not overridden cost
// nothing.
//
// Clients of the class Subscriber may be subscribed to it, with a State each:
// see websocket_subscription.hpp.
template <class Client = client, class State = no_state,
          class Subscriber = Client>
class resource : public subscribable<State, Subscriber> {
public:
    using client_type = Client;
    using resource_type = resource;

    // Throws std::logic_error unless the server constructs the object.
    resource()
        : resource(detail::take_pending(detail::pending_resource,
                                        "only the server constructs resources"))
    {}

    // The key, valid as long as the resource. Empty if the resource was
    // constructed for check_parameters().
    std::string_view name() const noexcept
    {
        return detail::view(detail::server->resource_name(handle_));
    }

    // The value of name=value in the directive `websocket`, or `fallback`: of
    // the first location with this handler and key text. Read per-client
    // parameters from client.parameter(), since clients may come from other
    // locations. Valid as long as the resource.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        const websocket_text_t value =
            detail::server->parameter(handle_, detail::text(name));

        return value.data == nullptr ? fallback : detail::view(value);
    }

    // The names of all parameters, in the order of the directive. A repeated
    // name appears each time; its value is the first. Throws std::bad_alloc.
    std::vector<std::string_view> parameter_names() const
    {
        std::vector<std::string_view> names;
        websocket_text_t next;

        while (next = detail::server->parameter_name(handle_, names.size()),
               next.data != nullptr) {
            names.push_back(detail::view(next));
        }

        return names;
    }

    // A range of Client & over this worker's clients: from client_connected on,
    // until before client_disconnected. A loop may send to and close any of
    // them; it skips clients that end. Do not keep the range after the
    // callback.
    detail::client_range<Client> clients() noexcept
    {
        return detail::client_range<Client>(clients_);
    }

    // The number of clients of the resource, over all workers and hosts.
    std::uint64_t client_count() const noexcept
    {
        return detail::server->client_count(handle_);
    }

    // Publishes a message to all clients of the resource, on all workers, in
    // one order. Text must be UTF-8. Returns `queued`, or, if no client will
    // get it, `invalid`, `dropped` (shared memory is full) or `unreachable`
    // (no Redis). A later loss on the way to other hosts is not reported.
    send_result broadcast(std::string_view text) noexcept
    {
        return static_cast<send_result>(detail::server->broadcast(
            handle_, WEBSOCKET_TEXT, text.data(), text.size()));
    }

    send_result broadcast_binary(std::span<const std::byte> data) noexcept
    {
        return static_cast<send_result>(detail::server->broadcast(
            handle_, WEBSOCKET_BINARY, data.data(), data.size()));
    }

    // As broadcast, with options. Also returns the id of the message.
    publish_result publish(std::string_view text,
                           const publish_options &options = {}) noexcept
    {
        return publish(opcode::text, std::as_bytes(std::span(text)), options);
    }

    publish_result publish(opcode kind, std::span<const std::byte> data,
                           const publish_options &options = {}) noexcept
    {
        const websocket_message_t message =
            detail::outgoing(kind, data, options);
        websocket_message_id_t id{};
        const int result = detail::server->publish(handle_, &message, &id);

        return {static_cast<send_result>(result), {id.epoch, id.sequence}};
    }

    // As publish(), and calls `on_result` exactly once: before it returns or,
    // with Redis, when Redis has assigned the id (`unreachable`: it has not).
    // A client may have ended by then: capture it as a client_ref. The resource
    // is retained until `on_result` returns. In the constructor and destructor
    // of the resource the call is immediate. An exception in `on_result` is
    // logged. Throws std::bad_alloc.
    void publish(opcode kind, std::span<const std::byte> data,
                 const publish_options &options,
                 std::function<void(const publish_result &)> on_result)
    {
        const websocket_message_t message =
            detail::outgoing(kind, data, options);

        auto *call = new detail::publish_call{handle_, std::move(on_result)};

        detail::server->publish_then(handle_, &message,
                                     detail::publish_call::done, call);
    }

    void publish(std::string_view text, const publish_options &options,
                 std::function<void(const publish_result &)> on_result)
    {
        publish(opcode::text, std::as_bytes(std::span(text)), options,
                std::move(on_result));
    }

    // As publish() with `on_result`, to the resource that a subscription of the
    // client with this key would be in. This resource is retained, too.
    void publish_to(Client &from, std::string_view key, opcode kind,
                    std::span<const std::byte> data,
                    const publish_options &options,
                    std::function<void(const publish_result &)> on_result)
    {
        const websocket_message_t message =
            detail::outgoing(kind, data, options);
        auto *call = new detail::publish_call{handle_, std::move(on_result)};

        detail::server->publish_to(detail::handle_of(from), detail::text(key),
                                   &message, detail::publish_call::done, call);
    }

    // Keeps the last `messages` messages, none older than `milliseconds` (0: of
    // any age), on all workers. Call it in the constructor, which also runs for
    // each location while nginx reads the configuration: the largest request of
    // locations with the same handler and key text counts. A later call sets
    // exactly these limits.
    void keep_history(std::uint64_t messages,
                      std::uint64_t milliseconds = 0) noexcept
    {
        detail::server->keep_history(handle_, messages, milliseconds);
    }

    // Calls bool each(const message &) for the kept messages after `after`,
    // oldest first, up to last_message(), until it returns false. An `after` of
    // another epoch stands for the start. Returns false if messages after
    // `after` are no longer kept. Needs a client of the resource on this
    // worker. Throws what `each` throws. After many bytes, sends inside `each`
    // return `backpressure`: continue in client_drained, so other clients get
    // turns.
    template <class Each>
    bool read_history(message_id after, Each each)
    {
        detail::history_call<Each> call{each, nullptr};
        const bool complete =
            detail::server->read_history(handle_, {after.epoch, after.sequence},
                                         detail::history_call<Each>::on_message,
                                         &call) != 0;

        if (call.thrown) {
            std::rethrow_exception(call.thrown);
        }

        return complete;
    }

    // The last message delivered on this worker; in message_published, the
    // current one. In client_connected, the client gets what follows it. Needs
    // a client of the resource on this worker.
    message_id last_message() const noexcept
    {
        const websocket_message_id_t id = detail::server->last_message(handle_);
        return {id.epoch, id.sequence};
    }

    // Calls back once after `milliseconds`, at least 1. Timers end with the
    // resource. None starts on a resource constructed for check_parameters(),
    // or without memory. An exception in the callback is logged. Throws
    // std::bad_alloc.
    timer after(std::uint64_t milliseconds, std::function<void()> callback)
    {
        return timer(timers_.start(milliseconds, false, std::move(callback)));
    }

    // As after(), periodically. An exception does not stop the timer.
    timer every(std::uint64_t milliseconds, std::function<void()> callback)
    {
        return timer(timers_.start(milliseconds, true, std::move(callback)));
    }

    // Calls `work` in a thread of nginx's pool "default", where it may block,
    // then `done` on the event loop. `work` must not use the resource, its
    // clients or this interface: capture data that both need, a client as a
    // client_ref. The resource is retained until `done` returns. Exceptions are
    // logged. `done` is not called if `work` or the resource's constructor
    // throws, or the worker exits before. Returns false, and calls neither, if
    // the job is rejected, as in the resource's destructor. Throws
    // std::bad_alloc.
    bool run_in_background(std::function<void()> work,
                           std::function<void()> done)
    {
        if (!lifetime_) {
            lifetime_.reset(new detail::lifetime_token);
        }

        return detail::background_job::run(
            std::make_unique<detail::background_job>(
                handle_, lifetime_, std::move(work), std::move(done)));
    }

    // Writes a line to nginx's error log, with the handler and the key.
    void log(log_level level, std::string_view text) const noexcept
    {
        detail::server->log(handle_, static_cast<int>(level),
                            detail::text(text));
    }

    // Checks the parameters of a location while nginx reads its configuration,
    // on a resource constructed for that, without clients. Returns "" or a
    // one-line error, such as an exception's what(): nginx -t fails with it.
    virtual std::string check_parameters()
    {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        return configured();
#pragma GCC diagnostic pop
    }

    // The former name of check_parameters(). Overrides still work.
    [[deprecated("use check_parameters()")]] virtual std::string configured()
    {
        return {};
    }

    // Checks a valid opening handshake. Returns 101 to accept it, or an HTTP
    // status of 400 to 599 to reject it. Exception: 500.
    virtual unsigned client_connecting(const request &)
    {
        return 101;
    }

    // Selects one of the subprotocols that the client offers, in its order of
    // preference (RFC 6455 4.1). Any other text means none. An override
    // replaces the directive websocket_subprotocols: return
    // request::preferred_subprotocol() to apply it. Exception: 500.
    virtual std::string_view
    select_subprotocol(const request &, std::span<const std::string_view>)
    {
        return {};
    }

    // The client is connected: messages can be sent. Exception: Close 1011.
    virtual void client_connected(Client &)
    {}

    // The connection has ended: exactly once after client_connected. The status
    // is the one received or sent first (RFC 6455 7.1.5); 1005: a Close without
    // a status, 1006: the connection ended without a Close.
    virtual void client_disconnected(Client &, std::uint16_t /* status */,
                                     std::string_view /* reason */)
    {}

    // A whole message, valid UTF-8. By default it is ignored. Exception: 1011.
    virtual void text_message_received(Client &, std::string_view)
    {}

    // A whole message. By default the client is closed with 1003 (RFC 6455
    // 7.4.1). Exception: 1011.
    virtual void binary_message_received(Client &from,
                                         std::span<const std::byte>)
    {
        from.close_connection(1003);
    }

    // Checks a data frame after its header, before its payload. Lengths are in
    // bytes: this frame's payload, and the message up to its end. Returns 0 to
    // accept it, or the status to close with. Exception: 1011.
    virtual std::uint16_t check_message(Client &, opcode,
                                        std::uint64_t /* fragment_length */,
                                        std::uint64_t /* total_length */)
    {
        return 0;
    }

    // A Pong, solicited or not (RFC 6455 5.5.3). Exception: 1011.
    virtual void pong_received(Client &, std::string_view)
    {}

    // The client's send queue is empty again. Exception: 1011.
    virtual void client_drained(Client &)
    {}

    // A message published by any worker, host or HTTP request. Called on each
    // worker with clients of the resource, in the same order on all. By default
    // it is sent to each client.
    virtual void message_published(const message &)
    {}

    // This worker lost messages: it was too slow for the size of the shared
    // memory. By default its clients are closed with 1013.
    virtual void messages_lost()
    {}

    // client_count() may have changed although no client joined or left on this
    // worker: another worker or host died, returned, or could not publish.
    virtual void clients_lost()
    {}

    // A message for this client alone, or for its user; without an id. By
    // default the client gets its bytes. Exception: 1011.
    virtual void direct_message_received(Client &, const message &)
    {}

    // Called before client_connected for a client with a user. Returns how many
    // milliseconds after the last client the user has left: one who returns
    // before has not left. The largest of a resource counts. Nothing, the
    // default: the next two functions are not called for this client.
    virtual std::optional<std::uint64_t> presence_grace(Client &)
    {
        return std::nullopt;
    }

    // A user's first client is in the resource, or the last one is not any
    // more, over all workers. Called as message_published, in one order with
    // it. `client`: the id of that client; 0: its worker died. After a process
    // was killed, user_left may be called twice.
    virtual void user_joined(std::string_view /* user */,
                             std::uint64_t /* client */)
    {}
    virtual void user_left(std::string_view /* user */,
                           std::uint64_t /* client */)
    {}

    // A client of this resource was not subscribed after all. Exception: 1011.
    virtual void subscription_failed(Client &, std::string_view /* key */,
                                     std::string_view /* reason */)
    {}

private:
    template <class>
    friend struct detail::callbacks;

    explicit resource(websocket_resource_t *handle)
        : subscribable<State, Subscriber>{handle}, handle_{handle}
    {}

    websocket_resource_t *handle_;
    detail::client_list clients_;
    detail::timer_list timers_{handle_};
    std::shared_ptr<const detail::lifetime_token> lifetime_;
    std::string config_error_; // of check_parameters(), borrowed by the server
};

} // namespace websocket
