// Measures members of the broker: the time of each call, their memory, and how
// long the lock is held.
#include "timed_broker.hpp"

namespace {

using namespace bench;

std::string numbered(std::uint64_t number)
{
    std::string digits = std::to_string(number * 7919 % 10'000'019);

    return "user-" + std::string(8 - digits.size(), '0') + digits;
}

// Members in one scope, or in as many scopes as members.
class scopes {
public:
    scopes(timed_broker &with, bool one) : with_{with}, one_{one} {}

    void add(std::uint64_t from, std::uint64_t to)
    {
        for (std::uint64_t i = from; i != to; i++) {
            with_.core.add_member(with_.slot, name(i), numbered(i), with_.now);
        }
    }
    void remove(std::uint64_t from, std::uint64_t to)
    {
        for (std::uint64_t i = from; i != to; i++) {
            with_.core.remove_member(with_.slot, name(i), numbered(i), false);
        }
    }

private:
    std::string name(std::uint64_t number) const
    {
        return one_ ? "room:lobby" : "user:" + std::to_string(number % 9973);
    }

    timed_broker &with_;
    bool one_;
};

// Adds and removes further members beside so many.
void members_beside(std::uint64_t count, bool one_scope)
{
    constexpr std::uint64_t further = 10'000;
    timed_broker with(1024 * mebibyte);
    scopes all(with, one_scope);
    const std::string beside = " beside " + std::to_string(count) +
                               (one_scope ? "" : " of many scopes");
    const std::size_t before = with.core.measure().used;

    all.add(0, count);

    const std::size_t used = with.core.measure().used - before;

    with.measure("10,000 add_member" + beside,
                 [&] { all.add(count, count + further); });
    with.measure("10,000 of the same user again" + beside,
                 [&] { all.add(count, count + further); });
    all.remove(count, count + further);
    with.measure("10,000 remove_member" + beside,
                 [&] { all.remove(count, count + further); });
    std::printf("%-52s %9.1f\n", ("bytes for each of" + beside).c_str(),
                static_cast<double>(used) / static_cast<double>(count));
}

void lists_of_members(std::uint64_t count)
{
    timed_broker with(1024 * mebibyte);
    scopes all(with, true);
    std::vector<char> names(64 * 1024);
    std::vector<broker::listed_member> page(1000);
    const std::string of = " of " + std::to_string(count);

    all.add(0, count);
    with.measure("list_members, pages of 1,000" + of, [&] {
        std::string after;
        broker::listed_members listed{.count = 0, .more = true};

        while (listed.more) {
            listed = with.core.list_members("room:lobby", after, {names, page});
            after = page[listed.count - 1].user;
        }
    });
    with.measure("10,000 count_member" + of, [&] {
        for (std::uint64_t i = 0; i != 10'000; i++) {
            with.core.count_member("room:lobby", numbered(i * 31 % count));
        }
    });
    with.measure("10,000 count_users" + of, [&] {
        for (std::uint64_t i = 0; i != 10'000; i++) {
            with.core.count_users("room:lobby");
        }
    });
    for (std::uint64_t i = 0; i + 10 < count; i++) {
        with.core.remove_member(with.slot, "room:lobby", numbered(i), true);
    }
    with.measure("list_members, 10 users, the others linger" + of, [&] {
        with.core.list_members("room:lobby", "", {names, page});
    });

    const unsigned other =
        with.core.claim(2, 2, with.watch, with.now).slot.value();

    with.watch.dead = 1;
    with.measure("reclaim a worker with members" + of,
                 [&] { with.core.reclaim_dead(with.watch, with.now); });
    with.measure("take_lost_member and end_member" + of, [&] {
        std::array<char, broker::max_name_size> scope;
        std::array<char, broker::max_user_size> user;

        while (const auto lost =
                   with.core.take_lost_member(other, scope, user)) {
            with.core.end_member(other, lost->scope, lost->user);
        }
    });
}

void repair_of_members(std::uint64_t count)
{
    timed_broker with(1024 * mebibyte);
    scopes all(with, true);

    all.add(0, count);
    with.leave_at_work();
    with.measure("repair with members of " + std::to_string(count),
                 [&] { with.core.measure(); });
}

} // namespace

int main()
{
    print_head();
    for (const std::uint64_t count : {std::uint64_t{1}, 10'000UL, million}) {
        members_beside(count, true);
    }
    members_beside(million, false);
    lists_of_members(100'000);
    lists_of_members(million);
    repair_of_members(million);
}
