// A reading: the counters of the kernel at one moment. Reading may block: it is
// for a thread.
#pragma once

#include "proc_text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <dirent.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace load {

// Time that a core, or all of them, have spent, in the kernel's ticks.
struct core_time {
    std::string name; // "cpu" for all, "cpu0" for the first
    std::uint64_t busy = 0;
    std::uint64_t total = 0;
};

struct reading {
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
    std::chrono::system_clock::time_point time =
        std::chrono::system_clock::now();

    core_time all;
    std::vector<core_time> cores;

    std::uint64_t memory_total = 0; // bytes
    std::uint64_t memory_available = 0;
    std::uint64_t swap_total = 0;
    std::uint64_t swap_free = 0;

    std::array<std::uint64_t, 3> load_average{}; // hundredths

    std::uint64_t bytes_received = 0; // since the machine's start
    std::uint64_t bytes_sent = 0;

    std::uint64_t processes = 0;
    std::uint64_t threads = 0;
    std::uint64_t running = 0; // threads that run or could
};

// user nice system idle iowait irq softirq steal; what follows, the time of
// guests, is part of user and nice already.
inline core_time read_core(std::string_view name, std::string_view line)
{
    core_time core{std::string(name)};

    for (int column = 0; column != 8; column++) {
        const std::uint64_t ticks = take_number(line);
        const bool idle = column == 3 || column == 4;

        core.total += ticks;
        core.busy += idle ? 0 : ticks;
    }

    return core;
}

inline void read_cores(reading &into)
{
    const std::string text = read_file("/proc/stat");

    for (std::string_view rest = text; !rest.empty();) {
        std::string_view line = take_until(rest, '\n');
        const std::string_view name = take_word(line);

        if (name == "cpu") {
            into.all = read_core(name, line);
        } else if (name.starts_with("cpu")) {
            into.cores.push_back(read_core(name, line));
        } else if (name == "procs_running") {
            into.running = take_number(line);
        }
    }
}

inline void read_memory(reading &into)
{
    const std::string text = read_file("/proc/meminfo");

    for (std::string_view rest = text; !rest.empty();) {
        std::string_view line = take_until(rest, '\n');
        const std::string_view name = take_until(line, ':');
        std::uint64_t *const target = name == "MemTotal" ? &into.memory_total
                                      : name == "MemAvailable"
                                          ? &into.memory_available
                                      : name == "SwapTotal" ? &into.swap_total
                                      : name == "SwapFree"  ? &into.swap_free
                                                            : nullptr;

        if (target != nullptr) {
            *target = take_number(line) * 1024;
        }
    }
}

// "0.20 0.18 0.12 1/80 11206": three averages, running and all threads.
inline void read_load_average(reading &into)
{
    const std::string text = read_file("/proc/loadavg");
    std::string_view rest = text;

    for (std::uint64_t &average : into.load_average) {
        std::string_view word = take_word(rest);
        const std::uint64_t whole = to_number(take_until(word, '.'));

        average = whole * 100 + to_number(word);
    }

    take_until(rest, '/');
    into.threads = to_number(rest);
}

// Counts one interface, or with an empty name all but the loopback.
inline void read_network(reading &into, std::string_view interface)
{
    const std::string text = read_file("/proc/net/dev");
    std::string_view rest = text;
    bool found = interface.empty();

    take_until(rest, '\n'); // two lines of headings
    take_until(rest, '\n');

    while (!rest.empty()) {
        std::string_view line = take_until(rest, '\n');
        std::string_view start = take_until(line, ':');
        const std::string_view name = take_word(start);

        if (interface.empty() ? name == "lo" : name != interface) {
            continue;
        }

        found = true;
        into.bytes_received += take_number(line);
        for (int column = 1; column != 8; column++) {
            take_number(line);
        }
        into.bytes_sent += take_number(line);
    }

    if (!found) {
        throw std::runtime_error("there is no network interface \"" +
                                 std::string(interface) + "\"");
    }
}

// A process is a folder that is named after its number.
inline void count_processes(reading &into)
{
    const auto close = [](DIR *folder) { closedir(folder); };
    const std::unique_ptr<DIR, decltype(close)> folder(opendir("/proc"), close);

    if (folder == nullptr) {
        throw std::runtime_error("cannot read /proc");
    }

    while (const dirent *entry = readdir(folder.get())) {
        into.processes += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    }
}

// Throws std::runtime_error with what cannot be read.
inline reading read_machine(std::string_view interface)
{
    reading result;

    read_cores(result);
    read_memory(result);
    read_load_average(result);
    read_network(result, interface);
    count_processes(result);

    return result;
}

} // namespace load
