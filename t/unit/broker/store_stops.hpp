// Stops this process after each of its stores to some memory. The pages are
// read-only, and a store is made as a single step with the pages writable.
#pragma once

#include <csignal>
#include <cstddef>
#include <span>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace broker_tests {

#ifdef __x86_64__

inline std::span<std::byte> stopping_memory;

inline void protect_stopping_memory(int how)
{
    if (mprotect(stopping_memory.data(), stopping_memory.size(), how) != 0) {
        _exit(1);
    }
}

inline greg_t &flags_of(void *context)
{
    return static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL];
}

constexpr greg_t single_step = 0x100;

inline void begin_store(int, siginfo_t *info, void *context)
{
    const auto *at = static_cast<std::byte *>(info->si_addr);

    if (at < stopping_memory.data() ||
        at >= stopping_memory.data() + stopping_memory.size()) {
        std::signal(SIGSEGV, SIG_DFL);
        return;
    }

    protect_stopping_memory(PROT_READ | PROT_WRITE);
    flags_of(context) |= single_step;
}

inline void end_store(int, siginfo_t *, void *context)
{
    flags_of(context) &= ~single_step;
    protect_stopping_memory(PROT_READ);
    kill(getpid(), SIGSTOP);
}

// The memory consists of whole pages. The parent sees this process stopped by
// SIGSTOP, and continues it with SIGCONT.
inline void stop_after_stores(std::span<std::byte> memory)
{
    struct sigaction action = {};

    stopping_memory = memory;
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = begin_store;
    sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = end_store;
    sigaction(SIGTRAP, &action, nullptr);
    protect_stopping_memory(PROT_READ);
}

constexpr bool stores_can_stop = true;

#else

inline void stop_after_stores(std::span<std::byte>)
{}
constexpr bool stores_can_stop = false;

#endif

} // namespace broker_tests
