// What a worker has of its own: sessions, flush list, buffers.
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
