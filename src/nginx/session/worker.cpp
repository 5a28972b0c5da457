// The one worker object of this process.
#include "nginx/session/worker.hpp"

namespace websocket::nginx {

namespace {

worker current;

} // namespace

worker &this_worker() noexcept
{
    return current;
}

} // namespace websocket::nginx
