// Control events that the workers of a host send each other, as messages of
// logs of the broker that no client reads.
#pragma once

#include "broker/broker.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The kinds of these messages. `name` and `from` are arguments of
// send_control().
enum class control_event : std::uint8_t {
    clients_changed = 1,  // to the leader; name: the resource's
    clients_lost = 2,     // the same, after a worker died with its clients
    sync_wanted = 3,      // the same; from: the token of the waiting worker
    synced = 4,           // to that worker; from: the token
    leader_down = 5,      // to all workers
    leader_up = 6,        // to all workers: earlier events may be lost
    redis_up = 7,         // to all workers: one of them has connected again
    clients_unleased = 8, // the same; from: a shard in which the host's
                          // clients of HTTP backends had no lease
    user_changed = 9      // to the leader; name: the resource's, a zero byte,
                          // and a user who may have joined or left
};

// Names that begin with ":": no handler's name does.
inline constexpr std::string_view leader_log = ":leader";
inline constexpr std::string_view workers_log = ":workers";

// The log of one worker. Throws std::bad_alloc.
std::string worker_log(unsigned slot);

inline bool is_control_log(std::string_view name) noexcept
{
    return name.starts_with(':');
}

// Sends an event to the subscribers of the log; there may be none.
void send_control(std::string_view log, control_event event, std::uint64_t from,
                  std::string_view name) noexcept;

class control_reader final : subscriber {
public:
    struct listener {
        virtual void on_event(control_event event, std::uint64_t from,
                              std::string_view name) noexcept = 0;

        // Events were dropped before they could be read.
        virtual void on_overrun() noexcept = 0;

    protected:
        ~listener() = default;
    };

    explicit control_reader(listener &to) noexcept : listener_{to} {}
    control_reader(const control_reader &) = delete;
    control_reader &operator=(const control_reader &) = delete;
    ~control_reader() { stop(); }

    // False if the shared memory is full.
    bool subscribe(std::string_view log) noexcept;
    void stop() noexcept;

private:
    void deliver(std::size_t &budget) noexcept override;

    listener &listener_;
    broker::subscription subscription_;
};

} // namespace websocket::nginx
