// What the sessions of one worker share.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/turn.hpp"
#include "nginx/output/frame_writer.hpp"
#include "nginx/session/flush_list.hpp"
#include "nginx/session/session_table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace websocket::nginx {

// How much may be compressed while nginx's clock stands: that is one turn of
// the event loop, or as many as there are in a millisecond.
class compression_budget {
public:
    static constexpr std::size_t max_work = std::size_t{4} * 1024 * 1024;

    // False when nothing is left of it; else the work may be more than that.
    bool spend(std::size_t work) noexcept
    {
        if (began_ != ngx_current_msec) {
            began_ = ngx_current_msec;
            left_ = max_work;
        }

        if (left_ == 0) {
            return false;
        }

        left_ -= std::min(left_, work);
        return true;
    }

private:
    ngx_msec_t began_ = 0;
    std::size_t left_ = max_work;
};

struct worker {
    worker() noexcept { ngx_queue_init(&sessions); }

    ngx_queue_t sessions;
    session_table sessions_by_fd;

    // Of the session that receives.
    turn current_turn;

    // For large messages that clients are sent outside of their turns.
    compression_budget compression;

    flush_list pending_flushes;

    // Gathers what the session at work sends.
    write_batch batch;

    // Where the session at work receives. A session keeps nothing here over
    // its turn, so that an idle client needs no buffer.
    alignas(64) std::array<std::byte, 256 * 1024> read_buffer;
};

worker &this_worker() noexcept;

} // namespace websocket::nginx
