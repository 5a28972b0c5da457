// What clients connect to, and its timers: the class that handlers derive
// from. Included by websocket.hpp, whose rules hold.
#pragma once

#include "websocket_client.hpp"

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

// A timer that was started, or none. Dropping the handle does not stop it. It
// may outlive the resource, and then does nothing.
class timer {
public:
    timer() noexcept = default;
    explicit timer(std::weak_ptr<detail::timer_list::entry> started) noexcept
        : entry_{std::move(started)}
    {}

    // Stops the timer if it still runs; also in its own call.
    void cancel() noexcept
    {
        if (const auto started = entry_.lock(); started && started->handle) {
            detail::timer_list::stop(*started);
        }
    }

    // Whether it will fire, or fire again.
    bool active() const noexcept
    {
        const auto started = entry_.lock();
        return started && started->handle != nullptr;
    }

private:
    std::weak_ptr<detail::timer_list::entry> entry_;
};

// What clients connect to: one object per worker and key. Handlers derive
// their own, with a constructor without parameters, in which all functions
// work; an exception in it refuses the first client with 500. The object ends
// after its last client, or with the worker if the key holds no variables.
// What it stores is this worker's alone.
//
// The virtual functions are called by the server. Those that are not
// overridden cost nothing.
template <class Client = client>
class resource {
public:
    using client_type = Client;

    // Throws std::logic_error if it is not the server that builds it.
    resource()
        : handle_{detail::take_built(detail::resource_being_built,
                                     "only the server builds resources")}
    {}

    resource(const resource &) = delete;
    resource &operator=(const resource &) = delete;
    virtual ~resource() = default;

    // The key; empty on a resource made for configured(). Valid as long as
    // the resource.
    std::string_view name() const noexcept
    {
        return detail::view(detail::server->resource_name(handle_));
    }

    // The value of name=value in the directive `websocket`, else `fallback`: of
    // the first location with this handler and the same text as key. What is
    // said of a client is client.parameter(), as the resource may have clients
    // of other locations too. Valid as long as the resource.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        const websocket_text_t value =
            detail::server->parameter(handle_, detail::text(name));

        return value.data == nullptr ? fallback : detail::view(value);
    }

    // The names of all that were given, in their order; one that was given
    // twice is there twice, and has the first value. Throws std::bad_alloc.
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

    // This worker's clients, as a range of Client &, from client_connected on
    // and without the one that client_disconnected is called for. In a loop
    // over them any may be sent to and closed; one that has ended is not met
    // any more. The range is for use in one callback.
    detail::client_range<Client> clients() noexcept
    {
        return detail::client_range<Client>(clients_);
    }

    // Clients of the resource, on all workers of all hosts.
    std::uint64_t client_count() const noexcept
    {
        return detail::server->client_count(handle_);
    }

    // Sends one message to every client of the resource, on all workers, to
    // all in the same order. Text has to be UTF-8. Returns `queued`, else
    // nobody gets it: `invalid`, `dropped` where there is no memory, or
    // `unreachable` where it cannot go to the other hosts. What becomes of it
    // on its way is not told.
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

    // As broadcast, with what there is to say of the message; returns its id.
    publish_result publish(std::string_view text,
                           const publish_options &options = {}) noexcept
    {
        return publish(opcode::text, std::as_bytes(std::span(text)), options);
    }

    publish_result publish(opcode kind, std::span<const std::byte> data,
                           const publish_options &options = {}) noexcept
    {
        const websocket_message_t message = outgoing(kind, data, options);
        websocket_message_id_t id{};
        const int result = detail::server->publish(handle_, &message, &id);

        return {static_cast<send_result>(result), {id.epoch, id.sequence}};
    }

    // The same, and calls `told` once with the result: before it returns; or
    // later, when the message has got its id where other hosts get it too
    // (`unreachable`: it has not). A client may have gone by then, so that it
    // is captured as a client_ref; the resource lives until `told` has
    // returned. In its constructor and destructor nobody can wait: there it is
    // told at once, as publish() would return. An exception in it is logged.
    // Throws std::bad_alloc.
    void publish(opcode kind, std::span<const std::byte> data,
                 const publish_options &options,
                 std::function<void(const publish_result &)> told)
    {
        const websocket_message_t message = outgoing(kind, data, options);

        // Owned by itself until it is done
        auto *call = new detail::publish_call{handle_, std::move(told)};

        detail::server->publish_then(handle_, &message,
                                     detail::publish_call::done, call);
    }

    void publish(std::string_view text, const publish_options &options,
                 std::function<void(const publish_result &)> told)
    {
        publish(opcode::text, std::as_bytes(std::span(text)), options,
                std::move(told));
    }

    // Has the last so many messages kept, none older than so many
    // milliseconds (0: of any age), for all workers. To be called in the
    // constructor, which runs for the parameters of each location while the
    // configuration is read: of locations with the same handler and the same
    // text as key the largest history is kept. Called later it sets just that.
    void keep_history(std::uint64_t messages,
                      std::uint64_t milliseconds = 0) noexcept
    {
        detail::server->keep_history(handle_, messages, milliseconds);
    }

    // Calls `each`, which takes a const message & and returns whether to go
    // on, for the kept messages behind `after`, oldest first, up to
    // last_message(). An `after` of another epoch stands for the start. True
    // if these are all that came behind `after`. Only while the resource has
    // clients in this worker. Throws what `each` throws. When much was read,
    // what `each` sends returns `backpressure`: to go on in client_drained
    // leaves the other clients their turns.
    template <class Each>
    bool read_history(message_id after, Each each)
    {
        detail::history_call<Each> call{each, nullptr};
        const bool complete = detail::server->read_history(
                                  handle_, {after.epoch, after.sequence},
                                  detail::history_call<Each>::of, &call) != 0;

        if (call.thrown) {
            std::rethrow_exception(call.thrown);
        }

        return complete;
    }

    // The last message that was delivered on this worker; in
    // message_published the message at hand. In client_connected the client
    // gets what comes after it. Only while there are clients.
    message_id last_message() const noexcept
    {
        const websocket_message_id_t id = detail::server->last_message(handle_);
        return {id.epoch, id.sequence};
    }

    // Calls once after so many milliseconds, at least 1. All timers end with
    // the resource. None is started on a resource made for configured(), or
    // if nginx has no memory. An exception in the call is logged; a timer
    // that repeats goes on. Throws std::bad_alloc.
    timer after(std::uint64_t milliseconds, std::function<void()> call)
    {
        return timer(timers_.start(milliseconds, false, std::move(call)));
    }

    // As after(), again and again.
    timer every(std::uint64_t milliseconds, std::function<void()> call)
    {
        return timer(timers_.start(milliseconds, true, std::move(call)));
    }

    // Calls `work` in a thread of nginx's pool "default", where it may block,
    // and then `done` on the event loop. `work` must not touch the resource,
    // its clients or anything else here; what both need is captured, a client
    // as a client_ref. The resource lives until `done` has returned. An
    // exception in either is logged, after one in `work` `done` is not called;
    // nor is it when the worker ends before, or the constructor of the resource
    // throws. False if no thread takes the job, and in the resource's
    // destructor: then neither is called. Throws std::bad_alloc.
    bool run_in_background(std::function<void()> work,
                           std::function<void()> done)
    {
        if (!presence_) {
            presence_.reset(new detail::presence);
        }

        return detail::background_job::run(
            std::make_unique<detail::background_job>(
                handle_, presence_, std::move(work), std::move(done)));
    }

    // Writes one line into nginx's error log, with the handler and the key.
    void log(log_level level, std::string_view text) const noexcept
    {
        detail::server->log(handle_, static_cast<int>(level),
                            detail::text(text));
    }

    // Checks the parameters of a location, while nginx reads its
    // configuration, on a resource that is made for that and has no clients.
    // Returns "" if they are right, else in one line what is wrong: nginx
    // does not start. An exception's what() is such a line.
    virtual std::string configured() { return {}; }

    // A valid opening handshake came. Returns 101 to accept it, else the HTTP
    // status to refuse it with, 400 to 599. Exception: 500.
    virtual unsigned client_connecting(const request &) { return 101; }

    // Chooses one of the subprotocols that the client offers, in its order of
    // preference (RFC 6455 4.1), or "" for none; anything else is taken for
    // none. If it is overridden the directive websocket_subprotocols holds only
    // as far as request::preferred_subprotocol() is returned. Exception: 500.
    virtual std::string_view
    select_subprotocol(const request &, std::span<const std::string_view>)
    {
        return {};
    }

    // The client is connected: messages can be sent. Exception: 1011.
    virtual void client_connected(Client &) {}

    // The client has left: once for each client_connected. The status is the
    // one received or sent first (RFC 6455 7.1.5); 1005: a Close without one,
    // 1006: the connection ended without a Close.
    virtual void client_disconnected(Client &, std::uint16_t /* status */,
                                     std::string_view /* reason */)
    {}

    // A whole message, in UTF-8. Unless overridden it is ignored.
    // Exception: 1011.
    virtual void text_message_received(Client &, std::string_view) {}

    // A whole message. Unless overridden the client is closed with 1003
    // (RFC 6455 7.4.1). Exception: 1011.
    virtual void binary_message_received(Client &from,
                                         std::span<const std::byte>)
    {
        from.close_connection(1003);
    }

    // The header of a data frame is read, its payload is not. Lengths are
    // bytes: of this frame, and of the message so far with it. Returns 0 to
    // accept it, else the status to close with. Exception: 1011.
    virtual std::uint16_t check_message(Client &, opcode,
                                        std::uint64_t /* fragment_length */,
                                        std::uint64_t /* total_length */)
    {
        return 0;
    }

    // A Pong came, asked for or not (RFC 6455 5.5.3). Exception: 1011.
    virtual void pong_received(Client &, std::string_view) {}

    // All that waited for the client is with its socket now. Exception: 1011.
    virtual void client_drained(Client &) {}

    // A message of the resource: what was broadcast or published on any
    // worker, or over HTTP, in one order for all of them; on each worker that
    // has clients of the resource. Unless overridden each client is sent it.
    virtual void message_published(const message &) {}

    // Messages that should have come here were lost: this worker was too slow
    // for the size of the shared memory. Unless overridden its clients are
    // closed with 1013.
    virtual void messages_lost() {}

    // Another worker, or another host, died, and client_count() has gone down
    // with it.
    virtual void clients_lost() {}

private:
    template <class>
    friend struct detail::callbacks;

    static websocket_message_t outgoing(opcode kind,
                                        std::span<const std::byte> data,
                                        const publish_options &options) noexcept
    {
        websocket_message_t message{};

        message.size = sizeof message;
        message.version = WEBSOCKET_PLUGIN_VERSION;
        message.kind = static_cast<int>(kind);
        message.from = options.from;
        message.data = data.data();
        message.length = data.size();
        message.transient = options.transient ? 1 : 0;
        return message;
    }

    websocket_resource_t *handle_;
    detail::client_list clients_;
    detail::timer_list timers_{handle_};
    std::shared_ptr<const detail::presence> presence_;
    std::string complaint_; // of configured(): lent to the server
};

} // namespace websocket
