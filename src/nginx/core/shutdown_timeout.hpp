// The time that worker_shutdown_timeout leaves to a worker.
#pragma once

namespace websocket::nginx {

// It has passed: nginx has closed all connections, and the worker must end.
inline bool shutdown_timed_out = false;

} // namespace websocket::nginx
