// Calls connections when epoll reports their sockets as ready.
#pragma once

#include <cstdint>

namespace websocket::load {

// Nanoseconds of a monotonic clock.
std::uint64_t now() noexcept;

struct ready_handler {
    // The socket has become readable, writable or both. The callee must read
    // until it is empty, because epoll reports it only once.
    virtual void ready(bool readable) = 0;

protected:
    ~ready_handler() = default;
};

class event_loop {
public:
    event_loop();
    ~event_loop();
    event_loop(const event_loop &) = delete;
    event_loop &operator=(const event_loop &) = delete;

    // The handler must outlive the descriptor.
    void add(int descriptor, ready_handler &handler);

    // Handles events that are ready, or that occur within the time; 0 does not
    // wait.
    void turn(int milliseconds);

private:
    int epoll_;
};

} // namespace websocket::load
