// Measures how long operations of the broker hold its lock, with large messages
// and in logs of a million. The result is the thread's CPU time between lock
// and unlock, so other load does not count.
#include "broker/broker.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/mman.h>
#include <time.h>

namespace {

namespace broker = websocket::broker;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::uint64_t million = 1'000'000;

std::uint64_t nanoseconds(clockid_t clock) noexcept
{
    timespec time = {};

    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// A mutex for a single process, which records how long it is held.
class timed_mutex final : public broker::mutex {
public:
    timed_mutex() { holds_.reserve(4 * million); }

    void lock() noexcept override
    {
        since_ = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    }
    void unlock() noexcept override
    {
        if (holds_.size() < holds_.capacity()) {
            holds_.push_back(static_cast<std::uint32_t>(
                nanoseconds(CLOCK_THREAD_CPUTIME_ID) - since_));
        }
    }

    std::vector<std::uint32_t> &holds() noexcept { return holds_; }

private:
    std::uint64_t since_ = 0;
    std::vector<std::uint32_t> holds_; // nanoseconds
};

struct nobody_watches final : broker::process_monitor {
    std::int32_t dead = 0;

    bool alive(std::int32_t pid) noexcept override { return pid != dead; }
    void clients_lost(std::string_view, std::uint32_t) noexcept override {}
};

class bench {
public:
    explicit bench(std::size_t size)
        : size_{size}, memory_{mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0)}
    {
        if (memory_ == MAP_FAILED ||
            !core.create({static_cast<std::byte *>(memory_), size}, 8, 1)) {
            std::fputs("no memory\n", stderr);
            std::exit(1);
        }

        slot = core.claim(1, 1, watch, now).slot.value();
    }
    ~bench() { munmap(memory_, size_); }
    bench(const bench &) = delete;
    bench &operator=(const bench &) = delete;

    broker::subscription subscribe(std::string_view name,
                                   const broker::limits &kept)
    {
        return core.subscribe(slot, name, nullptr, kept, now).handle;
    }

    // Appends messages and reads them.
    void append(broker::subscription to, std::uint64_t count, std::size_t size,
                bool reads = true)
    {
        const std::vector<std::byte> payload(size);

        for (std::uint64_t i = 0; i != count; i++) {
            core.append(to, {.payload = payload, .time = now}, now);
            if (reads) {
                read(to);
            }
        }
    }

    void read(broker::subscription from)
    {
        while (core.read(from, {bytes, messages}, now).more) {}
    }

    // Calls the function, and prints a line about the lock.
    void measure(std::string_view what, const std::function<void()> &work)
    {
        mutex_.holds().clear();
        const std::uint64_t begin = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        work();
        const std::uint64_t end = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        std::vector<std::uint32_t> &holds = mutex_.holds();
        std::sort(holds.begin(), holds.end());
        const auto at = [&](std::size_t thousandths) {
            return holds.empty()
                       ? 0.0
                       : holds[(holds.size() - 1) * thousandths / 1000] /
                             1000.0;
        };

        std::printf("%-44.*s %9zu %8.1f %8.1f %8.1f %10.1f\n",
                    static_cast<int>(what.size()), what.data(), holds.size(),
                    at(500), at(999), at(1000),
                    static_cast<double>(end - begin) / 1e6);
    }

private:
    timed_mutex mutex_;
    std::size_t size_;
    void *memory_;

public:
    broker::broker core{mutex_};
    nobody_watches watch;
    unsigned slot = 0;
    std::uint64_t now = 1'700'000'000'000;
    std::vector<std::byte> bytes = std::vector<std::byte>(16 * mebibyte);
    std::vector<broker::message> messages = std::vector<broker::message>(64);
};

// Reads a whole history, page by page.
void read_history(bench &with, broker::subscription from, std::uint64_t after)
{
    broker::read_result page{.more = true};

    while (page.more) {
        page = with.core.read_history(from, after, {with.bytes, with.messages},
                                      with.now);
        after =
            page.count > 0 ? with.messages[page.count - 1].id.sequence : after;
    }
}

void small_messages()
{
    bench with(256 * mebibyte);
    const broker::limits all{.messages = 2 * million};
    const broker::subscription room = with.subscribe("room", all);
    const std::span one = std::span(with.messages).first(1);
    std::uint64_t dice = 1;

    with.measure("append and read 1,000,000 messages",
                 [&] { with.append(room, million, 64); });
    with.measure("find an id in 1,000,000 messages", [&] {
        for (int i = 0; i != 100'000; i++) {
            dice = dice * 6364136223846793005 + 1442695040888963407;
            with.core.read_history(room, (dice >> 33) % million,
                                   {with.bytes, one}, with.now);
        }
    });
    with.measure("read a history of 1,000,000 messages",
                 [&] { read_history(with, room, 0); });
    with.measure("set limits, drop 1,000,000 messages", [&] {
        with.core.set_limits(room, {.messages = 10}, with.now);
        while (with.core.measure().entries > 10) {
            with.core.expire(with.now, 1000);
        }
    });
}

void unread_messages()
{
    bench with(256 * mebibyte);
    const unsigned slow =
        with.core.claim(2, 2, with.watch, with.now).slot.value();
    const broker::subscription room = with.subscribe("room", {});

    with.core.subscribe(slow, "room", nullptr, {}, with.now);
    with.append(room, million, 64);
    with.watch.dead = 2;
    with.measure("reclaim a worker with 1,000,000 unread",
                 [&] { with.core.reclaim_dead(with.watch, with.now); });
    with.measure("expire what it had not read", [&] {
        while (with.core.measure().entries > 0) {
            with.core.expire(with.now, 1000);
        }
    });
}

void logs()
{
    bench with(256 * mebibyte);
    const unsigned other =
        with.core.claim(2, 2, with.watch, with.now).slot.value();

    for (int i = 0; i != 100'000; i++) {
        const std::string name = "a room with a number, " + std::to_string(i);
        with.subscribe(name, {.messages = 5});
        with.core.subscribe(other, name, nullptr, {.messages = 5}, with.now);
        with.core.append(name, {.payload = {}}, {}, with.now);
    }

    broker::scan_cursor at;
    std::vector<broker::scanned_log> found(256);
    std::vector<std::byte> names(4 * broker::max_name_size);

    with.measure("scan of 100,000 logs", [&] {
        while (with.core.scan(at, {names, found}, 512).more) {}
    });
    with.measure("expire 100,000 logs", [&] {
        while (!with.core.expire(with.now, 1000)) {}
    });
    with.measure("describe a log", [&] {
        for (int i = 0; i != 100'000; i++) {
            with.core.describe("a room with a number, " + std::to_string(i),
                               with.now);
        }
    });
    with.watch.dead = 2;
    with.measure("reclaim a worker with 100,000 subscriptions",
                 [&] { with.core.reclaim_dead(with.watch, with.now); });
}

void large_messages()
{
    bench with(256 * mebibyte);
    const broker::limits all{.messages = million};
    const broker::subscription room = with.subscribe("room", all);
    const broker::subscription small = with.subscribe("small", all);

    with.measure("append and read 1 MB",
                 [&] { with.append(room, 200, mebibyte); });
    with.measure("read a history of 200 messages of 1 MB",
                 [&] { read_history(with, room, 0); });
    with.append(small, 2 * million, 64);
    with.measure("append 1 MB where all is full of 64 bytes",
                 [&] { with.append(room, 100, mebibyte); });
    with.measure("append 64 bytes where all is full of 1 MB", [&] {
        with.append(room, 200, mebibyte);
        with.append(small, 10'000, 64);
    });
}

} // namespace

int main()
{
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::printf("%-44s %9s %8s %8s %8s %10s\n",
                "us of CPU per hold of the lock", "holds", "median", "99.9 %",
                "longest", "ms in all");
    small_messages();
    unread_messages();
    logs();
    large_messages();
}
