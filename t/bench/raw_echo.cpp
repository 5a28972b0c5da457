// Writes back the bytes it reads, which is the upper limit for any echo server.
//
// usage: raw_echo PORT [whole]; listens on 127.0.0.1, has one thread, ends on a
// signal. whole: sends a frame back when it is complete, like any server that
// validates a message before it replies.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
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
    std::vector<char> unsent; // read, but not accepted by the socket
    std::vector<char> frame;  // an incomplete frame
    std::size_t come = 0;     // received bytes of it; 0 without one
};

// Sockets are edge-triggered: a reader that stops early is not called again.
enum class outcome { goes_on, waits, ended };

bool gather; // whole frames

// The size of the frame that begins here, if its header is complete. Otherwise
// a number above `come`.
std::size_t frame_size(const char *at, std::size_t come)
{
    const auto byte = [at](std::size_t i) {
        return static_cast<std::uint8_t>(at[i]);
    };

    if (come < 2) {
        return 2;
    }

    std::size_t length = byte(1) & 0x7F;
    const std::size_t more = length < 126 ? 0 : length == 126 ? 2 : 8;
    const std::size_t header = 2 + more + 4;

    if (come < header) {
        return header;
    }

    if (more != 0) {
        length = 0;

        for (std::size_t i = 0; i != more; i++) {
            length = length << 8 | byte(2 + i);
        }
    }

    return header + length;
}

// Sends as much as the socket accepts, and keeps the rest. Returns false if
// there is a rest.
bool write_back(peer &to, const char *data, std::size_t size)
{
    const ssize_t sent = send(to.socket, data, size, MSG_NOSIGNAL);

    to.unsent.assign(data + std::max<ssize_t>(sent, 0), data + size);
    return to.unsent.empty();
}

outcome failed(ssize_t got)
{
    return got == -1 && errno == EAGAIN ? outcome::waits : outcome::ended;
}

// Receives more of the incomplete frame.
outcome complete_frame(peer &of)
{
    const ssize_t got = recv(of.socket, of.frame.data() + of.come,
                             of.frame.size() - of.come, 0);

    if (got <= 0) {
        return failed(got);
    }

    of.come += static_cast<std::size_t>(got);

    if (const std::size_t size = frame_size(of.frame.data(), of.come);
        size > of.come) {
        of.frame.resize(size);
        return outcome::goes_on;
    }

    of.come = 0;
    return write_back(of, of.frame.data(), of.frame.size()) ? outcome::goes_on
                                                            : outcome::waits;
}

// Returns how many of these bytes may be written back, and keeps the rest.
std::size_t keep_rest(peer &of, const char *data, std::size_t size)
{
    std::size_t whole = 0;

    while (whole != size) {
        const std::size_t next = frame_size(data + whole, size - whole);

        if (next > size - whole) {
            of.come = size - whole;
            of.frame.resize(next);
            std::memcpy(of.frame.data(), data + whole, of.come);
            break;
        }

        whole += next;
    }

    return whole;
}

outcome read_and_write(peer &of, std::vector<char> &buffer)
{
    if (of.come != 0) {
        return complete_frame(of);
    }

    const ssize_t got = recv(of.socket, buffer.data(), buffer.size(), 0);

    if (got <= 0) {
        return failed(got);
    }

    const auto read = static_cast<std::size_t>(got);
    const std::size_t size = gather ? keep_rest(of, buffer.data(), read) : read;

    if (size != 0 && !write_back(of, buffer.data(), size)) {
        return outcome::waits;
    }

    return read < buffer.size() && of.come == 0 ? outcome::waits
                                                : outcome::goes_on;
}

outcome serve(peer &of, std::vector<char> &buffer)
{
    outcome next = outcome::goes_on;

    while (next == outcome::goes_on) {
        if (!of.unsent.empty()) {
            const std::vector<char> rest = std::move(of.unsent);

            if (!write_back(of, rest.data(), rest.size())) {
                return outcome::waits;
            }
        }

        next = read_and_write(of, buffer);
    }

    return next;
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
    if (count != 2 && (count != 3 || std::strcmp(arguments[2], "whole"))) {
        std::fputs("usage: raw_echo PORT [whole]\n", stderr);
        return 2;
    }

    gather = count == 3;

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
