// The sessions of a worker that have frames to send at the end of the event.
// One pass flushes them. It prefetches the next sessions while it sends,
// because their memory is not in the cache. Work beyond the budget of a pass
// waits for the next turn of the event loop.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace websocket::nginx {

class session;

class flush_list {
public:
    // The position of a session in the list.
    using index = std::uint32_t;
    static constexpr index npos = UINT32_MAX;

    // Posts a flush of the session. False without memory.
    [[nodiscard]] bool add(session &added, index &at) noexcept;

    // Removes a session that ends.
    void remove(index &at) noexcept;

private:
    static void run(ngx_event_t *event);
    void post(ngx_queue_t &events) noexcept;
    void flush_some() noexcept;
    void pace_deliveries(std::size_t flushed) noexcept;
    void remove_flushed() noexcept;
    void prefetch_ahead(std::size_t at) const noexcept;

    std::vector<session *> waiting_; // null: the session has ended
    std::size_t next_ = 0;           // sessions before it are flushed
    std::size_t round_rest_ = 0;     // sessions that the round still flushes
    // resource::queued_bytes when the round before this one began, and this one
    std::uint64_t queued_before_ = 0;
    std::uint64_t queued_at_round_ = 0;
    ngx_event_t event_{};
};

} // namespace websocket::nginx
