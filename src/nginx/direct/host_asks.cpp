// Waits for the answers of other hosts.
#include "nginx/direct/host_asks.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/direct/host_requests.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/inbox_entry.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

namespace websocket::nginx::host_asks {

namespace {

// Of this worker. More are refused.
constexpr std::size_t max_waiting = 4096;

read_buffer<8> answer_buffer;

struct host_answer {
    std::string host;
    std::string body;
};

struct waiting_ask {
    std::uint64_t number;
    std::string request; // that this host handles too; else empty
    callback done;
    void *data;
    bool accepted = false;          // Redis has the request
    bool checking = false;          // the leases of the hosts below
    std::vector<std::string> from;  // hosts that have not answered
    std::vector<host_answer> early; // before the reply of Redis
    std::vector<std::string> answers;
    ngx_event_t timer{};

    ~waiting_ask()
    {
        if (timer.timer_set) {
            ngx_del_timer(&timer);
        }
    }
};

void on_timeout(ngx_event_t *event);
void on_sent(void *data, const publish_outcome &outcome) noexcept;

class ask_table final : subscriber {
public:
    ~ask_table()
    {
        if (subscription_ && worker_bus::running()) {
            worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
        }
    }

    // Null: too many wait, or the shared memory is full.
    waiting_ask *add(std::string request, callback done, void *data)
    {
        if (stopped_ || asks_.size() == max_waiting || !subscribed()) {
            return nullptr;
        }

        auto added = std::make_unique<waiting_ask>();
        waiting_ask &ask = *added;

        ask.number = ++last_number_;
        ask.request = std::move(request);
        ask.done = done;
        ask.data = data;
        ask.timer.data = &ask;
        ask.timer.handler = on_timeout;
        ask.timer.log = ngx_cycle->log; // delays graceful shutdown
        asks_.emplace(ask.number, std::move(added));
        return &ask;
    }

    // Their callbacks may ask again, in vain.
    void end_all() noexcept
    {
        stopped_ = true;

        while (!asks_.empty()) {
            finish(*asks_.begin()->second, result::unreachable);
        }
    }

    waiting_ask *find(std::uint64_t number) noexcept
    {
        const auto found = asks_.find(number);

        return found == asks_.end() ? nullptr : found->second.get();
    }

    void drop(const waiting_ask &ask) noexcept { asks_.erase(ask.number); }

    void finish(waiting_ask &ask, result what) noexcept
    {
        const auto found = asks_.find(ask.number);
        const std::unique_ptr<waiting_ask> ended = std::move(found->second);

        asks_.erase(found);

        if (what != result::complete) {
            host_redis_counters().direct_failed.add(1);
        }

        ended->done(ended->data, {what, ended->answers});
    }

    // Throws std::bad_alloc.
    void on_answer(const redis::inbox_entry &entry)
    {
        waiting_ask *ask = find(entry.number);

        if (ask == nullptr) {
            return; // late, or repeated
        }

        if (!ask->accepted) {
            ask->early.push_back(
                {std::string(entry.host), std::string(entry.body)});
            return;
        }

        const auto host = std::ranges::find(ask->from, entry.host);

        if (host != ask->from.end()) {
            ask->answers.emplace_back(entry.body);
            ask->from.erase(host);
        }

        if (ask->from.empty()) {
            finish(*ask, result::complete);
        }
    }

private:
    bool subscribed()
    {
        if (subscription_ || !worker_bus::running()) {
            return static_cast<bool>(subscription_);
        }

        subscription_ =
            worker_bus::broker()
                .subscribe(worker_bus::slot(),
                           host_requests::answers_log(worker_bus::slot()),
                           static_cast<subscriber *>(this), {},
                           worker_bus::now())
                .handle;
        return static_cast<bool>(subscription_);
    }

    // Lost answers, and those without memory, are not waited for for ever.
    void deliver(std::size_t &budget) noexcept override
    {
        std::unique_ptr<std::byte[]> larger;
        broker::read_buffers buffers{answer_buffer.bytes,
                                     answer_buffer.messages};
        broker::read_result read{.more = true};

        while (read.more && budget != 0) {
            buffers.messages =
                std::span(answer_buffer.messages)
                    .first(std::min(budget, answer_buffer.messages.size()));
            read = worker_bus::broker().read(subscription_, buffers,
                                             worker_bus::now());

            if (read.needed != 0) {
                if (!enlarge(buffers, larger, read.needed)) {
                    budget = 0; // the next turn tries again
                    return;
                }
                read.more = true;
                continue;
            }

            budget -= read.count;

            for (const broker::message &each :
                 buffers.messages.first(read.count)) {
                deliver_one(each);
            }
        }
    }

    void deliver_one(const broker::message &message) noexcept
    try {
        const auto entry = redis::parse_inbox_entry(as_text(message.payload));

        if (entry) {
            on_answer(*entry);
        }
    } catch (const std::bad_alloc &) {}

    std::unordered_map<std::uint64_t, std::unique_ptr<waiting_ask>> asks_;
    broker::subscription subscription_;
    bool stopped_ = false;

    // No number is one of an earlier worker with this slot
    std::uint64_t last_number_ = worker_bus::host_time() << 10;
};

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

// Redis has the request, or not. This host handles it after the others have it:
// a publisher that gets an error may repeat the request.
void accept(waiting_ask &ask, const publish_outcome &outcome)
{
    if (!outcome.done || outcome.inbox_full) {
        table->finish(ask, outcome.done ? result::full : result::unreachable);
        return;
    }

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
