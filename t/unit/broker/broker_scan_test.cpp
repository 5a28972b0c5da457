// A scan of all logs finds each log once, although logs are created and removed
// between its steps.
#include "broker_fixture.hpp"

#include <algorithm>
#include <array>

using namespace broker_tests;

namespace {

struct seen_log {
    std::uint32_t clients;
    std::uint64_t messages;
    message_id last;

    bool operator==(const seen_log &) const = default;
};

using seen_logs = std::multimap<std::string, seen_log>;

class broker_scan : public broker_test {
protected:
    // One step with buffers of this size; returns false at the end of the scan.
    bool step(std::size_t logs, std::size_t budget)
    {
        const scan_result result =
            core.scan(cursor, {names, std::span(places).first(logs)}, budget);

        EXPECT_LE(result.count, std::min(logs, budget));
        for (const scanned_log &log : std::span(places).first(result.count)) {
            seen.emplace(std::string(log.name),
                         seen_log{log.clients, log.messages, log.last});
        }
        return result.more;
    }

    void whole(std::size_t logs, std::size_t budget)
    {
        cursor = {};
        seen.clear();
        while (step(logs, budget)) {}
    }

    void make_logs(int from, int to)
    {
        for (int i = from; i != to; i++) {
            core.append("log " + std::to_string(i), message_of("x"), {}, now);
        }
    }

    std::size_t times_seen(int number) const
    {
        return seen.count("log " + std::to_string(number));
    }

    scan_cursor cursor;
    std::array<scanned_log, 64> places;
    std::array<std::byte, 2 * max_name_size> names;
    seen_logs seen;
};

} // namespace

TEST_F(broker_scan, of_no_logs_ends_at_once)
{
    make();
    EXPECT_FALSE(step(1, 1 << 20));
    EXPECT_TRUE(seen.empty());
}

TEST_F(broker_scan, matches_describe)
{
    make();
    const unsigned slot = claim(10);
    const subscription storage = subscribe(slot, "room", {.messages = 3});
    const std::string bytes("\0\xff:\n", 4);
    const std::string longest(max_name_size, 'n');

    for (int i = 0; i < 7; i++) {
        EXPECT_EQ(core.join(storage, 0), outcome::done);
        send(storage, "x");
    }
    core.append("unused", message_of("x"), {}, now);
    core.append("kept", message_of("x"), limits{.messages = 9}, now);
    core.append(bytes, message_of("x"), limits{.messages = 9}, now);
    core.append(longest, message_of("x"), limits{.messages = 9}, now);
    whole(64, 100);

    EXPECT_EQ(seen.size(), 5);
    for (const std::string &name : {std::string("room"), std::string("unused"),
                                    std::string("kept"), bytes, longest}) {
        const description known = core.describe(name, now);
        ASSERT_EQ(seen.count(name), 1) << name;
        EXPECT_EQ(seen.find(name)->second,
                  (seen_log{known.clients, known.messages, known.last}));
    }
    EXPECT_EQ(seen.find("room")->second.clients, 7);
    EXPECT_EQ(seen.find("room")->second.messages, 3);
}

TEST_F(broker_scan, sees_each_log_once_with_any_room_and_budget)
{
    make();
    make_logs(0, 500);

    for (const std::size_t storage : {1, 2, 7, 64}) {
        for (const std::size_t budget : {1, 2, 3, 64, 1000}) {
            whole(storage, budget);
            EXPECT_EQ(seen.size(), 500) << storage << " " << budget;
            for (int i = 0; i != 500; i++) {
                EXPECT_EQ(times_seen(i), 1) << i;
            }
        }
    }
    EXPECT_EQ(check_integrity(core), "");
}

TEST_F(broker_scan, sees_those_that_stay_while_others_come_and_go)
{
    make();
    make_logs(0, 200); // unused for longer than unused_log_ttl at the scan
    now += unused_log_ttl + 1;
    make_logs(200, 400);

    int next = 400;
    while (step(1, 3)) {
        make_logs(next, next + 1); // the sweep removes the old ones
        next++;
        core.expire(now, 1);
    }

    ASSERT_GT(next, 600);
    for (int i = 200; i != 400; i++) {
        EXPECT_EQ(times_seen(i), 1) << i;
    }
    for (int i = 0; i != next; i++) {
        EXPECT_LE(times_seen(i), 1) << i;
    }
    EXPECT_LT(core.measure().logs, 400U + static_cast<unsigned>(next));
}

TEST_F(broker_scan, continues_after_a_process_died_in_it)
{
    make();
    make_logs(0, 100);
    while (seen.size() < 50) {
        step(1, 1);
    }

    // The state after a process was killed with the lock.
    detail::zone zone;
    ASSERT_TRUE(detail::attach_zone(zone, memory()));
    zone.head->at_work = 1;
    while (step(1, 1)) {}

    EXPECT_EQ(core.measure().repairs, 1);
    EXPECT_EQ(seen.size(), 100);
    EXPECT_EQ(check_integrity(core), "");
}
