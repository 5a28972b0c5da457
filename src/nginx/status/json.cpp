// The figures as one JSON object.
#include "nginx/core/version.hpp"
#include "nginx/status/report.hpp"

#include <nlohmann/json.hpp>

namespace websocket::nginx {

namespace {

using json = nlohmann::ordered_json;

// A code that never came is left out.
json object_of(const tally::by_code &counts)
{
    json made = json::object();

    for (const auto &[code, count] : counts) {
        if (code != 0) {
            made[std::to_string(code)] = count;
        }
    }

    if (const auto rest = counts.find(0); rest != counts.end()) {
        made["other"] = rest->second;
    }

    return made;
}

json object_of(const tally &counts)
{
    return {{"clients", counts.clients},
            {"messages_in", counts.counted[counters::messages_in]},
            {"messages_out", counts.counted[counters::messages_out]},
            {"bytes_in", counts.counted[counters::bytes_in]},
            {"bytes_out", counts.counted[counters::bytes_out]},
            {"dropped", counts.counted[counters::dropped]},
            {"slow_closes", counts.counted[counters::slow_closes]},
            {"lost", counts.counted[counters::lost]},
            {"published", counts.counted[counters::published]},
            {"handshakes",
             {{"accepted", counts.counted[counters::accepted]},
              {"refused", object_of(counts.refused)}}},
            {"close_codes", object_of(counts.closed)}};
}

json workers_of(const status_report &report)
{
    json made = json::array();

    for (const slot_tally &each : report.slots) {
        if (each.pid != 0) {
            json worker{{"slot", each.slot},
                        {"pid", each.pid},
                        {"state", each.draining ? "draining" : "serving"}};

            worker.update(object_of(each.worker));
            made.push_back(std::move(worker));
        }
    }

    return made;
}

json handlers_of(const status_report &report)
{
    json made = json::array();

    for (const handler_tally &each : report.handlers) {
        made.push_back({{"name", each.name}, {"clients", each.clients}});
    }

    return made;
}

json object_of(const broker::usage &zone)
{
    return {{"size", zone.size},
            {"used", zone.used},
            {"logs", zone.logs},
            {"subscriptions", zone.subscriptions},
            {"entries", zone.entries},
            {"dropped_unread", zone.dropped_unread},
            {"dropped_history", zone.dropped_history},
            {"dropped_room_memory", zone.dropped_over_limit},
            {"refused", zone.refused},
            {"repairs", zone.repairs}};
}

json resources_of(status_report &report)
{
    json made = json::array();

    for (const resource_tally &each : report.take_resources()) {
        made.push_back({{"handler", each.handler()},
                        {"key", each.key()},
                        {"clients", each.clients},
                        {"messages", each.messages},
                        {"last", std::to_string(each.last.epoch) + "-" +
                                     std::to_string(each.last.sequence)}});
    }

    return made;
}

json object_of(const redis_tally &redis)
{
    return {{"state", redis.up ? "up" : "down"},
            {"leader", redis.leader ? json(*redis.leader) : json()},
            {"resources", redis.resources},
            {"reconnects", redis.reconnects},
            {"published", redis.published},
            {"failed", redis.failed},
            {"retried", redis.retried},
            {"received", redis.received},
            {"recovered", redis.recovered},
            {"gaps", redis.gaps},
            {"queued", redis.queued},
            {"queued_bytes", redis.queued_bytes}};
}

} // namespace

// Keys are bytes of the clients' choice: what is not UTF-8 in them is
// replaced.
std::string status_as_json(status_report &report)
{
    json made{{"version", module_version},
              {"time", report.time},
              {"uptime", report.uptime() / 1000},
              {"workers", workers_of(report)},
              {"total", object_of(report.total)},
              {"handlers", handlers_of(report)},
              {"zone", object_of(report.zone)},
              {"resources", resources_of(report)}};

    if (report.redis) {
        made["redis"] = object_of(*report.redis);
    }

    // In ASCII, as clients choose keys, and a terminal may show them
    return made.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
}

} // namespace websocket::nginx
