// A log of the broker's in which the workers of a host tell each other, by its
// news, what is none of the clients' business.
#pragma once

#include "broker/broker.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx {

// What is said in them. The names begin with ":", which no handler's does.
enum class control_event : std::uint8_t {
    clients_changed = 1, // to the leader: the resource's name
    clients_lost = 2,    // the same: they did not leave by themselves
    sync_wanted = 3,     // the same; from: the token of who waits
    synced = 4,          // to a worker: from: the token
    leader_down = 5,     // to all workers
    leader_up = 6,       // the same: it has heard of nothing so far
    redis_up = 7         // the same: a worker has a connection again
};

inline constexpr std::string_view leader_log = ":leader";
inline constexpr std::string_view workers_log = ":workers";

// The log of the worker that has a slot. Throws std::bad_alloc.
std::string worker_log(unsigned slot);

inline bool is_control_log(std::string_view name) noexcept
{
    return name.starts_with(':');
}

// Says it to whoever listens; nobody may.
void send_control(std::string_view log, control_event what, std::uint64_t from,
                  std::string_view name) noexcept;

class control_reader final : subscriber {
public:
    struct listener {
        virtual void on_event(control_event what, std::uint64_t from,
                              std::string_view name) noexcept = 0;

        // Something was said that cannot be read any more.
        virtual void on_overrun() noexcept = 0;

    protected:
        ~listener() = default;
    };

    explicit control_reader(listener &listening) noexcept : listener_{listening}
    {}
    control_reader(const control_reader &) = delete;
    control_reader &operator=(const control_reader &) = delete;
    ~control_reader() { stop(); }

    // False: no room.
    bool subscribe(std::string_view log) noexcept;
    void stop() noexcept;

private:
    void deliver(std::size_t &budget) noexcept override;

    listener &listener_;
    broker::subscription subscription_;
};

} // namespace websocket::nginx
