// CPU time and memory of processes, from /proc.
#include "server_watch.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include <time.h>

namespace websocket::load {

namespace {

std::filesystem::path folder_of(pid_t process)
{
    return std::filesystem::path("/proc") / std::to_string(process);
}

// The first field is the time on a CPU, in nanoseconds.
double thread_seconds(const std::filesystem::path &thread)
{
    std::uint64_t nanoseconds = 0;

    if (!(std::ifstream(thread / "schedstat") >> nanoseconds)) {
        throw std::runtime_error("cannot read " + thread.string() +
                                 "/schedstat");
    }

    return static_cast<double>(nanoseconds) / 1e9;
}

double kibibytes(pid_t process, const std::string &name)
{
    std::ifstream file(folder_of(process) / "smaps_rollup");
    std::string word;

    while (file >> word) {
        double value = 0;

        if (word == name && file >> value) {
            return value;
        }
    }

    throw std::runtime_error("the memory of process " +
                             std::to_string(process) + " cannot be read");
}

} // namespace

double cpu_seconds(const std::vector<pid_t> &processes)
{
    double sum = 0;

    for (const pid_t process : processes) {
        for (const auto &thread :
             std::filesystem::directory_iterator(folder_of(process) / "task")) {
            sum += thread_seconds(thread.path());
        }
    }

    return sum;
}

double memory(const std::vector<pid_t> &processes)
{
    double sum = 0;

    for (const pid_t process : processes) {
        sum += 1024 * kibibytes(process, "Pss:");
    }

    return sum;
}

double own_cpu_seconds()
{
    timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_nsec) / 1e9;
}

} // namespace websocket::load
