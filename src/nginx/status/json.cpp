// Writes the report as one JSON object.
//
// Only strings are encoded by nlohmann's library: the destructors of its
// objects and arrays allocate memory, so want of memory would end the process.
#include "nginx/core/version.hpp"
#include "nginx/status/metrics.hpp"
#include "nginx/status/report.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace websocket::nginx {

namespace {

// Clients choose keys: invalid UTF-8 in them is replaced, and other than ASCII
// is escaped, as a terminal may show the text.
std::string quoted(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', true,
                                     nlohmann::json::error_handler_t::replace);
}

// Members of an object follow each other as name() and a value.
class json_text {
public:
    void begin(char bracket)
    {
        separate();
        text_ += bracket;
        follows_ = false;
    }
    void end(char bracket)
    {
        text_ += bracket;
        follows_ = true;
    }

    // Must not contain characters that JSON escapes.
    json_text &name(std::string_view name)
    {
        separate();
        text_.append("\"").append(name).append("\":");
        follows_ = false;
        return *this;
    }

    void number(std::uint64_t value) { raw(std::to_string(value)); }
    void string(std::string_view value) { raw(quoted(value)); }
    void null() { raw("null"); }

    std::string take() { return std::move(text_); }

private:
    void separate()
    {
        if (follows_) {
            text_ += ',';
        }
    }
    void raw(std::string_view value)
    {
        separate();
        text_ += value;
        follows_ = true;
    }

    std::string text_;
    bool follows_ = false; // after a value
};

// Codes that were never counted are left out.
void add_codes(json_text &to, const worker_stats::by_code &counts)
{
    to.begin('{');

    for (const auto &[code, count] : counts) {
        if (code != 0) {
            to.name(std::to_string(code)).number(count);
        }
    }

    if (const auto other = counts.find(0); other != counts.end()) {
        to.name("other").number(other->second);
    }

    to.end('}');
}

// Adds members to an object.
void add_stats(json_text &to, const worker_stats &stats)
{
    to.name("clients").number(stats.clients);

    for (const metrics::worker_counter &each : metrics::worker_counters) {
        to.name(each.key).number(stats.counted[each.id]);
    }

    to.name("handshakes").begin('{');
    to.name("accepted").number(stats.counted[counters::accepted]);
    add_codes(to.name("refused"), stats.refused);
    to.end('}');

    add_codes(to.name("close_codes"), stats.closed);
}

template <class Rows, class Source>
void add_metrics(json_text &to, const Rows &rows, const Source &source)
{
    for (const auto &each : rows) {
        to.name(each.key).number(each.value(source));
    }
}

void add_workers(json_text &to, const status_report &report)
{
    to.name("workers").begin('[');

    for (const slot_stats &each : report.slots) {
        if (each.pid != 0) {
            to.begin('{');
            to.name("slot").number(each.slot);
            to.name("pid").number(static_cast<std::uint64_t>(each.pid));
            to.name("state").string(each.draining ? "draining" : "serving");
            add_stats(to, each.worker);
            to.end('}');
        }
    }

    to.end(']');
}

void add_handlers(json_text &to, const status_report &report)
{
    to.name("handlers").begin('[');

    for (const handler_stats &each : report.handlers) {
        to.begin('{');
        to.name("name").string(each.name);
        to.name("clients").number(each.clients);

        if (each.users) {
            to.name("users").number(*each.users);
        }

        to.end('}');
    }

    to.end(']');
}

void add_resources(json_text &to, status_report &report)
{
    to.name("resources").begin('[');

    for (const resource_stats &each : report.take_resources()) {
        to.begin('{');
        to.name("handler").string(each.handler());
        to.name("key").string(each.key());
        to.name("clients").number(each.clients);
        to.name("messages").number(each.messages);
        to.name("last").string(to_string(each.last));
        to.end('}');
    }

    to.end(']');
}

void add_redis(json_text &to, const redis_stats &redis)
{
    to.name("redis").begin('{');
    to.name("state").string(redis.up ? "up" : "down");
    to.name("leader");

    if (redis.leader) {
        to.number(*redis.leader);
    } else {
        to.null();
    }

    add_metrics(to, metrics::redis_metrics, redis);
    to.end('}');
}

void add_http(json_text &to, const http_stats &http)
{
    to.name("http").begin('{');
    to.name("events").number(http.events);
    to.name("out").number(http.out);
    to.name("waiting").number(http.waiting);
    to.name("failed").begin('{');

    for (std::size_t i = 0; i != http.failed.size(); i++) {
        to.name(counters::failure_names[i]).number(http.failed[i]);
    }

    to.end('}');
    to.name("milliseconds").number(http.milliseconds);
    to.name("latency").begin('{');

    for (std::size_t i = 0; i != http.latency.size(); i++) {
        to.name(i == counters::latency_bounds.size()
                    ? "more"
                    : std::to_string(counters::latency_bounds[i]))
            .number(http.latency[i]);
    }

    to.end('}');
    to.end('}');
}

} // namespace

std::string status_as_json(status_report &report)
{
    json_text to;

    to.begin('{');
    to.name("version").string(module_version);
    to.name("time").number(report.time);
    to.name("uptime").number(report.uptime() / 1000);
    add_workers(to, report);

    to.name("total").begin('{');
    add_stats(to, report.total);
    to.end('}');

    add_handlers(to, report);

    to.name("zone").begin('{');
    add_metrics(to, metrics::zone_metrics, report.zone);
    to.end('}');

    add_resources(to, report);

    if (report.redis) {
        add_redis(to, *report.redis);
    }

    if (report.http) {
        add_http(to, *report.http);
    }

    to.end('}');
    return to.take() + "\n";
}

} // namespace websocket::nginx
