// What the sessions of one worker share.
#pragma once

#include "nginx/flush_list.hpp"
#include "nginx/nginx_headers.hpp"
#include "nginx/output.hpp"
#include "nginx/session_table.hpp"
#include "nginx/turn.hpp"
#include "protocol/deflater.hpp"

#include <array>
#include <cstddef>

namespace websocket::nginx {

struct worker {
    worker() noexcept { ngx_queue_init(&sessions); }

    ngx_queue_t sessions;
    session_table sessions_of;

    // For clients without context takeover.
    protocol::deflater_pool deflaters;

    // Bytes that were compressed so far, for the budgets.
    std::uint64_t compressed = 0;

    // Of the session that receives.
    turn current_turn;

    flush_list flushes;

    // Gathers what the session at work sends.
    write_batch batch;

    // Where the session at work receives. A session keeps nothing here over
    // its turn, so that an idle client needs no buffer.
    alignas(64) std::array<std::byte, 256 * 1024> read_buffer;
};

worker &this_worker() noexcept;

// Called when the process begins.
ngx_int_t start_worker(ngx_cycle_t *cycle);

// Called when the process ends, however that comes, before all other modules
// are: tells all clients.
void end_worker(ngx_cycle_t *cycle);

// Called in its turn among the modules, when nginx has ended its thread pools.
void exit_worker(ngx_cycle_t *cycle);

} // namespace websocket::nginx
