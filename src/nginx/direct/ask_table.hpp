// The requests to other hosts of one worker that wait, and the log in which
// their answers arrive.
#pragma once

#include "nginx/direct/host_asks.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/inbox_entry.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace websocket::nginx::host_asks {

struct host_answer {
    std::string host;
    std::string body;
};

struct waiting_ask {
    std::uint64_t number = 0;
    std::string request{}; // that this host handles too; else empty
    callback done = nullptr;
    void *data = nullptr;
    bool accepted = false;            // Redis has the request
    bool checking = false;            // the leases of the hosts below
    std::vector<std::string> from{};  // hosts that have not answered
    std::vector<host_answer> early{}; // before the reply of Redis
    std::vector<std::string> answers{};
    ngx_event_t timer{}; // delays graceful shutdown

    ~waiting_ask()
    {
        if (timer.timer_set) {
            ngx_del_timer(&timer);
        }
    }
};

class ask_table final : subscriber {
public:
    ask_table() noexcept = default;
    ~ask_table();

    // Null: too many wait, or the shared memory is full. Throws std::bad_alloc,
    // as on_answer().
    waiting_ask *add(std::string request, callback done, void *data);

    // Null: it has ended.
    waiting_ask *find(std::uint64_t number) noexcept;

    // Ends it without a call, or with one of its callback.
    void drop(const waiting_ask &ask) noexcept { asks_.erase(ask.number); }
    void finish(waiting_ask &ask, result what) noexcept;

    // Their callbacks may ask again, in vain.
    void end_all() noexcept;

    // Ends the request if it was the last answer.
    void on_answer(const redis::inbox_entry &entry);

private:
    bool subscribed();
    void deliver(std::size_t &budget) noexcept override;
    void deliver_one(const broker::message &message) noexcept;

    std::unordered_map<std::uint64_t, std::unique_ptr<waiting_ask>> asks_;
    broker::subscription subscription_;
    bool stopped_ = false;

    // No number is one of an earlier worker with this slot
    std::uint64_t last_number_ = worker_bus::host_time() << 10;
};

} // namespace websocket::nginx::host_asks
