// Collects the statistics of all workers, of the broker, and of the resources
// with the most clients.
#include "nginx/status/report.hpp"

#include "nginx/core/process_exists.hpp"
#include "nginx/identity/member_scopes.hpp"
#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

namespace websocket::nginx {

namespace {

// Limits of one hold of the lock, and of one step of the event loop.
constexpr std::size_t logs_per_lock = 256;
constexpr std::size_t locks_per_step = 8;

struct scan_buffers {
    std::array<broker::scanned_log, logs_per_lock> logs;
    std::array<std::byte, 4 * broker::max_name_size> names;
};

scan_buffers status_buffers;

using counts = std::array<std::uint64_t, counters::counter_count>;

struct slot_snapshot {
    ngx_pid_t pid = 0;
    bool draining = false;
    std::uint64_t clients = 0;
    counts totals;
    counts baseline;
};

void read_counts(
    const std::array<counters::counter, counters::counter_count> &from,
    counts &to) noexcept
{
    std::transform(from.begin(), from.end(), to.begin(),
                   [](const counters::counter &each) { return each.get(); });
}

// The pid is 0 if the worker changed meanwhile, as its counts are then unknown.
slot_snapshot read_slot(const counters::slot_counters &block) noexcept
{
    slot_snapshot snapshot;
    const ngx_pid_t pid = block.pid.load();

    snapshot.draining = block.draining.get() != 0;
    snapshot.clients = block.clients.get();
    read_counts(block.baseline, snapshot.baseline);
    read_counts(block.totals, snapshot.totals);
    std::atomic_thread_fence(std::memory_order_acquire);

    snapshot.pid = process_exists(pid) && block.pid.load() == pid ? pid : 0;
    return snapshot;
}

void add_code(worker_stats::by_code &into, std::uint16_t code,
              std::uint64_t count)
{
    if (count != 0) {
        into[code] += count;
    }
}

worker_stats stats_of(const counts &from, const counters::slot_counters &block)
{
    worker_stats stats;

    std::copy_n(from.begin(), stats.counted.size(), stats.counted.begin());

    for (std::size_t i = 0; i != counters::known_statuses.size(); i++) {
        add_code(stats.refused, counters::known_statuses[i],
                 from[counters::refused_index + i]);
    }

    for (std::size_t i = 0; i != counters::extra_statuses; i++) {
        add_code(stats.refused, block.statuses[i].get(),
                 from[counters::extra_refused_index + i]);
    }

    for (std::size_t i = 0; i != counters::known_close_codes; i++) {
        add_code(stats.closed,
                 static_cast<std::uint16_t>(counters::first_close_code + i),
                 from[counters::closed_index + i]);
    }

    for (std::size_t i = 0; i != counters::extra_close_codes; i++) {
        add_code(stats.closed, block.close_codes[i].get(),
                 from[counters::extra_closed_index + i]);
    }

    add_code(stats.refused, 0, from[counters::other_refused_index]);
    add_code(stats.closed, 0, from[counters::other_closed_index]);
    return stats;
}

slot_stats stats_of_slot(unsigned slot, const counters::slot_counters &block)
{
    const slot_snapshot read = read_slot(block);
    slot_stats stats{.slot = slot,
                     .pid = read.pid,
                     .draining = read.draining,
                     .worker = {},
                     .all = stats_of(read.totals, block)};

    if (stats.pid != 0) {
        counts since;

        std::transform(read.totals.begin(), read.totals.end(),
                       read.baseline.begin(), since.begin(), std::minus<>());
        stats.worker = stats_of(since, block);
        stats.worker.clients = stats.all.clients = read.clients;
    }

    return stats;
}

// Resources with equal numbers are sorted by name, so that the order is stable.
bool comes_before(const resource_stats &a, const resource_stats &b) noexcept
{
    return std::tie(b.clients, b.messages, a.name) <
           std::tie(a.clients, a.messages, b.name);
}

std::vector<handler_stats> handlers_of(const main_configuration &conf)
{
    const std::span handlers{
        static_cast<const websocket_handler_t **>(conf.handlers.elts),
        conf.handlers.nelts};
    std::vector<handler_stats> stats;

    for (const websocket_handler_t *handler : handlers) {
        stats.push_back({.name = handler->name});

        if (conf.has_users) {
            stats.back().users =
                worker_bus::broker().count_users(users_of(handler->name));
        }
    }

    return stats;
}

redis_stats redis_of(const shared_zone &shared) noexcept
{
    redis_stats stats{.counters = shared.redis,
                      .up = worker_bus::broker().link_generation() != 0,
                      .leader = worker_bus::broker().leader()};

    for (const counters::slot_counters &block :
         std::span(shared.slot_counters, shared.slots)) {
        if (counters::in_use(block)) {
            stats.waiting += block.waiting.get();
            stats.disconnected += block.disconnected.get();
            stats.queued += block.queued.get();
            stats.queued_bytes += block.queued_bytes.get();
        }
    }

    return stats;
}

bool has_http(const main_configuration &conf) noexcept
{
    const auto *locations = static_cast<const handler_location *>(
        conf.locations == nullptr ? nullptr : conf.locations->elts);

    return locations != nullptr &&
           std::any_of(locations, locations + conf.locations->nelts,
                       [](const handler_location &each) {
                           return each.conf->backend != nullptr;
                       });
}

template <class From, class To>
void add_all(const From &from, To &to) noexcept
{
    std::transform(
        from.begin(), from.end(), to.begin(), to.begin(),
        [](const auto &each, std::uint64_t sum) { return sum + each.get(); });
}

http_stats http_of(const shared_zone &shared) noexcept
{
    http_stats stats;

    for (const counters::slot_counters &block :
         std::span(shared.slot_counters, shared.slots)) {
        const counters::http_counters &http = block.http;

        stats.events += http.events.get();
        stats.milliseconds += http.milliseconds.get();
        add_all(http.failed, stats.failed);
        add_all(http.latency, stats.latency);

        if (counters::in_use(block)) {
            stats.out += http.out.get();
            stats.waiting += http.waiting.get();
        }
    }

    return stats;
}

} // namespace

worker_stats &worker_stats::operator+=(const worker_stats &other)
{
    clients += other.clients;
    std::transform(counted.begin(), counted.end(), other.counted.begin(),
                   counted.begin(), std::plus<>());

    for (const auto &[code, count] : other.refused) {
        refused[code] += count;
    }

    for (const auto &[code, count] : other.closed) {
        closed[code] += count;
    }

    return *this;
}

// A key may contain colons, a handler's name does not.
std::string_view resource_stats::handler() const noexcept
{
    return std::string_view(name).substr(0, name.find(':'));
}

std::string_view resource_stats::key() const noexcept
{
    return std::string_view(name).substr(name.find(':') + 1);
}

status_report::status_report(const main_configuration &conf)
    : time{worker_bus::host_time()}, started{worker_bus::zone().created_at},
      handlers{handlers_of(conf)}, zone{worker_bus::broker().measure()}
{
    const shared_zone &shared = worker_bus::zone();

    if (conf.redis != nullptr) {
        redis.emplace(redis_of(shared));
    }

    if (has_http(conf)) {
        http.emplace(http_of(shared));
    }

    for (unsigned i = 0; i != shared.slots; i++) {
        const counters::slot_counters &block = shared.slot_counters[i];

        if (block.generations.get() != 0) {
            slots.push_back(stats_of_slot(i, block));
            total += slots.back().all;
        }
    }
}

// 0 if the clock was set back.
std::uint64_t status_report::uptime() const noexcept
{
    return std::max(time, started) - started;
}

bool status_report::collect()
{
    bool more = true;

    for (std::size_t i = 0; i != locks_per_step && more; i++) {
        const broker::scan_result found = worker_bus::broker().scan(
            cursor_, {status_buffers.names, status_buffers.logs},
            2 * logs_per_lock);

        for (std::size_t log = 0; log != found.count; log++) {
            add(status_buffers.logs[log]);
        }

        more = found.more;
    }

    return more;
}

void status_report::add(const broker::scanned_log &log)
{
    if (is_control_log(log.name)) {
        zone.logs--; // not a resource
        zone.subscriptions -=
            worker_bus::broker().count_subscriptions(log.name);
        return;
    }

    const std::string_view handler = log.name.substr(0, log.name.find(':'));
    const auto known =
        std::find_if(handlers.begin(), handlers.end(),
                     [&](const auto &each) { return each.name == handler; });

    if (known != handlers.end()) {
        known->clients += log.clients - log.remote_clients;
    }

    const bool full = top_.size() == max_resources;

    if (full && log.clients < top_.front().clients) {
        return;
    }

    resource_stats stats{.name = std::string(log.name),
                         .clients = log.clients,
                         .messages = log.messages,
                         .last = log.last};

    if (full) {
        if (!comes_before(stats, top_.front())) {
            return;
        }
        std::pop_heap(top_.begin(), top_.end(), comes_before);
        top_.pop_back();
    }

    top_.push_back(std::move(stats));
    std::push_heap(top_.begin(), top_.end(), comes_before);
}

std::vector<resource_stats> status_report::take_resources()
{
    std::sort_heap(top_.begin(), top_.end(), comes_before);
    return std::move(top_);
}

} // namespace websocket::nginx
