// The figures in Prometheus's text format, version 0.0.4.
//
// Counters are those of a slot, whose label "worker" stays the same over
// reloads, so that none ever goes down. Resources are not told of one by one:
// clients may choose their names, and each would be a series for good.
#include "nginx/core/version.hpp"
#include "nginx/status/report.hpp"

#include <initializer_list>
#include <utility>

namespace websocket::nginx {

namespace {

using label = std::pair<std::string_view, std::string_view>;

// Only what the format knows an escape for needs one.
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
    // What follows are samples of this.
    void family(std::string_view name, std::string_view type,
                std::string_view help)
    {
        name_ = std::string("nginx_websocket_").append(name);
        text_.append("# HELP ").append(name_).append(" ").append(help);
        text_.append("\n# TYPE ").append(name_).append(" ").append(type);
        text_ += '\n';
    }

    void sample(std::initializer_list<label> labels, const std::string &value)
    {
        text_ += name_;

        const char *before = "{";
        for (const auto &[name, of] : labels) {
            text_.append(before).append(name).append("=\"");
            append_escaped(text_, of);
            text_ += '"';
            before = ",";
        }

        text_.append(labels.size() == 0 ? " " : "} ").append(value);
        text_ += '\n';
    }

    void sample(std::initializer_list<label> labels, std::uint64_t value)
    {
        sample(labels, std::to_string(value));
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

// One sample for each slot.
void add_counter(exposition &to, const status_report &report,
                 std::string_view name, std::string_view help,
                 counters::counter_id what)
{
    to.family(name, "counter", help);

    for (const slot_tally &each : report.slots) {
        to.sample({{"worker", std::to_string(each.slot)}},
                  each.all.counted[what]);
    }
}

void add_both_ways(exposition &to, const status_report &report,
                   std::string_view name, std::string_view help,
                   counters::counter_id in, counters::counter_id out)
{
    to.family(name, "counter", help);

    for (const slot_tally &each : report.slots) {
        const std::string worker = std::to_string(each.slot);

        to.sample({{"worker", worker}, {"direction", "in"}},
                  each.all.counted[in]);
        to.sample({{"worker", worker}, {"direction", "out"}},
                  each.all.counted[out]);
    }
}

void add_codes(exposition &to, std::string_view label_name,
               const std::string &worker, const tally::by_code &counts)
{
    for (const auto &[code, count] : counts) {
        to.sample({{"worker", worker},
                   {label_name, code == 0 ? "other" : std::to_string(code)}},
                  count);
    }
}

void add_clients(exposition &to, const status_report &report)
{
    to.family("clients", "gauge", "Clients that are connected now.");

    for (const slot_tally &each : report.slots) {
        to.sample({{"worker", std::to_string(each.slot)}}, each.all.clients);
    }

    to.family("handler_clients", "gauge",
              "Clients that are connected now, by resource handler.");

    for (const handler_tally &each : report.handlers) {
        to.sample({{"handler", each.name}}, each.clients);
    }
}

void add_workers(exposition &to, const status_report &report)
{
    std::uint64_t serving = 0;
    std::uint64_t draining = 0;

    for (const slot_tally &each : report.slots) {
        if (each.pid != 0) {
            (each.draining ? draining : serving)++;
        }
    }

    to.family("workers", "gauge", "Worker processes that are there now.");
    to.sample({{"state", "serving"}}, serving);
    to.sample({{"state", "draining"}}, draining);
}

void add_handshakes(exposition &to, const status_report &report)
{
    to.family("handshakes_total", "counter",
              "Opening handshakes, by the status they were answered with.");

    for (const slot_tally &each : report.slots) {
        const std::string worker = std::to_string(each.slot);

        to.sample({{"worker", worker}, {"status", "101"}},
                  each.all.counted[counters::accepted]);
        add_codes(to, "status", worker, each.all.refused);
    }
}

void add_closes(exposition &to, const status_report &report)
{
    to.family("closes_total", "counter",
              "Connections that came to their end, by close code.");

    for (const slot_tally &each : report.slots) {
        add_codes(to, "code", std::to_string(each.slot), each.all.closed);
    }
}

void add_zone(exposition &to, const broker::usage &zone)
{
    to.single("zone_size_bytes", "gauge",
              "Shared memory that there is for logs and messages.", zone.size);
    to.single("zone_used_bytes", "gauge",
              "Shared memory that is in use for them.", zone.used);
    to.single("zone_logs", "gauge", "Resources that are known.", zone.logs);
    to.single("zone_subscriptions", "gauge",
              "Resources that workers have clients of, for each worker.",
              zone.subscriptions);
    to.single("zone_entries", "gauge", "Messages in the shared memory.",
              zone.entries);
    to.single("zone_dropped_unread_total", "counter",
              "Messages dropped for want of room before all had read them.",
              zone.dropped_unread);
    to.single("zone_dropped_history_total", "counter",
              "Messages of histories dropped for want of room.",
              zone.dropped_history);
    to.single("zone_dropped_room_memory_total", "counter",
              "Messages dropped as their resource held websocket_room_memory.",
              zone.dropped_over_limit);
    to.single("zone_refused_total", "counter",
              "Messages refused for want of room.", zone.refused);
    to.single("zone_repairs_total", "counter",
              "Repairs after a worker was killed at work on it.", zone.repairs);
}

void add_redis(exposition &to, const redis_tally &redis)
{
    to.single("redis_up", "gauge", "Whether the host is in touch with Redis.",
              redis.up ? 1 : 0);
    to.single("redis_resources", "gauge", "Resources followed in Redis.",
              redis.resources);
    to.single("redis_queued", "gauge", "Messages that wait for Redis.",
              redis.queued);
    to.single("redis_queued_bytes", "gauge", "Bytes of memory they take.",
              redis.queued_bytes);
    to.single("redis_reconnects_total", "counter",
              "Times that the host got in touch again.", redis.reconnects);
    to.single("redis_published_total", "counter",
              "Messages that Redis has taken.", redis.published);
    to.single("redis_retried_total", "counter",
              "Of them, those sent again after a break.", redis.retried);
    to.single("redis_failed_total", "counter",
              "Messages that could not be published.", redis.failed);
    to.single("redis_received_total", "counter",
              "Messages that came from Redis.", redis.received);
    to.single("redis_recovered_total", "counter",
              "Messages read from streams behind a break.", redis.recovered);
    to.single("redis_gaps_total", "counter",
              "Times that streams had lost what the host had missed.",
              redis.gaps);
}

std::string in_seconds(std::uint64_t milliseconds)
{
    const std::string rest = std::to_string(1000 + milliseconds % 1000);

    return std::to_string(milliseconds / 1000) + "." + rest.substr(1);
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
    add_both_ways(to, report, "messages_total",
                  "Messages received, and accepted for sending.",
                  counters::messages_in, counters::messages_out);
    add_both_ways(to, report, "payload_bytes_total",
                  "Bytes of payload in these messages.", counters::bytes_in,
                  counters::bytes_out);
    add_counter(to, report, "dropped_messages_total",
                "Messages that full send queues did not take, or forgot.",
                counters::dropped);
    add_counter(to, report, "slow_closes_total",
                "Connections ended because the client reads too slowly.",
                counters::slow_closes);
    add_counter(to, report, "losses_total",
                "Times that clients of a resource missed messages.",
                counters::lost);
    add_counter(to, report, "published_total", "Messages published over HTTP.",
                counters::published);
    add_handshakes(to, report);
    add_closes(to, report);
    add_zone(to, report.zone);

    if (report.redis) {
        add_redis(to, *report.redis);
    }

    return to.take();
}

} // namespace websocket::nginx
