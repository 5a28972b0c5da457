// The statistics that websocket_status shows: collected for each response, in
// steps, as there may be many resources.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/redis_counters.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// The counts of one worker, of one slot, or of all together.
struct worker_stats {
    // By code; 0: codes without a counter of their own.
    using by_code = std::map<std::uint16_t, std::uint64_t>;

    std::uint64_t clients = 0;
    std::array<std::uint64_t, counters::id_count> counted{};
    by_code refused;
    by_code closed;

    worker_stats &operator+=(const worker_stats &other);
};

struct slot_stats {
    unsigned slot = 0;
    ngx_pid_t pid = 0; // 0: no worker
    bool draining = false;
    worker_stats worker; // of this worker
    worker_stats all;    // of all workers of the slot; clients: now
};

struct resource_stats {
    std::string name; // handler ":" key
    std::uint64_t clients = 0;
    std::uint64_t messages = 0; // in its history
    broker::message_id last;

    std::string_view handler() const noexcept;
    std::string_view key() const noexcept;
};

struct handler_stats {
    std::string name;
    std::uint64_t clients = 0;
    std::optional<std::uint32_t> users{}; // nothing: clients have no users
};

// The traffic with other hosts over Redis.
struct redis_stats {
    const redis_counters &counters;
    bool up = false;
    std::optional<unsigned> leader; // the slot of the worker
    std::uint64_t waiting = 0;      // of all workers, as the next ones
    std::uint64_t disconnected = 0;
    std::uint64_t queued = 0;
    std::uint64_t queued_bytes = 0;
};

// The events of `websocket http`, of all workers.
struct http_stats {
    std::uint64_t events = 0;
    std::uint64_t out = 0;
    std::uint64_t waiting = 0;
    std::uint64_t milliseconds = 0;
    std::array<std::uint64_t, counters::event_failures> failed{};

    // By counters::latency_bounds, not cumulative.
    std::array<std::uint64_t, counters::latency_bounds.size() + 1> latency{};
};

class status_report {
public:
    static constexpr std::size_t max_resources = 100;

    // Copies the counters of the workers. Requires worker_bus::running().
    // Throws std::bad_alloc, as the functions below do.
    explicit status_report(const main_configuration &conf);

    // Collects some of the resources. True: there are more.
    bool collect();

    std::uint64_t time = 0;                // milliseconds since 1970
    std::uint64_t started = 0;             // the same; when the counters were 0
    std::uint64_t uptime() const noexcept; // milliseconds
    std::vector<slot_stats> slots;         // those that a worker has had
    worker_stats total;
    std::vector<handler_stats> handlers;
    broker::usage zone;
    std::optional<redis_stats> redis; // with websocket_redis
    std::optional<http_stats> http;   // with `websocket http`

    // Sorted by clients, most first. Requires that collect() returned false.
    std::vector<resource_stats> take_resources();

private:
    void add(const broker::scanned_log &log);

    broker::scan_cursor cursor_;
    std::vector<resource_stats> top_; // a heap, the smallest first
};

// The bodies of responses.
std::string status_as_json(status_report &report);
std::string status_as_prometheus(status_report &report);

} // namespace websocket::nginx
