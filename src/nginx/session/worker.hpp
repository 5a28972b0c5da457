// State shared by the sessions of one worker.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"
#include "nginx/session/flush_list.hpp"
#include "nginx/session/session_table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

namespace websocket::nginx {

// Limits the compression work per value of nginx's cached clock, which is one
// turn of the event loop, or all turns within one millisecond.
class compression_budget {
public:
    static constexpr std::size_t max_work = std::size_t{4} * 1024 * 1024;

    // Counted for each compression beside its bytes: a short message takes
    // some 4 us, most of it for the block's codes and memory outside the cache.
    static constexpr std::size_t message_work = 2048;

    // False if the budget is used up. The last work accepted may exceed it.
    bool spend(std::size_t work, const void *client) noexcept
    {
        begin_interval();
        skipping_ = skipping_ && client != first_refused_;
        return spend_of(left_, work);
    }

    // The same from a second budget of this size: beyond the first one, such
    // messages are still compressed, at level 1.
    bool spend_reserve(std::size_t work) noexcept
    {
        begin_interval();
        return spend_of(reserve_, work);
    }

    // The same for a client with context takeover. If the reserve did not
    // suffice for all, the next interval spends it from the first client that
    // was refused. Must follow spend().
    bool spend_reserve(std::size_t work, const void *client) noexcept
    {
        if (skipping_) {
            return false;
        }

        if (spend_reserve(work)) {
            return true;
        }

        if (!std::exchange(refused_, true)) {
            first_refused_ = client;
        }

        return false;
    }

private:
    // If the first client refused gets no message in an interval, no client is
    // skipped in the next one.
    void begin_interval() noexcept
    {
        if (began_ != ngx_current_msec) {
            began_ = ngx_current_msec;
            left_ = max_work;
            reserve_ = max_work;
            skipping_ = std::exchange(refused_, false);
        }
    }

    static bool spend_of(std::size_t &budget, std::size_t work) noexcept
    {
        if (budget == 0) {
            return false;
        }

        budget -= std::min(budget, work + message_work);
        return true;
    }

    ngx_msec_t began_ = 0;
    std::size_t left_ = max_work;
    std::size_t reserve_ = max_work;
    const void *first_refused_ = nullptr; // compared only: it may have ended
    bool refused_ = false;                // in this interval
    bool skipping_ = false;               // clients before the first refused
};

struct worker {
    worker() noexcept { ngx_queue_init(&sessions); }

    ngx_queue_t sessions;
    session_table sessions_by_fd;

    // The turn of the session that is receiving.
    turn current_turn;

    // For messages sent to clients outside of their own turns.
    compression_budget compression;

    flush_list pending_flushes;

    // Receives input for the current session. A session leaves nothing here
    // after its turn, so that an idle client needs no buffer.
    alignas(64) std::array<std::byte, 256 * 1024> read_buffer;
};

inline worker worker_of_process;

inline worker &this_worker() noexcept
{
    return worker_of_process;
}

// Called once for each client that has connected to its resource, and once when
// it leaves that. Null: nobody needs it.
inline void (*on_client_connected)(session &client) noexcept = nullptr;
inline void (*on_client_left)(session &client,
                              std::string_view key) noexcept = nullptr;

} // namespace websocket::nginx
