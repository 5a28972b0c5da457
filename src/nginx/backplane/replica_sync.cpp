// Reads missed messages from the stream, page by page.
#include "nginx/backplane/replica.hpp"

#include "nginx/backplane/publisher.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <array>
#include <optional>

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

// Parses an entry of a stream: its id, and names and values in the order of the
// script.
std::optional<redis::channel_message>
parse_entry(const redisReply &entry) noexcept
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

    redis::channel_message result;

    result.id = *id;
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
        state_ = state::failed; // it was removed, and will be unfollowed
        return;
    }

    // Waiters of an unfinished sync are kept
    drop_expired(sync_waiters_);
    sync_waiters_.insert(sync_waiters_.end(), next_waiters_.begin(),
                         next_waiters_.end());
    next_waiters_.clear();
    last_ = known.external ? known.last : broker::message_id{};

    // A new log needs only its history. A log with clients that missed messages
    // needs all of them
    const broker::limits kept = stream_limits_of(known.history);
    const std::uint64_t wanted =
        known.external ? kept.messages : known.history.messages;
    const std::string uid(worker_bus::zone().host.uid());
    const std::array<std::string, 5> keys{
        redis::position_key(name_), redis::stream_key(name_),
        redis::clients_key(name_), redis::host_resources_key(uid),
        redis::hosts_key()};
    const std::string channel =
        shared_.redis.settings().prefix + redis::channel(name_);
    const std::string clients = std::to_string(known.local_clients);
    const std::string epoch = std::to_string(last_.epoch);
    const std::string sequence = std::to_string(last_.sequence);
    const std::string max_messages = std::to_string(wanted);
    const std::string expiry = std::to_string(kept.milliseconds);
    const std::string known_run = std::to_string(known.run);
    const std::string run = std::to_string(shared_.redis.run_id_hash());
    const std::array<std::string_view, 11> arguments{
        channel,      uid,    clients,   name_,     epoch, sequence,
        max_messages, expiry, page_size, known_run, run};

    sync_number_ = ++shared_.last_sync_number;
    state_ =
        shared_.request_sync(shared_, {redis::script::sync, keys, arguments},
                             name_, sync_number_)
            ? state::syncing
            : state::failed;

    announced_clients_ = known.local_clients;
}

void replica::on_sync_reply(const redisReply &reply, std::uint64_t number)
{
    if (state_ != state::syncing || number != sync_number_) {
        return; // requested before the connection was lost
    }

    if (const std::string_view error = error_in(&reply); !error.empty()) {
        if (shared_.redis.reconnect_if_unusable(error)) {
            return; // it reconnects
        }

        log_sync_failed(error);
        state_ = state::failed;
        return;
    }

    apply_page(reply);
}

void replica::apply_page(const redisReply &reply)
{
    const auto parts = list_in(&reply);
    const auto number = [&parts](std::size_t at) {
        return parts.size() == 5 ? detail::decimal(text_in(parts[at]))
                                 : std::nullopt;
    };
    const auto epoch = number(0);
    const auto end = number(1);
    const auto before = number(2);

    if (!epoch || !end || !before) {
        log_sync_failed("unexpected reply");
        state_ = state::failed;
        return;
    }

    align_to({*epoch, *before},
             worker_bus::broker().describe(name_, worker_bus::now()));
    (void)worker_bus::broker().mark_run(name_, shared_.redis.run_id_hash());

    const broker::message_id begin = last_;

    for (const redisReply *entry : list_in(parts[3])) {
        if (!apply_entry(*entry)) {
            break;
        }
    }

    const auto counts = list_in(parts[4]);

    other_hosts_.clear();

    for (std::size_t i = 0; i + 1 < counts.size(); i += 2) {
        if (text_in(counts[i]) != worker_bus::zone().host.uid()) {
            other_hosts_.emplace(
                text_in(counts[i]),
                detail::decimal(text_in(counts[i + 1])).value_or(0));
        }
    }

    update_remote_clients();

    if (last_.sequence < *end && last_ == begin) {
        record_gap({*epoch, *end}); // its entries are missing or invalid
    }

    last_.sequence < *end ? sync() : finish_sync();
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
    const auto message = parse_entry(entry);

    if (!message || message->id.epoch != last_.epoch) {
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

} // namespace websocket::nginx
