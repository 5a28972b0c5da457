// The calls of scripts for the clients of this worker, and their replies.
#include "nginx/kept_clients/client_register.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/kept_clients/client_claims.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_text.hpp"

#include <new>
#include <utility>

namespace websocket::nginx::backend {

namespace {

// Of one call.
constexpr std::size_t max_written = 64;
constexpr std::size_t max_checked = 200;
constexpr std::size_t max_bytes = 256 * 1024;

// Of a shard.
constexpr std::size_t max_lately_gone = 4096;

} // namespace

// Returns whether a call was sent. Throws std::bad_alloc.
bool client_register::write(lane &in, shard_router &redis)
{
    std::vector<std::string> texts;
    std::size_t bytes = 0;
    std::optional<std::uint32_t> kind;

    texts.reserve(3 * max_written);
    in.forgetting = 0;
    in.writing.clear();
    in.writing.reserve(max_written);

    for (const forgotten &each : in.gone) {
        if (in.forgetting == max_written ||
            each.kind != kind.value_or(each.kind)) {
            break;
        }

        kind = each.kind;
        texts.push_back(std::to_string(each.id));
        in.forgetting++;
    }

    // A full Redis still forgets
    const std::size_t most = in.refused && kind ? 0 : max_written;

    while (!in.changed.empty() && in.writing.size() != most &&
           bytes < max_bytes) {
        const std::uint64_t id = in.changed.front();
        const auto found = in.clients.find(id);

        if (found != in.clients.end()) {
            kept &each = found->second;

            if (each.kind != kind.value_or(each.kind)) {
                break;
            }

            const std::uint64_t sequence =
                2 * (each.sequence + sequence_margin);
            std::string entry = calls->entry(*each.owner, sequence);

            kind = each.kind;
            bytes += entry.size();
            texts.push_back(std::to_string(id));
            texts.push_back(std::move(entry));
            in.writing.push_back(id);
            each.announced = sequence;
            each.changed = false;
            each.sent = true;
        }

        in.changed.pop_front();
    }

    if (!kind) {
        return false;
    }

    const std::string_view uid = worker_bus::zone().host.uid();
    const std::string lease = std::to_string(client_lease);
    const std::string kind_text = std::to_string(*kind);
    const std::string forgotten_text = std::to_string(in.forgetting);
    const std::array<std::string, 5> keys{
        redis::kept_clients_key(in.shard, kind_text, uid),
        redis::client_kinds_key(in.shard, uid),
        redis::client_hosts_key(in.shard),
        redis::client_lease_key(in.shard, uid),
        redis::client_taken_key(in.shard, uid)};
    std::vector<std::string_view> arguments{uid, kind_text, lease,
                                            forgotten_text};

    arguments.insert(arguments.end(), texts.begin(), texts.end());

    if (redis.run(in.shard, {redis::script::keep_clients, keys, arguments},
                  on_written, &in)) {
        return true;
    }

    throw std::bad_alloc();
}

// Throws std::bad_alloc.
bool client_register::ask(lane &in, shard_router &redis)
{
    std::vector<std::string> ids;
    std::optional<std::uint32_t> kind;

    ids.reserve(max_checked);

    while (!in.unchecked.empty() && ids.size() != max_checked) {
        const std::uint64_t id = in.unchecked.back();
        const auto found = in.clients.find(id);

        if (found != in.clients.end()) {
            const std::uint32_t its_kind = found->second.kind;

            if (its_kind != kind.value_or(its_kind)) {
                break;
            }

            kind = its_kind;
            ids.push_back(std::to_string(id));
        }

        in.unchecked.pop_back();
    }

    if (!kind) {
        return false;
    }

    const std::array<std::string, 1> keys{redis::kept_clients_key(
        in.shard, std::to_string(*kind), worker_bus::zone().host.uid())};
    const std::vector<std::string_view> arguments(ids.begin(), ids.end());

    if (!redis.run(in.shard, {redis::script::check_clients, keys, arguments},
                   on_checked, &in)) {
        throw std::bad_alloc();
    }

    return true;
}

// Redis has forgotten the first ones of `gone`.
void client_register::end_forgetting(lane &in) noexcept
{
    for (; in.forgetting != 0 && !in.gone.empty(); in.forgetting--) {
        forgotten &first = in.gone.front();

        if (first.note) {
            worker_bus::broker().remove_note(first.note);
            first.note = {};
        }

        try {
            in.lately_gone.push_back(first);
        } catch (const std::bad_alloc &) {
            // They need not be forgotten again
        }

        if (in.lately_gone.size() > max_lately_gone) {
            in.lately_gone.pop_front();
        }

        in.gone.pop_front();
    }
}

// The copy of Redis that has taken over may not have forgotten them.
void client_register::forget_again(lane &in) noexcept
try {
    in.gone.insert(in.gone.end(), in.lately_gone.begin(), in.lately_gone.end());
    in.lately_gone.clear();
} catch (const std::bad_alloc &) {
    // Another host may send their disconnect events again
}

void client_register::on_written(void *data, const redisReply *reply) noexcept
{
    lane &in = *static_cast<lane *>(data);

    in.busy = false;

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
        in.forgetting = 0;
        in.rewrites = true;
        refuse(in, reply);
        return;
    }

    end_forgetting(in);
    in.refused = in.refused && in.writing.empty();

    for (const std::uint64_t id : in.writing) {
        if (const auto found = in.clients.find(id); found != in.clients.end()) {
            found->second.known = true;
        }
    }

    const auto parts = list_in(reply);

    if (!parts.empty() && text_in(parts[0]) == "new") {
        report_no_lease(in.shard);
    }

    for (const redisReply *each : parts) {
        const auto id = detail::decimal(text_in(each));
        const auto found = in.clients.find(id.value_or(0));

        if (found != in.clients.end()) {
            client &taken = *found->second.owner;

            in.clients.erase(found);
            calls->lose(taken); // may call forget() for other clients
        }
    }

    instance().work(in);
}

void client_register::on_checked(void *data, const redisReply *reply) noexcept
try {
    lane &in = *static_cast<lane *>(data);

    in.busy = false;

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
        in.rewrites = true;
        refuse(in, reply);
        return;
    }

    for (const redisReply *each : list_in(reply)) {
        const auto id = detail::decimal(text_in(each));
        const auto found = in.clients.find(id.value_or(0));

        if (found != in.clients.end() && !found->second.changed) {
            mark_changed(in, found->first, found->second);
        }
    }

    instance().work(in);
} catch (const std::bad_alloc &) {
    static_cast<lane *>(data)->rewrites = true;
    instance().retry_later(*static_cast<lane *>(data));
}

// Redis refuses, or its connection has broken: on_shard_ready() follows.
void client_register::refuse(lane &in, const redisReply *reply) noexcept
{
    static log_throttle line;

    if (reply != nullptr) {
        in.refused = true;
        log_refused(line, "keep clients of HTTP backends", error_in(reply),
                    "retrying");
        instance().retry_later(in);
    }
}

} // namespace websocket::nginx::backend
