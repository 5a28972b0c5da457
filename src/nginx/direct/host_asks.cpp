// Waits for the answers of other hosts.
#include "nginx/direct/host_asks.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/direct/ask_table.hpp"
#include "nginx/direct/host_requests.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/inbox_entry.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace websocket::nginx::host_asks {

namespace {

std::optional<ask_table> table;

ask_table &present_table()
{
    return table ? *table : table.emplace();
}

bool publish(std::string_view entry, std::optional<std::uint64_t> host,
             bool waits, void (*on_result)(void *, const publish_outcome &),
             void *data)
{
    const std::string prefix = host ? std::to_string(*host) : std::string{};
    const bool queued =
        backplane::publish({.kind = publish_kind::direct,
                            .name = prefix,
                            .what = {.payload = std::as_bytes(std::span(entry)),
                                     .transient = true},
                            .history = {},
                            .counts_clients = waits,
                            .on_result = on_result,
                            .data = data});

    auto &counters = host_redis_counters();

    (queued ? counters.direct_sent : counters.direct_failed).add(1);
    return queued;
}

std::string entry_for(std::uint64_t number, std::string_view request)
{
    return redis::write_inbox_entry({.host = worker_bus::zone().host.uid(),
                                     .worker = worker_bus::slot(),
                                     .number = number,
                                     .body = request});
}

void on_timeout(ngx_event_t *event);

// Redis has the request, or not. This host handles it after the others have it:
// a publisher that gets an error may repeat the request.
void accept(waiting_ask &ask, const publish_outcome &outcome)
{
    if (!outcome.done || outcome.inbox_full) {
        table->finish(ask, outcome.done ? result::full : result::unreachable);
        return;
    }

    ask.timer.handler = on_timeout;
    ask.from = outcome.hosts;
    ask.accepted = true;

    if (!ask.request.empty()) {
        ask.answers.push_back(
            host_requests::handle(ask.request).value_or(std::string{}));
    }

    ngx_add_timer(&ask.timer, backplane::router()->settings().command_timeout);

    const std::uint64_t number = ask.number;
    const auto early = std::exchange(ask.early, {});

    if (ask.from.empty()) {
        table->finish(ask, result::complete);
        return;
    }

    for (const host_answer &each : early) {
        table->on_answer({.is_answer = true,
                          .host = each.host,
                          .number = number,
                          .body = each.body});
    }
}

void on_sent(void *data, const publish_outcome &outcome) noexcept
{
    auto &ask = *static_cast<waiting_ask *>(data);

    try {
        accept(ask, outcome);
    } catch (const std::bad_alloc &) {
        table->finish(ask, result::unreachable);
    }
}

void on_sent_only(void *, const publish_outcome &outcome) noexcept
{
    if (!outcome.done || outcome.inbox_full) {
        host_redis_counters().direct_failed.add(1);
    }
}

// Hosts without a lease are gone. The ask may have ended.
void on_leases(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<std::uint64_t> number(
        static_cast<std::uint64_t *>(data));
    waiting_ask *ask = table ? table->find(*number) : nullptr;

    if (ask == nullptr) {
        return;
    }

    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
        table->finish(*ask, result::unreachable);
        return;
    }

    const bool lives =
        std::ranges::any_of(list_in(reply), [ask](const redisReply *host) {
            return std::ranges::find(ask->from, text_in(host)) !=
                   ask->from.end();
        });

    table->finish(*ask, lives ? result::unanswered : result::complete);
}

bool check_leases(const waiting_ask &ask)
{
    std::vector<std::string> keys{redis::inboxes_key(),
                                  redis::hosts_key(redis::inbox_shard)};
    std::vector<std::string_view> hosts(ask.from.begin(), ask.from.end());

    for (const std::string &host : ask.from) {
        keys.push_back(redis::lease_key(redis::inbox_shard, host));
    }

    shard_router *router = backplane::router();
    auto number = std::make_unique<std::uint64_t>(ask.number);

    if (router == nullptr ||
        !router->run(redis::inbox_shard,
                     {redis::script::find_hosts, keys, hosts}, on_leases,
                     number.get())) {
        return false;
    }

    (void)number.release();
    return true;
}

void on_timeout(ngx_event_t *event)
{
    auto &ask = *static_cast<waiting_ask *>(event->data);

    try {
        if (!std::exchange(ask.checking, true) && check_leases(ask)) {
            ngx_add_timer(&ask.timer,
                          backplane::router()->settings().command_timeout);
            return;
        }
    } catch (const std::bad_alloc &) {}

    table->finish(ask, result::unreachable);
}

} // namespace

bool ask(std::string_view request, std::optional<std::uint64_t> host,
         callback done, void *data) noexcept
try {
    ask_table &asks = present_table();
    waiting_ask *added =
        asks.add(host ? std::string{} : std::string(request), done, data);

    if (added == nullptr) {
        return false;
    }

    try {
        if (publish(entry_for(added->number, request), host, true, on_sent,
                    added)) {
            return true;
        }
    } catch (const std::bad_alloc &) {}

    asks.drop(*added);
    return false;
} catch (const std::bad_alloc &) {
    return false;
}

bool send(std::string_view request, std::optional<std::uint64_t> host) noexcept
try {
    return publish(entry_for(0, request), host, false, on_sent_only, nullptr);
} catch (const std::bad_alloc &) {
    return false;
}

void stop() noexcept
{
    if (table) {
        table->end_all();
        table.reset();
    }
}

} // namespace websocket::nginx::host_asks
