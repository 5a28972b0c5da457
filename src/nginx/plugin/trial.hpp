// Runs code of a library in a child process.
#pragma once

#include <functional>
#include <string>

namespace websocket::nginx {

// A library that is damaged may end the process that loads it, which must not
// be nginx's master. Returns "", or how the work has ended a child process. It
// may leave no trace but in that process. Throws std::bad_alloc.
std::string run_trial(const std::function<void()> &work);

} // namespace websocket::nginx
