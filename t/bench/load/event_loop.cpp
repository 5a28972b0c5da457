// Calls connections when epoll reports their sockets as ready.
#include "event_loop.hpp"

#include <array>
#include <cerrno>
#include <system_error>

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

namespace websocket::load {

std::uint64_t now() noexcept
{
    timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

event_loop::event_loop() : epoll_{epoll_create1(EPOLL_CLOEXEC)}
{
    if (epoll_ == -1) {
        throw std::system_error(errno, std::generic_category(), "epoll");
    }
}

event_loop::~event_loop()
{
    close(epoll_);
}

void event_loop::add(int descriptor, ready_handler &handler)
{
    epoll_event wanted = {};

    wanted.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    wanted.data.ptr = &handler;

    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &wanted) == -1) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
}

void event_loop::turn(int milliseconds)
{
    std::array<epoll_event, 512> events;
    const int count = epoll_wait(epoll_, events.data(),
                                 static_cast<int>(events.size()), milliseconds);

    if (count == -1 && errno != EINTR) {
        throw std::system_error(errno, std::generic_category(), "epoll_wait");
    }

    for (int i = 0; i < count; i++) {
        const epoll_event &event = events[static_cast<std::size_t>(i)];

        static_cast<ready_handler *>(event.data.ptr)
            ->ready((event.events & ~std::uint32_t{EPOLLOUT}) != 0);
    }
}

} // namespace websocket::load
