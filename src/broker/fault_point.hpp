// Places between two stores to shared memory where a test can have the process
// killed. They cost nothing unless WEBSOCKET_FAULT_POINTS is defined.
#pragma once

#ifdef WEBSOCKET_FAULT_POINTS

namespace websocket::broker {

using fault_hook = void (*)(const char *name) noexcept;

// Called at every fault point with its name. The one that is there from the
// start raises SIGKILL where the environment says so: WEBSOCKET_DIE_AT=name,
// or name:count to pass it `count - 1` times; nginx's workers see that only
// with the directive "env WEBSOCKET_DIE_AT;". Returns the hook before.
fault_hook set_fault_hook(fault_hook hook) noexcept;

void reach_fault_point(const char *name) noexcept;

} // namespace websocket::broker

#define WEBSOCKET_FAULT_POINT(name) ::websocket::broker::reach_fault_point(name)

#else

#define WEBSOCKET_FAULT_POINT(name) static_cast<void>(0)

#endif
