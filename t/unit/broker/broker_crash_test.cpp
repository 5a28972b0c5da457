// A process dies at each fault point of each operation, and the others continue
// without it.
#include "broker/fault_point.hpp"
#include "crash_operations.hpp"

#include <array>
#include <csignal>
#include <cstdlib>

#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace broker_tests;

namespace {

int points_to_pass;

void die_at_last(const char *) noexcept
{
    if (points_to_pass-- == 0) {
        kill(getpid(), SIGKILL);
    }
}

struct last_work {
    scenario &where;
    const operation &what;
};

int work(void *given)
{
    const auto &last = *static_cast<last_work *>(given);

    last.what.run(last.where);
    return 0;
}

// Runs the operation in a process that dies after `points` fault points. The
// process shares all memory, because a copy would take most of the time.
// Returns false if the operation ended before.
bool die_after(scenario &where, const operation &what, int points)
{
    alignas(16) static std::array<std::byte, 256 * 1024> stack;
    last_work last{where, what};

    points_to_pass = points;

    // The process before died inside of scopes, whose ends allow their reuse
    ASAN_UNPOISON_MEMORY_REGION(stack.data(), stack.size());

    const fault_hook hook_before = set_fault_hook(die_at_last);
    const pid_t child =
        clone(work, stack.data() + stack.size(), CLONE_VM | SIGCHLD, &last);
    int status = 0;

    EXPECT_EQ(waitpid(child, &status, 0), child);
    set_fault_hook(hook_before);
    where.forget_private_state();
    where.lock.free_of(child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

// The exit status of this program when it runs one test with this value of
// WEBSOCKET_DIE_AT.
int status_with(const char *death)
{
    const pid_t child = fork();

    if (child == 0) {
        setenv("WEBSOCKET_DIE_AT", death, 1);
        unsetenv("GTEST_TOTAL_SHARDS"); // the test may be in another one
        unsetenv("GTEST_SHARD_INDEX");
        execl("/proc/self/exe", "unit_tests", "--gtest_brief=1",
              "--gtest_filter=broker_messages.reach_all*", nullptr);
        _exit(127);
    }

    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

class broker_crash : public testing::TestWithParam<scenario::memory> {};

} // namespace

TEST(broker_fault_point, is_selected_by_the_environment)
{
    EXPECT_EQ(status_with("nowhere"), 0);
    EXPECT_EQ(status_with("entry.linked:101"), 0);
    EXPECT_EQ(WTERMSIG(status_with("entry.linked")), SIGKILL);
    EXPECT_EQ(WTERMSIG(status_with("entry.linked:100")), SIGKILL);
}

TEST_P(broker_crash, at_any_point_leaves_the_others_working)
{
    const scenario before(GetParam());

    for (const operation &each : operations()) {
        int points = 0;

        for (bool died = true; died && !HasFailure(); points++) {
            SCOPED_TRACE(std::string(each.name) + ", point " +
                         std::to_string(points));
            scenario at(before);
            died = die_after(at, each, points);
            at.check_after_death();
        }
        EXPECT_GT(points, 3) << each.name;
    }
}

// The first process after a death dies in the repair, and so does the next one.
TEST_P(broker_crash, in_a_repair_is_repaired)
{
    const operation look{"look", [](scenario &s) { s.core.measure(); }};
    const scenario before(GetParam());
    int repairs = 0;

    for (const operation &each : operations()) {
        constexpr int deep = 7;
        bool died = true;

        for (int points = 1; died && !HasFailure(); points += 5) {
            SCOPED_TRACE(std::string(each.name) + ", then point " +
                         std::to_string(points));
            scenario at(before);
            died = die_after(at, each, deep) && die_after(at, look, points) &&
                   die_after(at, look, points + 2);
            at.check_after_death();
            repairs += died ? 1 : 0;
        }
    }
    EXPECT_GT(repairs, 50);
}

INSTANTIATE_TEST_SUITE_P(memory, broker_crash,
                         testing::Values(scenario::memory::roomy,
                                         scenario::memory::full),
                         scenario::memory_name);
