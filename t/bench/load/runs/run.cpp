// The common part of all modes. Connections are opened; the load warms up, is
// measured for some time, and ends when all replies have arrived.
#include "run.hpp"

#include "../server_watch.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

namespace websocket::load {

namespace {

// So few handshakes at a time do not fill a listener's queue.
constexpr std::size_t opened_at_once = 64;

constexpr int longest_wait = 5; // milliseconds

double seconds_since(std::uint64_t time)
{
    return static_cast<double>(now() - time) / 1e9;
}

void allow_descriptors(std::size_t count)
{
    rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count) {
        limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Reads the available standard input. Returns false at its end.
bool read_input()
{
    std::array<char, 256> line;

    return read(STDIN_FILENO, line.data(), line.size()) > 0;
}

bool input_ready()
{
    pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};

    return poll(&input, 1, 0) > 0;
}

} // namespace

run::run(const options &given)
    : given_{given}, tls_{given.tls ? std::make_unique<tls_setting>() : nullptr}
{
    allow_descriptors(given.connections + given.publishers + 32);
}

void run::execute()
{
    progress();
    open_all();
    prepare();

    if (given_.wait) {
        report_ready();
        await_line();
    }

    began_at_ = now();
    progress();

    if (given_.warm_up == 0 || given_.messages != 0) {
        start_measuring();
    }

    begin();

    while (phase_ != phase::ending || !drained()) {
        step();
    }

    if (given_.messages != 0) {
        stop_measuring();
    }

    print();

    if (given_.wait) {
        await_end();
    }
}

void run::turn()
{
    loop_.turn(given_.spin ? 0 : longest_wait);
    turn_over();
}

void run::step()
{
    turn();

    if (given_.messages != 0) {
        phase_ = claimed_ == given_.messages ? phase::ending : phase_;
    } else if (phase_ == phase::warming_up) {
        if (seconds_since(began_at_) >= given_.warm_up) {
            start_measuring();
        }
    } else if (phase_ == phase::measuring &&
               seconds_since(measured_from_) >= given_.seconds) {
        stop_measuring();
    }

    check_progress();
}

void run::start_measuring()
{
    phase_ = phase::measuring;
    counted_ = 0;
    latency_.clear();
    server_cpu_ = cpu_seconds(given_.servers);
    own_cpu_ = own_cpu_seconds();
    measured_from_ = now();
}

void run::stop_measuring()
{
    phase_ = phase::ending;
    seconds_ = seconds_since(measured_from_);
    server_cpu_ = cpu_seconds(given_.servers) - server_cpu_;
    own_cpu_ = own_cpu_seconds() - own_cpu_;
}

void run::check_progress() const
{
    if (seconds_since(progress_at_) > given_.patience) {
        throw std::runtime_error("no message arrived for " +
                                 std::to_string(given_.patience) +
                                 " s: some are missing");
    }
}

std::size_t run::claim(std::size_t wanted) noexcept
{
    if (given_.messages != 0) {
        const std::uint64_t left = given_.messages - claimed_;
        wanted = std::min<std::uint64_t>(wanted, left);
    } else if (phase_ == phase::ending) {
        wanted = 0;
    }

    claimed_ += wanted;
    return wanted;
}

// Replies after the end of the measurement are checked but not counted.
void run::count(std::uint64_t sent_at) noexcept
{
    if (phase_ == phase::measuring || given_.messages != 0) {
        counted_++;
        latency_.add(progress_at_ - std::min(sent_at, progress_at_));
    }
}

void run::wrong(const connection &of, const char *what)
{
    throw std::runtime_error("connection " + std::to_string(of.number()) +
                             ": " + what);
}

/*
 * Connections.
 */

const destination &run::at(const std::string &path, std::uint16_t port,
                           bool offers_subprotocol)
{
    destinations_.push_back(
        {.port = port != 0 ? port : given_.port,
         .path = path,
         .subprotocol = offers_subprotocol ? given_.subprotocol : std::string{},
         .raw = given_.raw,
         .deflate = given_.deflate,
         .tls = tls_.get()});
    return destinations_.back();
}

std::optional<deflate_terms> run::deflate_agreed() const
{
    const auto &terms = connections_.front()->agreed().deflate;

    for (const auto &each : connections_) {
        if (each->agreed().deflate != terms) {
            wrong(*each, "its deflate parameters differ from those of others");
        }
    }

    return terms;
}

connection &run::add_connection()
{
    connections_.push_back(std::make_unique<connection>(
        connections_.size(), loop_, *this, given_.raw));
    return *connections_.back();
}

void run::open_all()
{
    while (connections_.size() != given_.connections) {
        add_connection();
    }

    open(0, connections_.size(), at_subscribers());
}

const destination &run::at_subscribers()
{
    at(given_.path);
    destinations_.back().event_stream = given_.event_stream;
    return destinations_.back();
}

void run::open_next()
{
    connection &next = *connections_[next_to_open_++];

    if (!opening_to_->event_stream || given_.streams == 0) {
        next.open(*opening_to_);
        return;
    }

    if (next.number() % given_.streams == 0) {
        links_.push_back(
            std::make_unique<http2_link>(loop_, opening_to_->port));
    }

    next.open(*opening_to_, *links_.back());
}

void run::open(std::size_t first, std::size_t end, const destination &to)
{
    opening_to_ = &to;
    next_to_open_ = first;
    open_end_ = end;
    still_opening_ = end - first;

    while (next_to_open_ != std::min(end, first + opened_at_once)) {
        open_next();
    }

    await([this] { return still_opening_ == 0; });
    opening_to_ = nullptr;
}

void run::await(const std::function<bool()> &condition)
{
    while (!condition()) {
        loop_.turn(longest_wait);
        check_progress();
    }
}

void run::opened(connection &of)
{
    progress();
    note_cipher(of);

    if (wanted && !wanted(of)) {
        of.reset();
        of.open(*opening_to_);
        return;
    }

    still_opening_--;

    if (next_to_open_ != open_end_) {
        open_next();
    }
}

void run::note_cipher(const connection &of)
{
    if (given_.tls && cipher_.empty()) {
        cipher_ = of.cipher();
    }
}

// Commands of the process that started this one.

void run::report_ready() const
{
    report line;

    line.add("ready", static_cast<double>(connections_.size()));
    line.print();
}

void run::await_line()
{
    while (!input_ready()) {
        loop_.turn(longest_wait);
    }

    read_input();
}

void run::await_end()
{
    for (;;) {
        loop_.turn(longest_wait);

        if (input_ready() && !read_input()) {
            return;
        }
    }
}

void run::print() const
{
    const auto count = static_cast<double>(counted_);
    report result;

    result.add("mode", given_.mode);
    result.add("connections", static_cast<double>(given_.connections));
    result.add("size", static_cast<double>(given_.size));
    result.add("in_flight", static_cast<double>(given_.in_flight));
    result.add("seconds", seconds_);
    result.add("count", count);
    result.add("per_second", seconds_ > 0 ? count / seconds_ : 0);
    result.add("generator_cpu", own_cpu_);

    if (!given_.servers.empty()) {
        result.add("server_cpu", server_cpu_);
        result.add("per_cpu_second", server_cpu_ > 0 ? count / server_cpu_ : 0);
    }

    if (given_.tls) {
        result.add("tls", cipher_);
    }

    result.add_latency(latency_);
    describe(result);
    result.print();
}

} // namespace websocket::load
