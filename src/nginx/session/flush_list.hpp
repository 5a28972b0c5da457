// The sessions of a worker that have something to send at the end of the
// event: a pass over them, which fetches what it needs of the next ones into
// the cache while it sends, since each is cold by then. What is more than a
// turn of the event loop may take waits for the next one.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace websocket::nginx {

class session;

class flush_list {
public:
    // Where in the list a session is.
    using index = std::uint32_t;
    static constexpr index npos = UINT32_MAX;

    // Posts the session's flush. False when there is no memory.
    [[nodiscard]] bool add(session &added, index &at) noexcept;

    // The session ends.
    void remove(index &at) noexcept;

private:
    static void run(ngx_event_t *event);
    void post(ngx_queue_t &events) noexcept;
    void flush_some() noexcept;
    void remove_flushed() noexcept;
    void prefetch_ahead(std::size_t at) const noexcept;

    std::vector<session *> waiting_; // null: has ended
    std::size_t next_ = 0;           // those before it were flushed
    ngx_event_t event_{};
};

} // namespace websocket::nginx
