// Writes the report as one JSON object.
#include "nginx/core/version.hpp"
#include "nginx/status/metrics.hpp"
#include "nginx/status/report.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace websocket::nginx {

namespace {

using json = nlohmann::ordered_json;

// Codes that were never counted are left out.
json object_of(const worker_stats::by_code &counts)
{
    json object = json::object();

    for (const auto &[code, count] : counts) {
        if (code != 0) {
            object[std::to_string(code)] = count;
        }
    }

    if (const auto other = counts.find(0); other != counts.end()) {
        object["other"] = other->second;
    }

    return object;
}

json object_of(const worker_stats &stats)
{
    json object{{"clients", stats.clients}};

    for (const metrics::worker_counter &each : metrics::worker_counters) {
        object[std::string(each.key)] = stats.counted[each.id];
    }

    object["handshakes"] = {{"accepted", stats.counted[counters::accepted]},
                            {"refused", object_of(stats.refused)}};
    object["close_codes"] = object_of(stats.closed);
    return object;
}

template <class Rows, class Source>
void add_metrics(json &object, const Rows &rows, const Source &source)
{
    for (const auto &each : rows) {
        object[std::string(each.key)] = each.value(source);
    }
}

json workers_of(const status_report &report)
{
    json workers = json::array();

    for (const slot_stats &each : report.slots) {
        if (each.pid != 0) {
            json worker{{"slot", each.slot},
                        {"pid", each.pid},
                        {"state", each.draining ? "draining" : "serving"}};

            worker.update(object_of(each.worker));
            workers.push_back(std::move(worker));
        }
    }

    return workers;
}

json handlers_of(const status_report &report)
{
    json handlers = json::array();

    for (const handler_stats &each : report.handlers) {
        handlers.push_back({{"name", each.name}, {"clients", each.clients}});
    }

    return handlers;
}

json object_of(const metrics::zone &zone)
{
    json object = json::object();

    add_metrics(object, metrics::zone_metrics, zone);
    return object;
}

json resources_of(status_report &report)
{
    json resources = json::array();

    for (const resource_stats &each : report.take_resources()) {
        resources.push_back({{"handler", each.handler()},
                             {"key", each.key()},
                             {"clients", each.clients},
                             {"messages", each.messages},
                             {"last", to_string(each.last)}});
    }

    return resources;
}

json object_of(const redis_stats &redis)
{
    json object{{"state", redis.up ? "up" : "down"},
                {"leader", redis.leader ? json(*redis.leader) : json()}};

    add_metrics(object, metrics::redis_metrics, redis);
    return object;
}

} // namespace

std::string status_as_json(status_report &report)
{
    json object{{"version", module_version},
                {"time", report.time},
                {"uptime", report.uptime() / 1000},
                {"workers", workers_of(report)},
                {"total", object_of(report.total)},
                {"handlers", handlers_of(report)},
                {"zone", object_of(report.zone)},
                {"resources", resources_of(report)}};

    if (report.redis) {
        object["redis"] = object_of(*report.redis);
    }

    // Clients choose keys: invalid UTF-8 in them is replaced, and other than
    // ASCII is escaped, as a terminal may show the text.
    return object.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
}

} // namespace websocket::nginx
