// This worker's part in it: its connection, its queue, and whether it leads.
#include "nginx/backplane.hpp"

#include "nginx/configuration.hpp"
#include "nginx/control_log.hpp"
#include "nginx/exchange.hpp"
#include "nginx/redis_leader.hpp"

#include <array>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>

namespace websocket::nginx::backplane {

namespace {

// A client's id stays below 2^53: so many bits are the host's number.
constexpr unsigned number_bits = 40;

class worker_part final : control_reader::listener {
public:
    explicit worker_part(const redis_settings &settings)
        : redis{settings}, publisher{redis}, leader{settings, redis}
    {}

    void start()
    {
        if (!workers_.listen(workers_log) ||
            !own_.listen(worker_log(exchange::slot()))) {
            throw std::bad_alloc();
        }

        redis.open();
        leader.consider();
    }

    bool wait_for_sync(sync_waiter &waiter)
    {
        waiter.token = ++tokens_ * broker::most_slots + exchange::slot();
        waiting_.emplace(waiter.token, &waiter);
        ask_for(waiter);
        return true;
    }

    void forget(sync_waiter &waiter) { waiting_.erase(waiter.token); }

    redis_commands redis;
    redis_publisher publisher;
    redis_leader leader;

private:
    void ask_for(const sync_waiter &waiter) noexcept
    {
        say(leader_log, control::sync_wanted, waiter.token, waiter.waits_for);
    }

    void heard(control what, std::uint64_t from,
               std::string_view) noexcept override
    {
        switch (what) {
        case control::synced:
            release(from);
            return;
        case control::leader_gone:
            if (!ngx_exiting) {
                leader.consider();
            }
            return;
        case control::leader_came:
            missed();
            return;
        default:
            return;
        }
    }

    // What the leader does not know of, or has answered unheard
    void missed() noexcept override
    {
        for (const auto &[token, waiter] : waiting_) {
            ask_for(*waiter);
        }
    }

    void release(std::uint64_t token) noexcept
    {
        const auto found = waiting_.find(token);

        if (found != waiting_.end()) {
            sync_waiter &waiter = *found->second;

            waiting_.erase(found);
            waiter.synced();
        }
    }

    control_reader workers_{*this};
    control_reader own_{*this};
    std::unordered_map<std::uint64_t, sync_waiter *> waiting_;
    std::uint64_t tokens_ = 0;
};

std::optional<worker_part> own;

struct description_call {
    described told;
    void *data;
};

hosts_description description_in(const redisReply &reply) noexcept
{
    const auto parts = list_in(&reply);

    if (parts.size() != 3) {
        return {};
    }

    return {.known = true,
            .clients = static_cast<std::uint64_t>(parts[2]->integer),
            .messages = static_cast<std::uint64_t>(parts[1]->integer),
            .last = text_in(parts[0])};
}

void answered(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<description_call> call(
        static_cast<description_call *>(data));

    call->told(call->data,
               reply == nullptr ? hosts_description{} : description_in(*reply));
}

} // namespace

void start(ngx_cycle_t *cycle) noexcept
try {
    const redis_settings *settings = main_conf_of(*cycle).redis;

    if (settings != nullptr) {
        own.emplace(*settings);
        own->start();
    }
} catch (const std::bad_alloc &) {
    ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                  "websocket: no memory to be in touch with Redis: this "
                  "worker serves no WebSockets");
}

void stop() noexcept
{
    own.reset();
}

bool used() noexcept
{
    return own.has_value();
}

std::uint64_t id_of_client(std::uint64_t number) noexcept
{
    const std::uint64_t host = exchange::zone().host.number.load();

    return host << number_bits |
           (number & ((std::uint64_t{1} << number_bits) - 1));
}

bool publish(const publish_order &order) noexcept
{
    return own->publisher.publish(order);
}

bool describe(std::string_view name, const broker::limits &history,
              described told, void *data) noexcept
try {
    const std::string words(name);
    const std::array<std::string, 3> keys{"m:" + words, "s:" + words,
                                          "c:" + words};
    const std::string age = std::to_string(history.milliseconds);
    const std::string most = std::to_string(history.messages);
    const std::array<std::string_view, 2> arguments{age, most};
    auto call = std::make_unique<description_call>(told, data);

    if (!own->redis.run({broker::redis_script::describe, keys, arguments},
                        answered, call.get())) {
        return false;
    }

    (void)call.release();
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

void clients_changed(std::string_view name, bool lost) noexcept
{
    say(leader_log, lost ? control::clients_lost : control::clients_changed, 0,
        name);
}

bool wait_for_sync(sync_waiter &waiter) noexcept
try {
    return own->wait_for_sync(waiter);
} catch (const std::bad_alloc &) {
    return false;
}

void forget(sync_waiter &waiter) noexcept
{
    if (own) {
        own->forget(waiter);
    }
}

} // namespace websocket::nginx::backplane
