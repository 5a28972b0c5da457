// Fault points: places between two stores to shared memory where a test can
// kill the process. They compile to nothing unless WEBSOCKET_FAULT_POINTS is
// defined.
#pragma once

#ifdef WEBSOCKET_FAULT_POINTS

namespace websocket::broker {

using fault_hook = void (*)(const char *name) noexcept;

// Sets the function that every fault point calls with its name, and returns the
// one before. The initial one raises SIGKILL at the point that the environment
// names: WEBSOCKET_DIE_AT=name, or name:count to pass it `count - 1` times.
//
// nginx's workers have the variable only with the directive "env
// WEBSOCKET_DIE_AT;".
fault_hook set_fault_hook(fault_hook hook) noexcept;

void reach_fault_point(const char *name) noexcept;

} // namespace websocket::broker

#define WEBSOCKET_FAULT_POINT(name) ::websocket::broker::reach_fault_point(name)

#else

#define WEBSOCKET_FAULT_POINT(name) static_cast<void>(0)

#endif
