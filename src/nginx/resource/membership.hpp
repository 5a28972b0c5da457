// A client's place in a resource: in the one that it has connected to, or in
// one that it is subscribed to. The classes session and subscription derive
// from it. session/membership.cpp defines its functions, since resources must
// not depend on sessions.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "sdk/websocket_plugin.h"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

class session;
class shared_frame;

class membership {
public:
    membership(const membership &) = delete;
    membership &operator=(const membership &) = delete;

    // The client that has this place.
    session &owner() const noexcept { return *owner_; }

    // True if the client was subscribed to the resource.
    bool subscribed() const noexcept;

    // The link in the resource's list of clients.
    ngx_queue_t *link() noexcept { return &link_; }
    static membership *from_link(ngx_queue_t *queue) noexcept
    {
        return ngx_queue_data(queue, membership, link_);
    }

    // The client gets messages after this position of the log.
    std::uint64_t join_position() const noexcept;

    // The log is delivered up to that position: the client joins now.
    void on_join_position() noexcept;

    // Sends a message that many clients share.
    void send(const shared_frame &frame) noexcept;

    // Sends the first postponed send.
    void send_postponed() noexcept;

    // Resumes reading, if it was paused.
    void resume_reading() noexcept;

    // Starts the closing handshake, unless it has started.
    void close_by_server(std::uint16_t code, std::string_view reason) noexcept;

protected:
    // For a client_subscription. The client was subscribed; `since`: null if
    // the handler gave none. Or it was not, and the place has ended on return.
    void on_subscribed(const websocket_message_id_t *since) noexcept;
    void on_subscription_failed(std::string_view reason) noexcept;

    // The client may be read again before it is subscribed.
    void on_slow_subscription() noexcept;

    // True if the client is connected, and not being closed.
    bool owner_is_open() const noexcept;

    // The handler's object of the client.
    void *client_object() const noexcept;

    explicit membership(session &owner) noexcept : owner_{&owner} {}
    ~membership() = default;

private:
    ngx_queue_t link_{};
    session *owner_;
};

} // namespace websocket::nginx
