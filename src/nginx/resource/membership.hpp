// A client as its resource sees it. Each session is one, and defines what is
// declared here: a resource knows no sessions.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx {

class shared_frame;

class membership {
public:
    membership(const membership &) = delete;
    membership &operator=(const membership &) = delete;

    // The place in its resource's list.
    ngx_queue_t *link() noexcept { return &link_; }
    static membership *from_link(ngx_queue_t *queue) noexcept
    {
        return ngx_queue_data(queue, membership, link_);
    }

    // What was delivered up to there is not for this client.
    std::uint64_t join_position() const noexcept;

    // That is delivered now: the client joins its resource.
    void on_join_position() noexcept;

    // Sends a message that many clients share.
    void send(const shared_frame &frame) noexcept;

    // Sends the first of what was postponed.
    void send_postponed() noexcept;

    // Reads on, if the client was held back.
    void resume_reading() noexcept;

    // Begins the closing handshake, unless it has begun.
    void close_by_server(std::uint16_t code, std::string_view reason) noexcept;

protected:
    membership() = default;
    ~membership() = default;

private:
    ngx_queue_t link_{};
};

} // namespace websocket::nginx
