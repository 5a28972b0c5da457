// Measures the broker alone: appending and reading a message of 64 bytes, the
// wake-up of another process, and a scan of all logs.
#include "shared_broker.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>

using namespace bench;

namespace {

constexpr std::uint8_t ordinary = 1;
constexpr std::uint8_t farewell = 2;

const std::array<std::byte, message_size> payload = {};

broker::subscription subscribe(shared_broker &to, unsigned slot,
                               std::string_view log)
{
    return to.access().subscribe(slot, log, nullptr, {}, 0).handle;
}

// Each subscription belongs to another worker. This process serves all of them,
// so that only the broker's time is measured, without wake-ups.
void append_and_read(benchmark::State &state)
{
    const auto readers = static_cast<std::size_t>(state.range(0));
    const auto messages = static_cast<std::size_t>(state.range(1));
    shared_broker shared;
    read_storage storage;
    std::vector<unsigned> slots;
    std::vector<broker::subscription> subscriptions;

    for (std::size_t i = 0; i != readers; i++) {
        slots.push_back(shared.claim(static_cast<std::int32_t>(i + 1)));
        subscriptions.push_back(subscribe(shared, slots.back(), "room"));
    }

    for (auto _ : state) {
        for (std::size_t i = 0; i != messages; i++) {
            const broker::append_result done = shared.access().append(
                subscriptions.front(), {.payload = payload}, 0);

            benchmark::DoNotOptimize(done.id);
        }

        for (const unsigned slot : slots) {
            if (storage.read_unread(shared.access(), slot) != messages) {
                state.SkipWithError("a message was not read");
                return;
            }
        }
    }

    state.counters["per_message"] =
        benchmark::Counter(static_cast<double>(messages),
                           benchmark::Counter::kIsIterationInvariantRate |
                               benchmark::Counter::kInvert);
}

// Measures a room with one client.
void append_alone(benchmark::State &state)
{
    shared_broker shared;
    const unsigned slot = shared.claim(1);

    subscribe(shared, shared.claim(2), "another room");
    subscribe(shared, slot, "one more");

    for (auto _ : state) {
        const broker::append_result done =
            shared.access().append("room", {.payload = payload}, {}, 0);

        if (done.wake.any()) {
            state.SkipWithError("somebody would be woken");
            return;
        }
    }
}

// Measures one step of a scan of many logs, which holds the lock.
void scan_step(benchmark::State &state)
{
    const auto logs = static_cast<std::size_t>(state.range(0));
    shared_broker shared(std::size_t{64} << 20);
    std::array<broker::scanned_log, 256> places;
    std::vector<std::byte> names(4 * broker::max_name_size);
    broker::scan_cursor at;
    std::size_t seen = 0;
    std::size_t rounds = 0;

    for (std::size_t i = 0; i != logs; i++) {
        shared.access().append("room " + std::to_string(i),
                               {.payload = payload},
                               websocket::broker::limits{.messages = 1}, 0);
    }

    for (auto _ : state) {
        const broker::scan_result scanned =
            shared.access().scan(at, {names, places}, 512);

        seen += scanned.count;

        if (!scanned.more) {
            at = {};
            rounds++;
        }
    }

    if (seen < rounds * logs) {
        state.SkipWithError("a log was not seen");
    }
}

/*
 * Wake-ups.
 */

void pin(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

std::vector<int> cores(const cpu_set_t &allowed)
{
    std::vector<int> found;

    for (int core = 0; core != CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &allowed)) {
            found.push_back(core);
        }
    }

    return found;
}

// A worker: its slot, and its subscription to the common room.
struct member {
    shared_broker &shared;
    unsigned slot;
    broker::subscription room;
};

member join(shared_broker &shared, std::int32_t pid)
{
    const unsigned slot = shared.claim(pid);
    return {shared, slot, subscribe(shared, slot, "room")};
}

// Appends a message and wakes the other process, as nginx's workers do. A
// worker reads its own messages in the same turn.
void send(const member &by, std::uint8_t kind)
{
    broker::append_result done = by.shared.access().append(
        by.room, {.payload = payload, .from = by.slot, .kind = kind}, 0);

    done.wake.reset(by.slot);
    by.shared.wake(done.wake);
}

// Reads all messages; returns the kind of the other process's last one, or 0
// without any.
std::uint8_t receive(const member &to, read_storage &storage)
{
    broker::broker &access = to.shared.access();
    std::uint8_t received = 0;

    while (access.next_unread(to.slot)) {
        const broker::read_result read =
            access.read(to.room, {storage.bytes, storage.messages}, 0);

        for (std::size_t i = 0; i != read.count; i++) {
            if (storage.messages[i].from != to.slot) {
                received = storage.messages[i].kind;
            }
        }
    }

    return received;
}

std::uint8_t wait_and_receive(const member &to, const sleeper &sleep,
                              read_storage &storage)
{
    for (;;) {
        if (const std::uint8_t received = receive(to, storage); received != 0) {
            return received;
        }

        sleep.wait();
    }
}

[[noreturn]] void answer_all(const member &by, int core)
{
    const sleeper sleep{by.shared.wakeup_fd(by.slot)};
    read_storage storage;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(core);

    while (wait_and_receive(by, sleep, storage) != farewell) {
        send(by, ordinary);
    }

    _exit(0);
}

void wake_up_round_trip(benchmark::State &state, bool other_core)
{
    cpu_set_t allowed;

    sched_getaffinity(0, sizeof(allowed), &allowed);

    const std::vector<int> usable = cores(allowed);

    if (other_core && usable.size() < 2) {
        state.SkipWithError("there is one core alone");
        return;
    }

    shared_broker shared;
    const member home = join(shared, 1);
    const member away = join(shared, 2);
    const pid_t child = fork();

    if (child == 0) {
        answer_all(away, usable[other_core ? 1 : 0]);
    }

    const sleeper sleep{shared.wakeup_fd(home.slot)};
    read_storage storage;

    pin(usable[0]);

    for (auto _ : state) {
        send(home, ordinary);
        wait_and_receive(home, sleep, storage);
    }

    send(home, farewell);
    waitpid(child, nullptr, 0);
    sched_setaffinity(0, sizeof(allowed), &allowed);
}

} // namespace

BENCHMARK(append_and_read)
    ->ArgNames({"subscriptions", "messages"})
    ->Args({1, 1})
    ->Args({2, 1})
    ->Args({1, 16})
    ->Args({2, 16});
BENCHMARK(append_alone);
BENCHMARK(scan_step)->ArgName("logs")->Arg(1000)->Arg(100'000);
BENCHMARK_CAPTURE(wake_up_round_trip, one_core, false)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(wake_up_round_trip, two_cores, true)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

BENCHMARK_MAIN();
