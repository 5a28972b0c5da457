// Runs code of a library in a child process.
#include "nginx/plugin/trial.hpp"

#include <cerrno>
#include <csignal>
#include <new>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace websocket::nginx {

namespace {

// Unlike the statuses with which libraries end a process.
constexpr int completed = 87;

// nginx's handler of SIGCHLD would wait for the child.
class blocked_sigchld {
public:
    blocked_sigchld() noexcept
    {
        sigset_t blocked;

        sigemptyset(&blocked);
        sigaddset(&blocked, SIGCHLD);
        sigprocmask(SIG_BLOCK, &blocked, &before_);
    }
    ~blocked_sigchld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    blocked_sigchld(const blocked_sigchld &) = delete;
    blocked_sigchld &operator=(const blocked_sigchld &) = delete;

private:
    sigset_t before_;
};

[[noreturn]] void run_child(const std::function<void()> &work) noexcept
{
    constexpr rlimit no_core{0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);

    try {
        work();
    } catch (const std::bad_alloc &) {
        // The parent finds out by itself
    }

    _exit(completed);
}

} // namespace

// Without a process, or its status, nothing is known.
std::string run_trial(const std::function<void()> &work)
{
    const blocked_sigchld block;
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        run_child(work);
    }

    while (child != -1 && waitpid(child, &status, 0) == -1) {
        if (errno != EINTR) {
            return {};
        }
    }

    if (child == -1 ||
        (WIFEXITED(status) && WEXITSTATUS(status) == completed)) {
        return {};
    }

    return WIFSIGNALED(status)
               ? "by signal " + std::to_string(WTERMSIG(status))
               : "with status " + std::to_string(WEXITSTATUS(status));
}

} // namespace websocket::nginx
