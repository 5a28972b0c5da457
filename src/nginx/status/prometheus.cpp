// Writes the report in Prometheus's text format, version 0.0.4.
//
// Counters are the totals of a slot, so that none goes down after a reload; the
// label "worker" is the slot. There are no samples of single resources: clients
// may choose their names, and each name would be a series for ever.
#include "nginx/core/version.hpp"
#include "nginx/status/metrics.hpp"
#include "nginx/status/report.hpp"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>

namespace websocket::nginx {

namespace {

using label = std::pair<std::string_view, std::string_view>;

// Escapes the three characters for which the format has an escape.
void append_escaped(std::string &text, std::string_view value)
{
    for (const char c : value) {
        if (c == '\\' || c == '"') {
            text += '\\';
            text += c;
        } else if (c == '\n') {
            text += "\\n";
        } else {
            text += c;
        }
    }
}

class exposition {
public:
    // Begins a family: the next samples belong to it.
    void family(std::string_view name, std::string_view type,
                std::string_view help)
    {
        name_ = std::string("nginx_websocket_").append(name);
        text_.append("# HELP ").append(name_).append(" ").append(help);
        text_.append("\n# TYPE ").append(name_).append(" ").append(type);
        text_ += '\n';
    }

    void sample(std::initializer_list<label> labels, const std::string &value,
                std::string_view suffix = {})
    {
        text_.append(name_).append(suffix);

        const char *before = "{";
        for (const auto &[name, label_value] : labels) {
            text_.append(before).append(name).append("=\"");
            append_escaped(text_, label_value);
            text_ += '"';
            before = ",";
        }

        text_.append(labels.size() == 0 ? " " : "} ").append(value);
        text_ += '\n';
    }

    void sample(std::initializer_list<label> labels, std::uint64_t value,
                std::string_view suffix = {})
    {
        sample(labels, std::to_string(value), suffix);
    }

    void single(std::string_view name, std::string_view type,
                std::string_view help, std::uint64_t value)
    {
        family(name, type, help);
        sample({}, value);
    }

    std::string take() { return std::move(text_); }

private:
    std::string name_;
    std::string text_;
};

void add_worker_counter(exposition &to, const slot_stats &slot,
                        const metrics::worker_counter &counter)
{
    const std::string worker = std::to_string(slot.slot);
    const std::uint64_t value = slot.all.counted[counter.id];

    if (counter.direction.empty()) {
        to.sample({{"worker", worker}}, value);
    } else {
        to.sample({{"worker", worker}, {"direction", counter.direction}},
                  value);
    }
}

void add_worker_counters(exposition &to, const status_report &report)
{
    std::span<const metrics::worker_counter> rows{metrics::worker_counters};

    while (!rows.empty()) {
        const metrics::worker_counter &first = rows.front();
        const auto end = std::ranges::find_if(rows, [&](const auto &each) {
            return each.family != first.family;
        });
        const std::span family(rows.begin(), end);

        to.family(first.family, "counter", first.help);

        for (const slot_stats &slot : report.slots) {
            for (const metrics::worker_counter &each : family) {
                add_worker_counter(to, slot, each);
            }
        }

        rows = rows.subspan(family.size());
    }
}

void add_codes(exposition &to, std::string_view label_name,
               const std::string &worker, const worker_stats::by_code &counts)
{
    for (const auto &[code, count] : counts) {
        to.sample({{"worker", worker},
                   {label_name, code == 0 ? "other" : std::to_string(code)}},
                  count);
    }
}

void add_clients(exposition &to, const status_report &report)
{
    to.family("clients", "gauge", "Connected clients.");

    for (const slot_stats &each : report.slots) {
        to.sample({{"worker", std::to_string(each.slot)}}, each.all.clients);
    }

    to.family("handler_clients", "gauge", "Connected clients, by handler.");

    for (const handler_stats &each : report.handlers) {
        to.sample({{"handler", each.name}}, each.clients);
    }

    if (report.handlers.empty() || !report.handlers.front().users) {
        return;
    }

    to.family("handler_users", "gauge", "Users with clients, by handler.");

    for (const handler_stats &each : report.handlers) {
        to.sample({{"handler", each.name}}, each.users.value_or(0));
    }
}

void add_workers(exposition &to, const status_report &report)
{
    std::uint64_t serving = 0;
    std::uint64_t draining = 0;

    for (const slot_stats &each : report.slots) {
        if (each.pid != 0) {
            (each.draining ? draining : serving)++;
        }
    }

    to.family("workers", "gauge", "Live worker processes.");
    to.sample({{"state", "serving"}}, serving);
    to.sample({{"state", "draining"}}, draining);
}

void add_handshakes(exposition &to, const status_report &report)
{
    to.family("handshakes_total", "counter",
              "Opening handshakes, by status of the response.");

    for (const slot_stats &each : report.slots) {
        const std::string worker = std::to_string(each.slot);

        to.sample({{"worker", worker}, {"status", "101"}},
                  each.all.counted[counters::accepted]);
        add_codes(to, "status", worker, each.all.refused);
    }
}

void add_closes(exposition &to, const status_report &report)
{
    to.family("closes_total", "counter", "Ended connections, by close code.");

    for (const slot_stats &each : report.slots) {
        add_codes(to, "code", std::to_string(each.slot), each.all.closed);
    }
}

template <class Rows, class Source>
void add_metrics(exposition &to, const Rows &rows, const Source &source)
{
    for (const auto &each : rows) {
        to.single(each.family,
                  each.type == metrics::kind::gauge ? "gauge" : "counter",
                  each.help, each.value(source));
    }
}

void add_redis(exposition &to, const redis_stats &redis)
{
    to.single("redis_up", "gauge", "Whether the host is connected to Redis.",
              redis.up ? 1 : 0);
    add_metrics(to, metrics::redis_metrics, redis);
}

std::string in_seconds(std::uint64_t milliseconds)
{
    const std::string rest = std::to_string(1000 + milliseconds % 1000);

    return std::to_string(milliseconds / 1000) + "." + rest.substr(1);
}

void add_http(exposition &to, const http_stats &http)
{
    to.single("http_events_total", "counter", "Events sent to HTTP backends.",
              http.events);
    to.single("http_events_out", "gauge",
              "Events whose answers have not come yet.", http.out);
    to.single("http_events_waiting", "gauge",
              "Events that wait because of the concurrency.", http.waiting);
    to.family("http_events_failed_total", "counter",
              "Events without a valid answer, by reason.");

    for (std::size_t i = 0; i != http.failed.size(); i++) {
        to.sample({{"reason", counters::failure_names[i]}}, http.failed[i]);
    }

    std::uint64_t count = 0;

    to.family("http_event_seconds", "histogram",
              "Time from the sending of an event to the end of its answer.");

    for (std::size_t i = 0; i != counters::latency_bounds.size(); i++) {
        count += http.latency[i];
        to.sample({{"le", in_seconds(counters::latency_bounds[i])}}, count,
                  "_bucket");
    }

    count += http.latency.back();
    to.sample({{"le", "+Inf"}}, count, "_bucket");
    to.sample({}, in_seconds(http.milliseconds), "_sum");
    to.sample({}, count, "_count");
}

} // namespace

std::string status_as_prometheus(status_report &report)
{
    exposition to;

    to.family("build_info", "gauge", "The version of the module.");
    to.sample({{"version", module_version}}, 1);
    to.family("start_time_seconds", "gauge",
              "When the counts began, in seconds since 1970.");
    to.sample({}, in_seconds(report.started));
    add_workers(to, report);
    add_clients(to, report);
    add_worker_counters(to, report);
    add_handshakes(to, report);
    add_closes(to, report);
    add_metrics(to, metrics::zone_metrics, report.zone);

    if (report.redis) {
        add_redis(to, *report.redis);
    }

    if (report.http) {
        add_http(to, *report.http);
    }

    return to.take();
}

} // namespace websocket::nginx
