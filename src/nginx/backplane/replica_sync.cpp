// Reads missed messages from the stream, page by page.
#include "nginx/backplane/replica.hpp"

#include "nginx/backplane/publisher.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <array>
#include <optional>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::string_view page_size = "1048576";

// Logs a gap. Clients see it in the log.
void log_gap(const std::string &name) noexcept
{
    static log_throttle line;

    host_redis_counters().gaps.add(1);

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: Redis no longer has all messages of \"%V\" that "
                  "this host missed: its clients get a gap%V",
                  name, permit.suppressed());
    }
}

void log_sync_failed(std::string_view reason) noexcept
{
    static log_throttle line;

    log_refused(line, "return missed messages", reason, "retrying");
}

// Parses an entry of a stream: its sequence, and names and values in the order
// of the script.
std::optional<redis::log_entry> parse_entry(const redisReply &entry,
                                            std::uint64_t epoch) noexcept
{
    const auto parts = list_in(&entry);

    if (parts.size() != 2) {
        return std::nullopt;
    }

    const auto fields = list_in(parts[1]);
    const auto id = redis::parse_message_id(text_in(parts[0]));

    if (!id || fields.size() != 8) {
        return std::nullopt;
    }

    const auto kind = detail::decimal(text_in(fields[1]));
    const auto from = detail::decimal(text_in(fields[3]));
    const auto time = detail::decimal(text_in(fields[5]));

    if (!kind || !is_message(*kind) || !from || !time) {
        return std::nullopt;
    }

    redis::log_entry result;

    result.id = {epoch, id->sequence};
    result.kind = static_cast<std::uint8_t>(*kind);
    result.from = *from;
    result.time = *time;
    result.payload = text_in(fields[7]);
    return result;
}

} // namespace

void replica::sync()
{
    const broker::description known =
        worker_bus::broker().describe(name_, worker_bus::now());

    if (!known.exists) {
        state_ = state::due; // it was removed, and will be unfollowed
        return;
    }

    present_waiters_.append(next_waiters_); // and those of an unfinished sync
    last_ = known.external ? known.last : broker::message_id{};

    const broker::limits kept = stream_limits_of(known.history);
    const std::string_view uid = worker_bus::zone().host.uid();
    const std::array<std::string, 6> keys{
        redis::position_key(name_), redis::stream_key(name_),
        redis::clients_key(name_),  redis::host_resources_key(shard_, uid),
        redis::hosts_key(shard_),   redis::lease_key(shard_, uid)};
    const std::string clients = std::to_string(known.local_clients);
    const std::string epoch = std::to_string(last_.epoch);
    const std::string sequence = std::to_string(last_.sequence);
    const std::string known_run = std::to_string(known.run);
    const std::string max_messages = std::to_string(kept.messages);
    const std::string lifetime = std::to_string(kept.milliseconds);
    const std::string_view counted = lost_since_.epoch != 0 ? "r"
                                     : counted_             ? "c"
                                                            : "";
    const std::string bytes =
        std::to_string(main_conf_of(*ngx_cycle).room_memory);
    const std::array<std::string_view, 10> arguments{
        clients,      name_,    epoch,     sequence, known_run,
        max_messages, lifetime, page_size, counted,  bytes};

    sync_again_ = false;
    sync_number_ = ++shared_.last_sync_number;
    state_ =
        shared_.request_sync({redis::script::sync, shard_, keys, arguments},
                             name_, sync_number_)
            ? state::syncing
            : state::due;

    announced_clients_ = known.local_clients;
    counted_ = known.local_clients != 0;
}

void replica::on_sync_reply(const redisReply &reply, std::uint64_t number)
{
    if (state_ != state::syncing || number != sync_number_) {
        return; // requested before the connection was lost
    }

    if (const std::string_view error = error_in(&reply); !error.empty()) {
        log_sync_failed(error);
        state_ = state::due;
        return;
    }

    apply_page(reply);
}

void replica::apply_page(const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const auto number = [&parts](std::size_t at) {
        return parts.size() == 7 ? detail::decimal(text_in(parts[at]))
                                 : std::nullopt;
    };
    const auto epoch = number(0);
    const auto end = number(1);
    const auto before = number(2);

    if (!epoch || !end || !before) {
        log_sync_failed("unexpected reply");
        state_ = state::due;
        return;
    }

    const broker::description known =
        worker_bus::broker().describe(name_, worker_bus::now());

    if (last_.epoch != 0 && !known.external) {
        sync(); // it was removed as unused, so more messages are needed
        return;
    }

    // The run first: publishers of other workers may read both in between
    set_run(shared_.redis.run_id_hash(shard_));
    align_to({*epoch, *before}, known);

    const broker::message_id begin = last_;

    for (const redisReply *entry : list_in(parts[3])) {
        if (!apply_entry(*entry)) {
            break;
        }
    }

    read_counts(*parts[4]);
    counted_at_ = redis::parse_message_id(text_in(parts[5]))
                      .value_or(broker::message_id{});

    if (lost_since_.epoch != 0) {
        last_close_ = text_in(parts[6]);
    }

    if (last_.sequence < *end && last_ == begin) {
        record_gap({*epoch, *end}); // its entries are missing or invalid
    }

    last_.sequence < *end ? sync() : finish_sync();
}

void replica::set_run(std::uint32_t run) noexcept
{
    if (run != std::exchange(run_, run)) {
        (void)worker_bus::broker().mark_run(name_, run);
    }
}

void replica::read_counts(const redisReply &counts)
{
    const auto hosts = list_in(&counts);
    const bool may_miss_hosts = lost_since_.epoch != 0;
    auto before = std::exchange(other_hosts_, {});

    for (std::size_t i = 0; i + 1 < hosts.size(); i += 2) {
        if (text_in(hosts[i]) != worker_bus::zone().host.uid()) {
            const auto clients = detail::decimal(text_in(hosts[i + 1]));

            other_hosts_.insert_or_assign(
                std::string(text_in(hosts[i])),
                other_host{static_cast<std::uint32_t>(clients.value_or(0)), 0});
        }
    }

    // Hosts that Redis has lost will announce themselves again
    for (auto &[name, host] : before) {
        if (host.missed_since == 0 && may_miss_hosts) {
            host.missed_since = ngx_current_msec;
        }
    }

    std::erase_if(
        before, [](const auto &host) { return host.second.missed_since == 0; });
    misses_hosts_ = !before.empty();
    other_hosts_.merge(before);
    update_remote_clients();
}

// Aligns the log to the beginning of a page. The log may be in another epoch,
// or end before the page if messages were removed.
void replica::align_to(broker::message_id before,
                       const broker::description &known)
{
    if (known.external && known.last.epoch == before.epoch &&
        known.last.sequence >= before.sequence) {
        last_ = known.last;
        return;
    }

    if (known.external) {
        record_gap(before);
        return;
    }

    worker_bus::wake(
        worker_bus::broker()
            .reset_position(name_, before, false, worker_bus::now())
            .wake);
    last_ = before;
}

// Messages up to `before` are lost for subscriptions that have not read them.
void replica::record_gap(broker::message_id before)
{
    worker_bus::wake(worker_bus::broker()
                         .reset_position(name_, before, true, worker_bus::now())
                         .wake);
    last_ = before;
    log_gap(name_);
}

bool replica::apply_entry(const redisReply &entry)
{
    const auto message = parse_entry(entry, last_.epoch);

    if (!message) {
        return false;
    }

    if (message->id.sequence > last_.sequence + 1) {
        record_gap({last_.epoch, message->id.sequence - 1});
    }

    const broker::append_result done = worker_bus::broker().append_external(
        name_,
        {.payload = std::as_bytes(std::span(message->payload)),
         .from = message->from,
         .time = message->time,
         .kind = message->kind},
        message->id, worker_bus::now());

    worker_bus::log_dropped(name_, done);
    worker_bus::wake(done.wake);
    host_redis_counters().recovered.add(done.result == broker::outcome::done);
    last_ = message->id;
    return true;
}

std::uint64_t replica::lifetime() const noexcept
{
    return stream_limits_of(
               worker_bus::broker().describe(name_, worker_bus::now()).history)
        .milliseconds;
}

} // namespace websocket::nginx
