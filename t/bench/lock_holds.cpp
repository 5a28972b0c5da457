// Measures how long operations of the broker hold its lock, with large messages
// and in logs of a million.
#include "timed_broker.hpp"

namespace {

using namespace bench;

// Reads a whole history, page by page.
void read_history(timed_broker &with, broker::subscription from,
                  std::uint64_t after)
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
    timed_broker with(256 * mebibyte);
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
    timed_broker with(256 * mebibyte);
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
    timed_broker with(256 * mebibyte);
    const unsigned other =
        with.core.claim(2, 2, with.watch, with.now).slot.value();

    for (int i = 0; i != 100'000; i++) {
        const std::string name = "a room with a number, " + std::to_string(i);
        with.subscribe(name, {.messages = 5});
        with.core.subscribe(other, name, nullptr, broker::limits{.messages = 5},
                            with.now);
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
    timed_broker with(256 * mebibyte);
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
    print_head();
    small_messages();
    unread_messages();
    logs();
    large_messages();
}
