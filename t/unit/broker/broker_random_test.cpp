// Processes perform random operations, and are killed and replaced at random
// times. They must read correct messages as long as they run.
//
// BROKER_SEED determines the operations, BROKER_SECONDS their duration.
#include "broker/fault_point.hpp"
#include "random_worker.hpp"

#include <cstdlib>
#include <iostream>

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

using namespace broker_tests;

namespace {

std::uint64_t setting(const char *name, std::uint64_t fallback)
{
    const char *text = std::getenv(name);

    return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

// A process dies at one of so many fault points.
std::minstd_rand fault_dice;
constexpr unsigned fault_chance = 20'000;
constexpr unsigned rare_fault_chance = 300;

// Fault points that are passed seldom: of logs with external numbers and of
// members.
bool is_rare(std::string_view name)
{
    return name.starts_with("position.") || name.starts_with("gap.") ||
           name.starts_with("external.") || name.starts_with("leader.") ||
           name.starts_with("member.") || name.starts_with("scope.") ||
           name == "entry.cleared";
}

void die_by_chance(const char *name) noexcept
{
    if (fault_dice() % (is_rare(name) ? rare_fault_chance : fault_chance) ==
        0) {
        static_cast<void>(std::raise(SIGKILL));
    }
}

// Keeps four processes running, and kills some.
class nursery {
public:
    explicit nursery(std::uint64_t seed) : dice_{seed}
    {
        EXPECT_TRUE(core_.create(memory_.bytes(), slot_count, seed));
        for (int &event : events_) {
            event = eventfd(0, EFD_NONBLOCK);
        }
    }
    ~nursery()
    {
        for (const int event : events_) {
            close(event);
        }
    }
    nursery(const nursery &) = delete;
    nursery &operator=(const nursery &) = delete;

    void run(std::chrono::milliseconds time)
    {
        const auto end = std::chrono::steady_clock::now() + time;

        for (std::size_t i = 0; i < children_.size(); i++) {
            start(i);
        }
        while (std::chrono::steady_clock::now() < end && fault().empty()) {
            if (dice_() % 4 == 0) {
                kill(children_[dice_() % children_.size()], SIGKILL);
            }
            replace_dead(5);
        }
        stop();
    }

    // Checks that nothing is left after the end of all processes.
    void check_end()
    {
        real_processes processes;
        std::uint64_t then = std::uint64_t{1} << 62;

        EXPECT_EQ(check_integrity(core_), "");
        core_.reclaim_dead(processes, then);
        EXPECT_EQ(core_.measure().subscriptions, 0);
        for (std::size_t i = 0; i < room_count + outer_room_count; i++) {
            const std::string name = std::to_string(i);
            const unsigned slot =
                core_.claim(getpid(), 0, processes, then).slot.value_or(0);
            end_all_members(core_, slot);
            EXPECT_EQ(core_.describe(name, then).local_clients, 0);
            core_.subscribe(slot, name, nullptr, {}, then);
            core_.release(slot, then);
        }
        for (int i = 0; i < 3; i++, then += unused_log_ttl) {
            while (!core_.expire(then, 1000)) {}
        }
        EXPECT_EQ(check_integrity(core_), "");
        EXPECT_EQ(core_.measure().used, 0);
    }

    std::string fault() const { return report_->fault.data(); }
    std::uint64_t read() const { return report_->messages_read; }
    std::uint64_t external() const { return report_->external; }
    std::uint64_t gaps() const { return report_->gaps; }
    std::uint64_t repairs() { return core_.measure().repairs; }
    int deaths() const { return deaths_; }

private:
    void start(std::size_t index)
    {
        const std::uint64_t seed = dice_();
        const pid_t child = fork();

        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            fault_dice.seed(static_cast<unsigned>(seed));
            set_fault_hook(die_by_chance);
            worker(core_, events_, *report_, seed)
                .run(static_cast<std::int32_t>(index));
            _exit(0);
        }
        children_[index] = child;
    }

    // Waits up to `patience` milliseconds for dead processes. Frees their
    // mutex, like nginx's master, and replaces them.
    void replace_dead(int patience)
    {
        const timespec time{.tv_sec = 0, .tv_nsec = patience * 1'000'000L};
        sigset_t child_ended;

        sigemptyset(&child_ended);
        sigaddset(&child_ended, SIGCHLD);
        sigtimedwait(&child_ended, nullptr, &time);

        for (std::size_t i = 0; i < children_.size(); i++) {
            if (waitpid(children_[i], nullptr, WNOHANG) == children_[i]) {
                lock_.free_of(children_[i]);
                deaths_++;
                start(i);
            }
        }
    }

    void stop()
    {
        report_->over = true;
        for (const int event : events_) {
            const std::uint64_t one = 1;
            EXPECT_EQ(write(event, &one, sizeof(one)), sizeof(one));
        }
        // In the order in which they end, because a process may wait for the
        // mutex of a dead one.
        for (std::size_t i = 0; i < children_.size(); i++) {
            lock_.free_of(waitpid(-1, nullptr, 0));
        }
    }

    shared_memory memory_{96 * 1024};
    shared_memory report_memory_{sizeof(report)};
    report *report_ = ::new (report_memory_.bytes().data()) report{};
    owned_mutex lock_;
    broker core_{lock_};
    std::array<int, slot_count> events_{};
    std::array<pid_t, 4> children_{};
    std::mt19937_64 dice_;
    int deaths_ = 0;
};

// sigtimedwait() needs a blocked SIGCHLD.
class child_signal_blocked {
public:
    child_signal_blocked()
    {
        sigset_t child_ended;
        sigemptyset(&child_ended);
        sigaddset(&child_ended, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child_ended, &before_);
    }
    ~child_signal_blocked() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    child_signal_blocked(const child_signal_blocked &) = delete;
    child_signal_blocked &operator=(const child_signal_blocked &) = delete;

private:
    sigset_t before_;
};

} // namespace

TEST(broker_random, survivors_read_correct_messages_while_others_die)
{
    const std::uint64_t seed = setting("BROKER_SEED", std::random_device{}());
    const child_signal_blocked blocked;
    nursery all(seed);

    RecordProperty("seed", std::to_string(seed));
    all.run(std::chrono::seconds(setting("BROKER_SECONDS", 3)));
    EXPECT_EQ(all.fault(), "") << "BROKER_SEED=" << seed;
    all.check_end();
    EXPECT_GT(all.deaths(), 0);
    EXPECT_GT(all.read(), 0);
    EXPECT_GT(all.external(), 0);
    std::cout << "seed " << seed << ": " << all.read() << " messages read, "
              << all.gaps() << " gaps, " << all.external() << " alignments, "
              << all.deaths() << " deaths, " << all.repairs() << " repairs\n";
}
