// A client: its request, sending to it, and references that outlive it.
// Included by websocket.hpp, whose rules apply.
#pragma once

#include "websocket_detail.hpp"
#include "websocket_message.hpp"
#include "websocket_token.hpp"

#include <memory>
#include <span>
#include <string>
#include <utility>

namespace websocket {

// The HTTP request of a client's opening handshake: a handle, cheap to copy. It
// and the text that it returns are valid during client_connecting and
// select_subprotocol; from client::request(), as long as the client.
//
// With `websocket_request release` nginx frees the request after
// client_connected returns. The handle stays valid, text returned before does
// not, and header() and variable() are empty from then on. Copy in the client's
// constructor or in client_connected whatever you need later.
class request {
public:
    explicit request(const websocket_request_t *handle) noexcept
        : handle_{handle}
    {}

    // The path without arguments, decoded and normalized (nginx's $uri).
    std::string_view uri() const noexcept
    {
        return detail::view(detail::server->request_uri(handle_));
    }

    // The text after "?", not decoded; empty if absent.
    std::string_view args() const noexcept
    {
        return detail::view(detail::server->request_args(handle_));
    }

    // The first argument with this name, or `fallback` if absent. Names and
    // values are decoded as forms and URLSearchParams encode them: "+" is a
    // space, "%XX" a byte (nginx's $arg_name is not decoded). Names are
    // case-sensitive. The result is UTF-8, so it can be sent as text: invalid
    // bytes become U+FFFD, as in browsers. Throws std::bad_alloc.
    std::string arg(std::string_view name,
                    std::string_view fallback = {}) const;

    // The value of the first header field with this name, in any case; empty
    // if absent. The bytes need not be UTF-8.
    std::string_view header(std::string_view name) const noexcept
    {
        return detail::view(
            detail::server->request_header(handle_, detail::text(name)));
    }

    // The client's address as text, without the port.
    std::string_view remote_address() const noexcept
    {
        return detail::view(detail::server->request_remote_address(handle_));
    }

    // The user, as `websocket_user` or a token names it: at most 256 bytes of
    // UTF-8 without control characters. Empty: nobody. Valid as long as the
    // client, also once the request is released.
    std::string_view user() const noexcept
    {
        return detail::view(detail::server->request_user(handle_));
    }

    // The selected subprotocol (RFC 6455 1.9); empty if none, or not yet
    // selected.
    std::string_view subprotocol() const noexcept
    {
        return detail::view(detail::server->request_subprotocol(handle_));
    }

    // The first name in websocket_subprotocols that the client offers; empty if
    // none. Only in client_connecting and select_subprotocol, for handlers that
    // add subprotocols of their own.
    std::string_view preferred_subprotocol() const noexcept
    {
        return detail::view(
            detail::server->request_preferred_subprotocol(handle_));
    }

    // An nginx variable, named without "$"; empty if unset or unknown. In
    // client_connecting, select_subprotocol and the client's constructor; later
    // only with `websocket_request keep`. For a client's request the text is
    // valid until this variable, or 64 others, are read.
    std::string_view variable(std::string_view name) const noexcept
    {
        return detail::view(
            detail::server->request_variable(handle_, detail::text(name)));
    }

    // A parameter of the directive `websocket` in the request's location, or
    // `fallback` if absent. Valid as long as the client.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        const websocket_text_t value =
            detail::server->request_parameter(handle_, detail::text(name));
        return value.data == nullptr ? fallback : detail::view(value);
    }

private:
    const websocket_request_t *handle_;
};

// A resource to which a client is subscribed, and what is stored for that.
template <class Resource>
struct subscription_of {
    Resource *resource = nullptr;
    typename Resource::state_type *state = nullptr;
};

// One connected peer. Handlers derive a class with a default constructor, to
// store per-client state. The server constructs it before it accepts the
// handshake, and destroys it after client_disconnected. An exception in the
// constructor rejects the handshake with 500.
//
// All functions may be called in any callback and timer, for any client,
// closing ones included. In the constructor, sends return `closed`.
class client {
public:
    // Throws std::logic_error unless the server constructs the object.
    client()
        : handle_{detail::take_pending(detail::pending_client,
                                       "only the server constructs clients")}
    {}

    client(const client &) = delete;
    client &operator=(const client &) = delete;
    ~client() { invalidate_refs(); }

    // Valid as long as the client.
    websocket::request request() const noexcept
    {
        return websocket::request(detail::server->client_request(handle_));
    }

    // Unique among the clients of all workers while nginx runs. Below 2^53, so
    // a JSON number holds it.
    std::uint64_t id() const noexcept
    {
        return detail::server->client_id(handle_);
    }

    // As request::user(). Valid as long as the client.
    std::string_view user() const noexcept { return request().user(); }

    // The token with which the client came, or its successor. Valid until
    // use_token(), or as long as the client. When it ends, the client is closed
    // with 3000.
    token_view current_token() const noexcept
    {
        return token_view(detail::server->client_token(handle_));
    }

    // Verifies a token that the client has sent, by the rules of websocket_jwt
    // in its location. Takes up to 1 ms, so it ends the turn of the client.
    token read_token(std::string_view text) noexcept { return {handle_, text}; }

    // Replaces the client's token. False if it is not valid, of another user,
    // or the client came without a token.
    bool use_token(const token &newer) noexcept
    {
        return newer && detail::server->use_token(handle_, newer.handle_) != 0;
    }

    // A parameter of the directive `websocket` in this client's location, or
    // `fallback` if absent. Read per-client parameters, such as permissions,
    // here and not from the resource: several locations may share a resource.
    // Valid as long as the client.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        return request().parameter(name, fallback);
    }

    // Sends one message. Text must be UTF-8 (RFC 6455 5.6).
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

    // Sends a shared message. `invalid` if the frame is empty.
    send_result send(const frame &shared) noexcept
    {
        return shared ? static_cast<send_result>(detail::server->send_frame(
                            handle_, shared.handle_.get()))
                      : send_result::invalid;
    }

    // Sends a Ping (RFC 6455 5.5.2). Bytes beyond 125 are cut.
    send_result send_ping(std::string_view payload = {}) noexcept
    {
        return static_cast<send_result>(
            detail::server->send_ping(handle_, payload.data(), payload.size()));
    }

    // Starts the closing handshake (RFC 6455 7.1.2), unless it has started. The
    // status is 1000-1003, 1007-1014 or 3000-4999; any other becomes 1011. The
    // reason is UTF-8, else it is omitted; it is cut after 123 bytes.
    void close_connection(std::uint16_t status = 1000,
                          std::string_view reason = {}) noexcept
    {
        detail::server->close(handle_, status, detail::text(reason));
    }

    // Subscribes the client to a further resource: see
    // websocket_subscription.hpp. `since` is passed on; it may be null.
    std::string_view subscribe(std::string_view key,
                               const message_id *since = nullptr) noexcept;

    // The client gets nothing more of the resource. Returns false if it was not
    // subscribed.
    bool unsubscribe(std::string_view key) noexcept;

    // The subscription to the resource with this key, of the class Resource;
    // null pointers if there is none, or client_subscribed() was not called
    // yet.
    template <class Resource>
    subscription_of<Resource>
    find_subscription(std::string_view key) const noexcept;

    // Calls bool each(Resource &, Resource::state_type &) for all
    // subscriptions, always in the same order, until it returns false. `each`
    // must not change them. Throws what it throws.
    template <class Resource, class Each>
    void each_subscription(Each each) const;

    // A parameter of the directive `websocket_rooms` whose pattern the key fits
    // in this client's location, or of `websocket` if there is no
    // `websocket_rooms`; `fallback` if absent. Valid as long as the client.
    std::string_view
    subscription_parameter(std::string_view key, std::string_view name,
                           std::string_view fallback = {}) const noexcept;

    // Bytes that wait for the client in the server, beyond its socket.
    std::size_t buffered_amount() const noexcept
    {
        return detail::server->buffered_amount(handle_);
    }

private:
    template <class Client>
    friend class client_ref;
    template <class Resource>
    friend struct detail::callbacks;
    friend websocket_client_t *detail::handle_of(client &) noexcept;
    friend class detail::client_list;

    void invalidate_refs() noexcept
    {
        if (ref_target_) {
            *ref_target_ = nullptr;
        }
    }

    websocket_client_t *handle_;
    std::size_t index_ = detail::client_list::npos;
    std::shared_ptr<client *> ref_target_; // created by the first client_ref
};

// A reference to a client that may outlive it: in timers, in other objects.
// get() returns null after the client has ended. Other threads may copy and
// destroy it; only the event loop may call get().
template <class Client>
class client_ref {
public:
    client_ref() noexcept = default;

    // Throws std::bad_alloc.
    client_ref(Client &target)
    {
        client &base = target;

        if (!base.ref_target_) {
            base.ref_target_.reset(new client *(&base));
        }

        target_ = base.ref_target_;
    }

    // Valid until the current callback returns.
    Client *get() const noexcept
    {
        return target_ ? static_cast<Client *>(*target_) : nullptr;
    }

private:
    std::shared_ptr<client *> target_;
};

inline std::string request::arg(std::string_view name,
                                std::string_view fallback) const
{
    std::string_view remaining = args();

    while (!remaining.empty()) {
        const std::string_view pair = remaining.substr(0, remaining.find('&'));
        const std::size_t equals = std::min(pair.find('='), pair.size());

        if (detail::form_decoded(pair.substr(0, equals)) == name) {
            return detail::repaired_text(detail::form_decoded(
                pair.substr(std::min(equals + 1, pair.size()))));
        }

        remaining.remove_prefix(std::min(pair.size() + 1, remaining.size()));
    }

    return detail::repaired_text(fallback);
}

namespace detail {

inline void client_list::add(client &added)
{
    slots_.push_back(&added);
    added.index_ = slots_.size() - 1;
}

// The client is absent if add() threw std::bad_alloc.
inline void client_list::remove(client &removed) noexcept
{
    const std::size_t index = removed.index_;

    if (index == npos) {
        return;
    }

    removed.index_ = npos;

    if (iterations_ != 0) {
        slots_[index] = nullptr;
        has_empty_slots_ = true;
        return;
    }

    client *last = slots_.back();
    slots_.pop_back();

    if (last != &removed) {
        slots_[index] = last;
        last->index_ = index;
    }
}

inline void client_list::end_iteration() noexcept
{
    if (--iterations_ != 0 || !has_empty_slots_) {
        return;
    }

    std::erase(slots_, nullptr);
    has_empty_slots_ = false;

    for (std::size_t i = 0; i != slots_.size(); i++) {
        slots_[i]->index_ = i;
    }
}

} // namespace detail

} // namespace websocket
