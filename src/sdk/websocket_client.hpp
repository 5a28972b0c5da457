// What a handler knows of one client: its request, what it is sent, handles
// that outlive it. Included by websocket.hpp, whose rules hold.
#pragma once

#include "websocket_detail.hpp"
#include "websocket_message.hpp"

#include <memory>
#include <span>
#include <string>
#include <utility>

namespace websocket {

// The HTTP request that a client connects or has connected with. A light
// handle; it and the text it returns are valid during client_connecting and
// select_subprotocol, and from client::request() as long as that client.
//
// Where the configuration says `websocket_request release` nginx frees the
// request when client_connected has returned: the handle stays valid, but text
// it has returned before is not, and header() and variable() are empty from
// then on. Copy what is needed later in the client's constructor or in
// client_connected.
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

    // The first name of websocket_subprotocols that the client offers; empty if
    // there is none. Only in client_connecting and select_subprotocol: for
    // handlers that have subprotocols beside those of the directive.
    std::string_view preferred_subprotocol() const noexcept
    {
        return detail::view(
            detail::server->request_preferred_subprotocol(handle_));
    }

    // Any variable of nginx's, named without "$"; empty if it is not set or
    // unknown. In client_connecting, select_subprotocol and the client's
    // constructor; later too as long as nginx keeps the request
    // (websocket_request keep). The text of a client's request lasts until the
    // variable is asked for again, or 64 others.
    std::string_view variable(std::string_view name) const noexcept
    {
        return detail::view(
            detail::server->request_variable(handle_, detail::text(name)));
    }

    // A parameter of the directive `websocket` of the location that the client
    // came to; `fallback` if it is not there. Valid as long as the client.
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

    // A parameter of the directive `websocket` of the location through which
    // this client came; `fallback` if it is not there. Several locations may
    // share a resource: what is said of clients, as what they may do, is to be
    // read here, and not from the resource. Valid as long as the client.
    std::string_view parameter(std::string_view name,
                               std::string_view fallback = {}) const noexcept
    {
        return request().parameter(name, fallback);
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

    // Sends a message that many clients get. `invalid`: there is none in it.
    send_result send(const frame &shared) noexcept
    {
        return shared ? static_cast<send_result>(detail::server->send_frame(
                            handle_, shared.made_.get()))
                      : send_result::invalid;
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

// The first value of a name in what a form or URLSearchParams made.
inline std::string request::arg(std::string_view name,
                                std::string_view fallback) const
{
    std::string_view left = args();

    while (!left.empty()) {
        const std::string_view pair = left.substr(0, left.find('&'));
        const std::size_t equals = std::min(pair.find('='), pair.size());

        if (detail::form_decoded(pair.substr(0, equals)) == name) {
            return detail::repaired_text(detail::form_decoded(
                pair.substr(std::min(equals + 1, pair.size()))));
        }

        left.remove_prefix(std::min(pair.size() + 1, left.size()));
    }

    return detail::repaired_text(fallback);
}

namespace detail {

inline void client_list::add(client &added)
{
    places_.push_back(&added);
    added.place_ = places_.size() - 1;
}

// A client may never have been added: there was no memory.
inline void client_list::remove(client &removed) noexcept
{
    const std::size_t place = removed.place_;

    if (place == nowhere) {
        return;
    }

    removed.place_ = nowhere;

    if (readers_ != 0) {
        places_[place] = nullptr;
        gaps_ = true;
        return;
    }

    client *last = places_.back();
    places_.pop_back();

    if (last != &removed) {
        places_[place] = last;
        last->place_ = place;
    }
}

inline void client_list::end_reading() noexcept
{
    if (--readers_ != 0 || !gaps_) {
        return;
    }

    std::erase(places_, nullptr);
    gaps_ = false;

    for (std::size_t i = 0; i != places_.size(); i++) {
        places_[i]->place_ = i;
    }
}

} // namespace detail

} // namespace websocket
