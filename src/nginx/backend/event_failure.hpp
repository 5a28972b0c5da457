// Counts and logs the events that have failed.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/events/answer.hpp"
#include "nginx/events/settings.hpp"

#include <cstdint>

namespace websocket::nginx::backend {

struct failed_event {
    event_kind kind;
    std::uint64_t client;
    const char *problem = nullptr; // of the answer; null: that of its result
};

// Writes one line in ten seconds.
void report(const failed_event &event, const answer &got,
            ngx_log_t *log) noexcept;

} // namespace websocket::nginx::backend
