// What `websocket_status` tells: collected once for an answer, in steps, for
// there may be many resources.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/workers/counters.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Counts of one worker, of one slot, or of all together.
struct tally {
    // By code; 0: codes that have found no place.
    using by_code = std::map<std::uint16_t, std::uint64_t>;

    std::uint64_t clients = 0;
    std::array<std::uint64_t, counters::id_count> counted{};
    by_code refused;
    by_code closed;

    tally &operator+=(const tally &other);
};

// One slot. The worker is there if it has a pid.
struct slot_tally {
    unsigned slot = 0;
    ngx_pid_t pid = 0;
    bool draining = false;
    tally worker; // since it came
    tally all;    // by all who ever had the slot; clients: of those alive
};

struct resource_tally {
    std::string name; // handler ":" key
    std::uint64_t clients = 0;
    std::uint64_t messages = 0; // in its history
    broker::message_id last;

    std::string_view handler() const noexcept;
    std::string_view key() const noexcept;
};

struct handler_tally {
    std::string name;
    std::uint64_t clients = 0;
};

// What the host has to do with the others, over Redis.
struct redis_tally {
    bool up = false;
    std::optional<unsigned> leader; // the slot of the worker
    std::uint64_t resources = 0;    // that are followed
    std::uint64_t reconnects = 0;
    std::uint64_t published = 0;
    std::uint64_t failed = 0;
    std::uint64_t retried = 0;
    std::uint64_t received = 0;
    std::uint64_t recovered = 0;
    std::uint64_t gaps = 0;
    std::uint64_t queued = 0;
    std::uint64_t queued_bytes = 0;
};

class status_report {
public:
    static constexpr std::size_t most_resources = 100;

    // Takes down the figures of the workers; needs worker_bus::running().
    // Throws std::bad_alloc, as the functions below do.
    explicit status_report(const main_configuration &conf);

    // Looks at some of the resources that are left. True: there are more.
    bool survey();

    std::uint64_t time = 0;                // milliseconds since 1970
    std::uint64_t started = 0;             // the same; the counts begin then
    std::uint64_t uptime() const noexcept; // milliseconds
    std::vector<slot_tally> slots;         // those that a worker has ever had
    tally total;
    std::vector<handler_tally> handlers;
    broker::usage zone;
    std::optional<redis_tally> redis; // with websocket_redis

    // By clients, most first. To be called when the survey is over.
    std::vector<resource_tally> take_resources();

private:
    void add(const broker::scanned_log &log);

    broker::scan_cursor cursor_;
    std::vector<resource_tally> top_; // a heap, the least at its front
};

// The answers' texts.
std::string status_as_json(status_report &report);
std::string status_as_prometheus(status_report &report);

} // namespace websocket::nginx
