// Random calls for members, compared with a model of maps.
//
// BROKER_SEED determines the calls.
#include "members_fixture.hpp"

#include <cstdlib>
#include <random>

using namespace broker_tests;

namespace {

constexpr unsigned slots = 4;

// A user of a scope as it should be. A slot without clients has no count; one
// on which the user lingers has the count 0.
struct expected_member {
    std::map<unsigned, std::uint32_t> counts;
    bool lost = false;

    std::uint32_t clients() const
    {
        std::uint32_t all = 0;

        for (const auto &[slot, count] : counts) {
            all += count;
        }

        return all;
    }
};

class members_model : public members_test {
protected:
    members_model()
    {
        for (unsigned i = 0; i < slots; i++) {
            claim(pid_of(i));
        }
    }

    static std::int32_t pid_of(unsigned slot)
    {
        return static_cast<std::int32_t>(slot) + 10;
    }

    void act()
    {
        const unsigned what = dice_() % 100;

        scope_ = "scope " + std::to_string(dice_() % 3);
        user_ = any_user();
        slot_ = dice_() % slots;

        if (what < 40) {
            add();
        } else if (what < 75) {
            remove();
        } else if (what < 85) {
            end();
        } else if (what < 90) {
            take();
        } else if (what < 98) {
            compare();
        } else {
            end_process();
        }
    }

    void compare_all()
    {
        std::size_t present = 0;

        for (const char *scope : {"scope 0", "scope 1", "scope 2"}) {
            std::string expected;
            std::uint32_t users = 0;
            std::uint32_t clients = 0;

            for (const auto &[user, member] : model_[scope]) {
                expected += user + '=' + std::to_string(member.clients()) + ' ';
                users += member.clients() != 0 ? 1 : 0;
                clients += member.clients();
            }
            EXPECT_EQ(page("", 100, 100 * max_user_size, scope), expected);

            const counted_scope counted = core.count_scope(scope);

            EXPECT_EQ(counted.users, users);
            EXPECT_EQ(counted.members, model_[scope].size());
            EXPECT_EQ(counted.clients, clients);
            present += users;
        }
        EXPECT_EQ(core.measure().members, present);
        EXPECT_EQ(check_integrity(core), "");
    }

    std::minstd_rand dice_;

private:
    // Short ones, and such that differ at the end of several blocks.
    std::string any_user()
    {
        const unsigned number = dice_() % 24;
        std::string user =
            number % 3 == 0 ? std::string(number * 8 + 4, 'u') : "";

        return user + static_cast<char>('A' + number);
    }

    expected_member *find()
    {
        const auto found = model_[scope_].find(user_);

        return found != model_[scope_].end() ? &found->second : nullptr;
    }

    void add()
    {
        const added_member added = core.add_member(slot_, scope_, user_, now);
        expected_member *known = find();

        EXPECT_EQ(added.result, outcome::done);
        EXPECT_EQ(added.was_absent, known == nullptr);

        expected_member &member = model_[scope_][user_];

        member.counts[slot_]++;
        member.lost = false;
        std::erase_if(member.counts,
                      [](const auto &each) { return each.second == 0; });
        EXPECT_EQ(added.clients, member.clients());
    }

    void remove()
    {
        const bool linger = dice_() % 2 == 0;
        const removed_member removed =
            core.remove_member(slot_, scope_, user_, linger);
        expected_member *known = find();

        if (known == nullptr || !known->counts.contains(slot_) ||
            known->counts[slot_] == 0) {
            EXPECT_EQ(removed.result, outcome::gone);
            return;
        }

        const std::uint32_t left = known->clients() - 1;

        EXPECT_EQ(removed.result, outcome::done);
        EXPECT_EQ(removed.clients, left);
        if (--known->counts[slot_] == 0 && left != 0) {
            known->counts.erase(slot_);
        }
        if (left == 0 && !linger) {
            model_[scope_].erase(user_);
        }
    }

    void end()
    {
        expected_member *known = find();
        const bool lingers = known != nullptr && known->clients() == 0 &&
                             known->counts.contains(slot_);

        EXPECT_EQ(core.end_member(slot_, scope_, user_), lingers);
        if (lingers) {
            model_[scope_].erase(user_);
        }
    }

    void take()
    {
        std::array<char, max_name_size> scope;
        std::array<char, max_user_size> user;
        const auto lost = core.take_lost_member(slot_, scope, user);
        std::size_t left = 0;

        for (const auto &[name, members] : model_) {
            for (const auto &[each, member] : members) {
                left += member.lost ? 1 : 0;
            }
        }
        ASSERT_EQ(lost.has_value(), left != 0);
        if (lost) {
            scope_ = lost->scope;
            user_ = lost->user;
            ASSERT_NE(find(), nullptr);
            EXPECT_TRUE(find()->lost);
            find()->lost = false;
            find()->counts[slot_] = 0;
        }
    }

    void compare()
    {
        const counted_member counted = core.count_member(scope_, user_);
        const expected_member *known = find();

        EXPECT_EQ(counted.clients, known != nullptr ? known->clients() : 0);
        EXPECT_EQ(counted.lingers, known != nullptr && known->clients() == 0);
        for (unsigned i = 0; i < slots; i++) {
            EXPECT_EQ(counted.slots.test(i), known != nullptr &&
                                                 known->counts.contains(i) &&
                                                 known->counts.at(i) != 0);
        }
    }

    // Another process takes the slot.
    void end_process()
    {
        core.limit_holds(1 + dice_() % 8, 1 + dice_() % 8);
        EXPECT_EQ(claim(pid_of(slot_)), slot_);
        for (auto &[scope, members] : model_) {
            for (auto &[user, member] : members) {
                member.lost = (member.counts.erase(slot_) != 0 &&
                               member.counts.empty()) ||
                              member.lost;
            }
        }
    }

    std::map<std::string, std::map<std::string, expected_member>> model_;
    std::string scope_;
    std::string user_;
    unsigned slot_ = 0;
};

} // namespace

TEST_F(members_model, has_the_same_members_after_random_calls)
{
    const char *text = std::getenv("BROKER_SEED");
    const auto seed = text != nullptr ? static_cast<unsigned>(std::atoll(text))
                                      : std::random_device{}();

    RecordProperty("seed", std::to_string(seed));
    dice_.seed(seed);
    for (int i = 0; i < 20'000 && !HasFailure(); i++) {
        act();
        if (i % 100 == 0) {
            compare_all();
        }
    }
    compare_all();
    EXPECT_FALSE(HasFailure()) << "BROKER_SEED=" << seed;
}
