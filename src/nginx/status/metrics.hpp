// The table of metrics, from which the JSON object and the Prometheus text of
// websocket_status are written.
//
// Counters of workers are listed in nginx/workers/counters.hpp alone. Each
// other number has a row here.
#pragma once

#include "nginx/status/report.hpp"
#include "nginx/workers/counters.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace websocket::nginx::metrics {

// A counter of workers. Neighbours with the same family are samples of it, with
// different directions.
struct worker_counter {
    counters::counter_id id;
    std::string_view key;       // in JSON
    std::string_view family;    // in Prometheus, after "nginx_websocket_"
    std::string_view direction; // a label; empty: none
    std::string_view help;
};

#define WEBSOCKET_COUNTER_ROW(name, family, direction, help)                   \
    worker_counter{counters::name, #name, family, direction, help},

inline constexpr std::array worker_counters{
    WEBSOCKET_COUNTERS(WEBSOCKET_COUNTER_ROW)};

#undef WEBSOCKET_COUNTER_ROW

enum class kind { gauge, counter };

// A number of the host, taken from a `Source`.
template <class Source>
struct metric {
    std::string_view key;    // in JSON
    std::string_view family; // in Prometheus, after "nginx_websocket_"
    kind type;
    std::string_view help;
    std::uint64_t (*value)(const Source &from);
};

using zone = decltype(status_report::zone);
using redis = redis_stats;

// clang-format off
inline constexpr std::array zone_metrics{
    metric<zone>{"size", "zone_size_bytes", kind::gauge,
        "Size of the shared memory for logs and messages.",
        [](const zone &from) -> std::uint64_t { return from.size; }},
    metric<zone>{"used", "zone_used_bytes", kind::gauge,
        "Shared memory in use.",
        [](const zone &from) -> std::uint64_t { return from.used; }},
    metric<zone>{"logs", "zone_logs", kind::gauge,
        "Resources in the shared memory.",
        [](const zone &from) { return from.logs; }},
    metric<zone>{"subscriptions", "zone_subscriptions", kind::gauge,
        "Pairs of a resource and a worker with its clients.",
        [](const zone &from) { return from.subscriptions; }},
    metric<zone>{"entries", "zone_entries", kind::gauge,
        "Messages in the shared memory.",
        [](const zone &from) { return from.entries; }},
    metric<zone>{"dropped_unread", "zone_dropped_unread_total", kind::counter,
        "Messages dropped unread because the memory was full.",
        [](const zone &from) { return from.dropped_unread; }},
    metric<zone>{"dropped_history", "zone_dropped_history_total", kind::counter,
        "Messages dropped from histories: the memory was full.",
        [](const zone &from) { return from.dropped_history; }},
    metric<zone>{"dropped_room_memory", "zone_dropped_room_memory_total",
        kind::counter,
        "Messages dropped because of websocket_room_memory.",
        [](const zone &from) { return from.dropped_over_limit; }},
    metric<zone>{"refused", "zone_refused_total", kind::counter,
        "Messages refused because the memory was full.",
        [](const zone &from) { return from.refused; }},
    metric<zone>{"repairs", "zone_repairs_total", kind::counter,
        "Repairs after a worker died while it changed the memory.",
        [](const zone &from) { return from.repairs; }},
};

inline constexpr std::array redis_metrics{
    metric<redis>{"resources", "redis_resources", kind::gauge,
        "Resources that the leader follows in Redis.",
        [](const redis &from) -> std::uint64_t {
            return from.counters.resources.load(); }},
    metric<redis>{"reconnects", "redis_reconnects_total", kind::counter,
        "Times that the host connected to Redis again.",
        [](const redis &from) {
            const std::uint64_t connects = from.counters.connects.get();
            return connects == 0 ? 0 : connects - 1; }},
    metric<redis>{"published", "redis_published_total", kind::counter,
        "Messages accepted by Redis.",
        [](const redis &from) { return from.counters.published.get(); }},
    metric<redis>{"failed", "redis_failed_total", kind::counter,
        "Messages that could not be published.",
        [](const redis &from) { return from.counters.failed.get(); }},
    metric<redis>{"retried", "redis_retried_total", kind::counter,
        "Messages sent again after a lost connection.",
        [](const redis &from) { return from.counters.retried.get(); }},
    metric<redis>{"received", "redis_received_total", kind::counter,
        "Messages received from Redis.",
        [](const redis &from) { return from.counters.received.get(); }},
    metric<redis>{"recovered", "redis_recovered_total", kind::counter,
        "Messages read from streams after a lost connection.",
        [](const redis &from) { return from.counters.recovered.get(); }},
    metric<redis>{"gaps", "redis_gaps_total", kind::counter,
        "Times that streams no longer had missed messages.",
        [](const redis &from) { return from.counters.gaps.get(); }},
    metric<redis>{"direct_sent", "redis_direct_sent_total", kind::counter,
        "Requests for single clients and users sent to other hosts.",
        [](const redis &from) { return from.counters.direct_sent.get(); }},
    metric<redis>{"direct_received", "redis_direct_received_total",
        kind::counter,
        "Requests for single clients and users received from other hosts.",
        [](const redis &from) {
            return from.counters.direct_received.get(); }},
    metric<redis>{"direct_failed", "redis_direct_failed_total", kind::counter,
        "Requests for other hosts that were refused or not answered.",
        [](const redis &from) { return from.counters.direct_failed.get(); }},
    metric<redis>{"waiting", "redis_waiting", kind::gauge,
        "Clients that were accepted and wait for Redis.",
        [](const redis &from) { return from.waiting; }},
    metric<redis>{"disconnected", "redis_disconnected_workers", kind::gauge,
        "Workers without a connection to Redis, or to a part of a cluster.",
        [](const redis &from) { return from.disconnected; }},
    metric<redis>{"queued", "redis_queued", kind::gauge,
        "Messages waiting for Redis.",
        [](const redis &from) { return from.queued; }},
    metric<redis>{"queued_bytes", "redis_queued_bytes", kind::gauge,
        "Memory of the messages waiting for Redis.",
        [](const redis &from) { return from.queued_bytes; }},
};
// clang-format on

} // namespace websocket::nginx::metrics
