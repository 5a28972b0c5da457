// A client as a resource uses it. The class session derives from it and defines
// its functions, since resources must not depend on sessions.
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
    membership() = default;
    ~membership() = default;

private:
    ngx_queue_t link_{};
};

} // namespace websocket::nginx
