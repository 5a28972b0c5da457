// A process is stepped through every operation, one instruction at a time, and
// after each store to the shared memory the others must be able to go on from
// what is there: it could have died at that very moment.
#include "broker_operations.hpp"

#include <csignal>

#include <sys/ptrace.h>
#include <sys/wait.h>

using namespace broker_tests;

namespace {

// A process that waits in front of the operation to be stepped through it.
pid_t stop_before(scene &where, const operation &what)
{
    const pid_t child = fork();

    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
            _exit(1);
        }
        std::raise(SIGSTOP);
        what.run(where);
        _exit(0);
    }

    return child;
}

// False: the process has ended.
bool stopped(pid_t child)
{
    int status = 0;

    return waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

bool step(pid_t child)
{
    return ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 &&
           stopped(child);
}

class broker_stores : public testing::TestWithParam<scene::memory> {};

} // namespace

TEST_P(broker_stores, may_each_be_the_last)
{
    for (const operation &each : operations()) {
        scene at(GetParam());
        std::vector<std::byte> seen(at.bytes().begin(), at.bytes().end());
        const pid_t child = stop_before(at, each);
        int stores = 0;

        if (!stopped(child)) {
            GTEST_SKIP() << "processes may not be traced here";
        }
        while (step(child) && !HasFailure()) {
            if (std::memcmp(seen.data(), at.bytes().data(), seen.size()) == 0) {
                continue;
            }
            std::memcpy(seen.data(), at.bytes().data(), seen.size());
            SCOPED_TRACE(std::string(each.name) + ", store " +
                         std::to_string(++stores));
            scene(at).check_after_death();
        }
        if (HasFailure()) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
            return;
        }
        EXPECT_GT(stores, 1) << each.name;
    }
}

// With a sanitizer's own instructions between ours it takes many times longer.
#ifdef __SANITIZE_ADDRESS__
const auto memories = testing::Values(scene::memory::full);
#else
const auto memories =
    testing::Values(scene::memory::roomy, scene::memory::full);
#endif

INSTANTIATE_TEST_SUITE_P(memory, broker_stores, memories, [](const auto &info) {
    return info.param == scene::memory::full ? "full" : "roomy";
});
