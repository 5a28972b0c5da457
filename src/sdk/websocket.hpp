// Resource handlers of nginx-websocket in C++20, over the C interface in
// websocket_plugin.h. Only the standard library is needed.
//
//     struct echo : websocket::resource<> {
//         void text_message_received(websocket::client &from,
//                                    std::string_view text) override
//         {
//             from.send_text_message(text);
//         }
//     };
//     WEBSOCKET_HANDLER("echo", echo)
//
//     g++ -std=c++20 -O2 -fPIC -shared -fno-gnu-unique -o echo.so echo.cpp
//
// Everything runs on the event loop of an nginx worker. A callback returns
// soon and never blocks: while it runs, no other client of the worker is
// served. Nothing here may be called from another thread.
//
// An exception that leaves a callback is written into the error log with its
// what(). It costs at most the one client that the callback was for.
//
// Borrowed text and bytes (std::string_view, std::span) need to live during
// the call that they are passed to. Those that are returned say how long they
// live; parameters of a callback live while it runs.
#pragma once

#include "websocket_detail.hpp"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

namespace websocket {

// What became of a message or Ping.
enum class send_result {
    queued = WEBSOCKET_QUEUED,             // sent, or about to be
    backpressure = WEBSOCKET_BACKPRESSURE, // waits: the client reads slowly
    dropped = WEBSOCKET_DROPPED,           // not sent: the send queue is full
    closed = WEBSOCKET_CLOSED,             // not sent: not open, or closing
    invalid = WEBSOCKET_INVALID            // not sent: text not in UTF-8
};

// The kind of a message (RFC 6455 5.2).
enum class opcode : std::uint8_t {
    text = WEBSOCKET_TEXT,
    binary = WEBSOCKET_BINARY
};

// Levels of nginx's error log.
enum class log_level {
    error = WEBSOCKET_LOG_ERROR,
    warn = WEBSOCKET_LOG_WARN,
    notice = WEBSOCKET_LOG_NOTICE,
    info = WEBSOCKET_LOG_INFO,
    debug = WEBSOCKET_LOG_DEBUG
};

// The HTTP request that a client connects or has connected with. A light
// handle; it and the text it returns are valid during client_connecting and
// select_subprotocol, and from client::request() as long as that client.
class request {
public:
    explicit request(const websocket_request_t *handle) noexcept
        : handle_{handle}
    {}

    // The path without arguments, decoded and normalized, as nginx's $uri.
    std::string_view uri() const noexcept
    {
        return detail::view(detail::server->request_uri(handle_));
    }

    // What follows "?" as it was sent; empty if nothing does.
    std::string_view args() const noexcept
    {
        return detail::view(detail::server->request_args(handle_));
    }

    // The first argument of a name, with "+" made a space and "%XX" the byte,
    // as forms and URLSearchParams write them (nginx's $arg_name is not
    // decoded). Names are decoded too, and case counts. `fallback` if absent.
    // The result is UTF-8: what is not becomes U+FFFD, as it does in browsers,
    // so that it can be sent as text. Throws std::bad_alloc.
    std::string arg(std::string_view name,
                    std::string_view fallback = {}) const;

    // The first header field of a name, compared ignoring case; empty if
    // absent. The bytes need not be UTF-8.
    std::string_view header(std::string_view name) const noexcept
    {
        return detail::view(
            detail::server->request_header(handle_, detail::text(name)));
    }

    // The client's address as text, without a port.
    std::string_view remote_address() const noexcept
    {
        return detail::view(detail::server->request_remote_address(handle_));
    }

    // The subprotocol agreed on (RFC 6455 1.9); empty if none, or not yet.
    std::string_view subprotocol() const noexcept
    {
        return detail::view(detail::server->request_subprotocol(handle_));
    }

    // Any variable of nginx's, named without "$"; empty if it is not set or
    // unknown. Only in client_connecting, select_subprotocol and the
    // client's constructor.
    std::string_view variable(std::string_view name) const noexcept
    {
        return detail::view(
            detail::server->request_variable(handle_, detail::text(name)));
    }

private:
    const websocket_request_t *handle_;
};

// One connected peer. Handlers derive their own, with a constructor without
// parameters, and keep in it what they know of that client. The server builds
// it when the handshake is about to be accepted; an exception in the
// constructor refuses it with 500. It ends after client_disconnected.
//
// All functions may be called in any callback and timer, for any client, also
// one that is closing. In the constructor sends return `closed`.
class client {
public:
    // Throws std::logic_error if it is not the server that builds it.
    client()
        : handle_{detail::take_built(detail::client_being_built,
                                     "only the server builds clients")}
    {}

    client(const client &) = delete;
    client &operator=(const client &) = delete;
    ~client() { lose_refs(); }

    // Valid as long as the client.
    websocket::request request() const noexcept
    {
        return websocket::request(detail::server->client_request(handle_));
    }

    // A number that no other client of any worker has while nginx runs; below
    // 2^53, which a JSON number holds.
    std::uint64_t id() const noexcept
    {
        return detail::server->client_id(handle_);
    }

    // Sends one message. Text has to be UTF-8 (RFC 6455 5.6).
    send_result send_text_message(std::string_view text) noexcept
    {
        return static_cast<send_result>(detail::server->send(
            handle_, WEBSOCKET_TEXT, text.data(), text.size()));
    }

    send_result send_binary_message(std::span<const std::byte> data) noexcept
    {
        return static_cast<send_result>(detail::server->send(
            handle_, WEBSOCKET_BINARY, data.data(), data.size()));
    }

    // Sends a Ping (RFC 6455 5.5.2) with up to 125 bytes; more are cut.
    send_result send_ping(std::string_view payload = {}) noexcept
    {
        return static_cast<send_result>(
            detail::server->send_ping(handle_, payload.data(), payload.size()));
    }

    // Begins the closing handshake (RFC 6455 7.1.2), unless it has begun. The
    // status is 1000 to 1003, 1007 to 1014 or 3000 to 4999, another one
    // becomes 1011; the reason is UTF-8, else it is left out, and cut behind
    // 123 bytes.
    void close_connection(std::uint16_t status = 1000,
                          std::string_view reason = {}) noexcept
    {
        detail::server->close(handle_, status, detail::text(reason));
    }

    // Bytes that wait beyond what the client's socket took.
    std::size_t buffered_amount() const noexcept
    {
        return detail::server->buffered_amount(handle_);
    }

private:
    template <class Client>
    friend class client_ref;
    template <class Client>
    friend struct detail::callbacks;
    friend class detail::client_list;

    void lose_refs() noexcept
    {
        if (known_) {
            *known_ = nullptr;
        }
    }

    websocket_client_t *handle_;
    std::size_t place_ = detail::client_list::nowhere;
    std::shared_ptr<client *> known_; // made for the first client_ref
};

// A handle on a client that may be kept: in timers, other clients' objects,
// the resource. get() returns null once the client has ended. It may be copied
// and dropped in another thread; get() is for the event loop alone.
template <class Client>
class client_ref {
public:
    client_ref() noexcept = default;

    // Throws std::bad_alloc.
    client_ref(Client &to)
    {
        client &base = to;

        if (!base.known_) {
            base.known_.reset(new client *(&base));
        }

        known_ = base.known_;
    }

    // Valid until the callback that asks returns.
    Client *get() const noexcept
    {
        return known_ ? static_cast<Client *>(*known_) : nullptr;
    }

private:
    std::shared_ptr<client *> known_;
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

    // The value of name=value in the directive `websocket`, else `fallback`.
    // Valid as long as the resource.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        const websocket_text_t value =
            detail::server->parameter(handle_, detail::text(name));

        return value.data == nullptr ? fallback : detail::view(value);
    }

    // This worker's clients, as a range of Client &, from client_connected on
    // and without the one that client_disconnected is called for. In a loop
    // over them any may be sent to and closed; one that has ended is not met
    // any more. The range is for use in one callback.
    detail::client_range<Client> clients() noexcept
    {
        return detail::client_range<Client>(clients_);
    }

    // Clients of the resource, on all workers.
    std::uint64_t client_count() const noexcept
    {
        return detail::server->client_count(handle_);
    }

    // Sends one message to every client of the resource, on all workers, to
    // all in the same order. Text has to be UTF-8. Returns `queued`, else
    // nobody gets it: `invalid`, or `dropped` where there is no memory. What
    // becomes of it on its way to each client is not told.
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
    // nor is it when the worker ends before. False if no thread takes the
    // job: then neither is called. Throws std::bad_alloc.
    bool run_in_background(std::function<void()> work,
                           std::function<void()> done)
    {
        return detail::background_job::run(
            std::make_unique<detail::background_job>(handle_, std::move(work),
                                                     std::move(done)));
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
    // none. If it is overridden the directive websocket_subprotocols has no
    // say. Exception: 500.
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

private:
    template <class>
    friend struct detail::callbacks;

    websocket_resource_t *handle_;
    detail::client_list clients_;
    detail::timer_list timers_{handle_};
    std::string complaint_; // of configured(): lent to the server
};

} // namespace websocket

#include "websocket_handler.hpp"

// Makes a class derived from websocket::resource known by a name, which the
// directive `websocket` uses: letters, digits, "_" and "-". To stand once per
// handler at namespace scope; a library may have several.
#define WEBSOCKET_HANDLER(name, ...)                                           \
    static_assert(::websocket::detail::is_handler_name(name),                  \
                  "letters, digits, _ and - make the name of a handler");      \
    static ::websocket::detail::registration WEBSOCKET_HANDLER_NAME(           \
        __COUNTER__){::websocket::detail::describe<__VA_ARGS__>(name)};

#define WEBSOCKET_HANDLER_NAME(number) WEBSOCKET_HANDLER_JOIN(number)
#define WEBSOCKET_HANDLER_JOIN(number) websocket_handler_##number
