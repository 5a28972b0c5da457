// CPU time and memory of processes, from /proc.
#pragma once

#include <vector>

#include <sys/types.h>

namespace websocket::load {

// Seconds of CPU time that all threads of the processes have used.
double cpu_seconds(const std::vector<pid_t> &processes);

// Bytes of memory of the processes. Shared memory counts proportionally (PSS).
double memory(const std::vector<pid_t> &processes);

// Seconds of CPU time of this process.
double own_cpu_seconds();

} // namespace websocket::load
