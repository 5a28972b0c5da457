// Writes back the bytes it reads: what no server can be faster than.
//
// usage: raw_echo PORT; on 127.0.0.1, one thread, ends by a signal.
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::size_t buffer_size = 256 * 1024;

struct peer {
    explicit peer(int of) : socket{of} {}
    ~peer() { close(socket); }
    peer(const peer &) = delete;
    peer &operator=(const peer &) = delete;

    int socket;
    std::vector<char> unsent; // read, but the socket took no more
};

// Sockets are edge-triggered: whoever stops early is not told again.
enum class outcome { waits, ended };

std::size_t write_some(int socket, const char *data, std::size_t size)
{
    const ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);

    return sent == -1 ? 0 : static_cast<std::size_t>(sent);
}

outcome serve(peer &of, std::vector<char> &buffer)
{
    for (;;) {
        if (!of.unsent.empty()) {
            const std::size_t sent =
                write_some(of.socket, of.unsent.data(), of.unsent.size());

            of.unsent.erase(of.unsent.begin(),
                            of.unsent.begin() +
                                static_cast<std::ptrdiff_t>(sent));

            if (!of.unsent.empty()) {
                return outcome::waits;
            }
        }

        const ssize_t got = recv(of.socket, buffer.data(), buffer.size(), 0);

        if (got <= 0) {
            return got == -1 && errno == EAGAIN ? outcome::waits
                                                : outcome::ended;
        }

        const auto size = static_cast<std::size_t>(got);
        const std::size_t sent = write_some(of.socket, buffer.data(), size);

        of.unsent.assign(buffer.begin() + static_cast<std::ptrdiff_t>(sent),
                         buffer.begin() + got);

        if (size < buffer.size() && of.unsent.empty()) {
            return outcome::waits;
        }
    }
}

void accept_all(int listener, int epoll)
{
    for (;;) {
        const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        const int on = 1;
        epoll_event wanted = {};

        if (socket == -1) {
            return;
        }

        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        wanted.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        wanted.data.ptr = new peer(socket);
        epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &wanted);
    }
}

int listen_at(const char *port)
{
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    sockaddr_in address = {};

    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<in_port_t>(std::atoi(port)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (bind(listener, reinterpret_cast<const sockaddr *>(&address),
             sizeof(address)) == -1 ||
        listen(listener, 4096) == -1) {
        std::perror("raw_echo");
        std::exit(1);
    }

    return listener;
}

} // namespace

int main(int count, char **arguments)
{
    if (count != 2) {
        std::fputs("usage: raw_echo PORT\n", stderr);
        return 2;
    }

    const int listener = listen_at(arguments[1]);
    const int epoll = epoll_create1(0);
    std::vector<char> buffer(buffer_size);
    std::vector<epoll_event> events(512);
    epoll_event wanted = {};

    wanted.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);

    for (;;) {
        const int ready = epoll_wait(epoll, events.data(),
                                     static_cast<int>(events.size()), -1);

        for (int i = 0; i < ready; i++) {
            auto *of = static_cast<peer *>(
                events[static_cast<std::size_t>(i)].data.ptr);

            if (of == nullptr) {
                accept_all(listener, epoll);
            } else if (serve(*of, buffer) == outcome::ended) {
                delete of;
            }
        }
    }
}
