// Collects the figures of all workers, of the broker, and of the resources
// with the most clients.
#include "nginx/status/report.hpp"

#include "nginx/workers/control_channel.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

#include <signal.h>

namespace websocket::nginx {

namespace {

// The lock is left so often that others hardly wait, and the event loop too.
constexpr std::size_t logs_of_a_lock = 256;
constexpr std::size_t locks_of_a_step = 8;

struct status_survey {
    std::array<broker::scanned_log, logs_of_a_lock> logs;
    std::array<std::byte, 4 * broker::max_name_size> names;
};

status_survey status_buffers;

using counts = std::array<std::uint64_t, counters::counter_count>;

struct reading {
    ngx_pid_t pid = 0;
    bool draining = false;
    std::uint64_t clients = 0;
    counts all;
    counts before;
};

void read_counts(
    const std::array<counters::counter, counters::counter_count> &from,
    counts &to) noexcept
{
    std::transform(from.begin(), from.end(), to.begin(),
                   [](const counters::counter &each) { return each.get(); });
}

bool alive(ngx_pid_t pid) noexcept
{
    return pid != 0 && (kill(pid, 0) == 0 || ngx_errno != ESRCH);
}

// Where a worker comes or goes meanwhile, its own figures are not known.
reading read_block(const counters::slot_counters &block) noexcept
{
    reading made;
    const ngx_pid_t pid = block.pid.load();

    made.draining = block.draining.get() != 0;
    made.clients = block.clients.get();
    read_counts(block.baseline, made.before);
    read_counts(block.totals, made.all);
    std::atomic_thread_fence(std::memory_order_acquire);

    made.pid = alive(pid) && block.pid.load() == pid ? pid : 0;
    return made;
}

void put(tally::by_code &into, std::uint16_t code, std::uint64_t count)
{
    if (count != 0) {
        into[code] += count;
    }
}

// Names what lies one behind the other in a slot.
tally tally_of(const counts &from, const counters::slot_counters &block)
{
    tally made;

    std::copy_n(from.begin(), made.counted.size(), made.counted.begin());

    for (std::size_t i = 0; i != counters::known_statuses.size(); i++) {
        put(made.refused, counters::known_statuses[i],
            from[counters::refused_index + i]);
    }

    for (std::size_t i = 0; i != counters::extra_statuses; i++) {
        put(made.refused, block.statuses[i].get(),
            from[counters::extra_refused_index + i]);
    }

    for (std::size_t i = 0; i != counters::known_close_codes; i++) {
        put(made.closed,
            static_cast<std::uint16_t>(counters::first_close_code + i),
            from[counters::closed_index + i]);
    }

    for (std::size_t i = 0; i != counters::extra_close_codes; i++) {
        put(made.closed, block.close_codes[i].get(),
            from[counters::extra_closed_index + i]);
    }

    put(made.refused, 0, from[counters::other_refused_index]);
    put(made.closed, 0, from[counters::other_closed_index]);
    return made;
}

slot_tally tally_of_slot(unsigned slot, const counters::slot_counters &block)
{
    const reading read = read_block(block);
    slot_tally made{.slot = slot,
                    .pid = read.pid,
                    .draining = read.draining,
                    .worker = {},
                    .all = tally_of(read.all, block)};

    if (made.pid != 0) {
        counts since;

        std::transform(read.all.begin(), read.all.end(), read.before.begin(),
                       since.begin(), std::minus<>());
        made.worker = tally_of(since, block);
        made.worker.clients = made.all.clients = read.clients;
    }

    return made;
}

// Equal ones have an order too, so that answers do not differ by chance.
bool comes_before(const resource_tally &a, const resource_tally &b) noexcept
{
    return std::tie(b.clients, b.messages, a.name) <
           std::tie(a.clients, a.messages, b.name);
}

std::vector<handler_tally> handlers_of(const main_configuration &conf)
{
    const std::span handlers{
        static_cast<const websocket_handler_t **>(conf.handlers.elts),
        conf.handlers.nelts};
    std::vector<handler_tally> made;

    for (const websocket_handler_t *handler : handlers) {
        made.push_back({.name = handler->name});
    }

    return made;
}

redis_tally redis_of(const shared_zone &shared) noexcept
{
    const redis_counters &counted = shared.redis;
    const std::uint64_t links = counted.connects.get();
    redis_tally made{.up = worker_bus::broker().link_generation() != 0,
                     .leader = worker_bus::broker().leader(),
                     .resources = counted.resources.load(),
                     .reconnects = links == 0 ? 0 : links - 1,
                     .published = counted.published.get(),
                     .failed = counted.failed.get(),
                     .retried = counted.retried.get(),
                     .received = counted.received.get(),
                     .recovered = counted.recovered.get(),
                     .gaps = counted.gaps.get()};

    for (const counters::slot_counters &block :
         std::span(shared.slot_counters, shared.slots)) {
        if (alive(block.pid.load())) {
            made.queued += block.queued.get();
            made.queued_bytes += block.queued_bytes.get();
        }
    }

    return made;
}

} // namespace

tally &tally::operator+=(const tally &other)
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

// A handler's name holds no colon, a key may.
std::string_view resource_tally::handler() const noexcept
{
    return std::string_view(name).substr(0, name.find(':'));
}

std::string_view resource_tally::key() const noexcept
{
    return std::string_view(name).substr(name.find(':') + 1);
}

status_report::status_report(const main_configuration &conf)
    : time{worker_bus::now()}, started{worker_bus::zone().created_at},
      handlers{handlers_of(conf)}, zone{worker_bus::broker().measure()}
{
    const shared_zone &shared = worker_bus::zone();

    if (conf.redis != nullptr) {
        redis = redis_of(shared);
    }

    for (unsigned i = 0; i != shared.slots; i++) {
        const counters::slot_counters &block = shared.slot_counters[i];

        if (block.generations.get() != 0) {
            slots.push_back(tally_of_slot(i, block));
            total += slots.back().all;
        }
    }
}

// The clock may have been set back.
std::uint64_t status_report::uptime() const noexcept
{
    return std::max(time, started) - started;
}

bool status_report::survey()
{
    bool more = true;

    for (std::size_t i = 0; i != locks_of_a_step && more; i++) {
        const broker::scan_result told = worker_bus::broker().scan(
            cursor_, {status_buffers.names, status_buffers.logs},
            2 * logs_of_a_lock);

        for (std::size_t log = 0; log != told.count; log++) {
            add(status_buffers.logs[log]);
        }

        more = told.more;
    }

    return more;
}

void status_report::add(const broker::scanned_log &log)
{
    if (is_control_log(log.name)) {
        zone.logs--; // it is no resource
        return;
    }

    const std::string_view handler = log.name.substr(0, log.name.find(':'));
    const auto known =
        std::find_if(handlers.begin(), handlers.end(),
                     [&](const auto &each) { return each.name == handler; });

    if (known != handlers.end()) {
        known->clients += log.clients;
    }

    const bool full = top_.size() == most_resources;

    if (full && log.clients < top_.front().clients) {
        return;
    }

    resource_tally made{.name = std::string(log.name),
                        .clients = log.clients,
                        .messages = log.messages,
                        .last = log.last};

    if (full) {
        if (!comes_before(made, top_.front())) {
            return;
        }
        std::pop_heap(top_.begin(), top_.end(), comes_before);
        top_.pop_back();
    }

    top_.push_back(std::move(made));
    std::push_heap(top_.begin(), top_.end(), comes_before);
}

std::vector<resource_tally> status_report::take_resources()
{
    std::sort_heap(top_.begin(), top_.end(), comes_before);
    return std::move(top_);
}

} // namespace websocket::nginx
