// A process is stopped after each store to shared memory of each operation, as
// if it had died there. The others must be able to continue.
#include "crash_operations.hpp"
#include "store_stops.hpp"

#include <csignal>

#include <sys/wait.h>

using namespace broker_tests;

namespace {

pid_t start(scenario &where, const operation &what)
{
    const pid_t child = fork();

    if (child == 0) {
        stop_after_stores(where.bytes());
        what.run(where);
        _exit(0);
    }

    return child;
}

// False if the process has ended.
bool stopped(pid_t child)
{
    int status = 0;

    EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
    EXPECT_TRUE(WIFSTOPPED(status) || status == 0) << status;
    return WIFSTOPPED(status);
}

class broker_stores : public testing::TestWithParam<scenario::memory> {};

} // namespace

TEST_P(broker_stores, may_each_be_the_last)
{
    if (!stores_can_stop) {
        GTEST_SKIP() << "only x86-64 is known here to do a single step";
    }

    for (const operation &each : operations()) {
        scenario at(GetParam());
        std::vector<std::byte> seen(at.bytes().begin(), at.bytes().end());
        const pid_t child = start(at, each);
        int stores = 0;

        for (; stopped(child) && !HasFailure(); kill(child, SIGCONT)) {
            if (std::memcmp(seen.data(), at.bytes().data(), seen.size()) == 0) {
                continue;
            }
            std::memcpy(seen.data(), at.bytes().data(), seen.size());
            SCOPED_TRACE(std::string(each.name) + ", store " +
                         std::to_string(++stores));
            scenario(at).check_after_death();
        }
        if (HasFailure()) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
            return;
        }
        EXPECT_GT(stores, 1) << each.name;
    }
}

INSTANTIATE_TEST_SUITE_P(memory, broker_stores,
                         testing::Values(scenario::memory::roomy,
                                         scenario::memory::full),
                         scenario::memory_name);
