// The common part of all modes. Connections are opened; the load warms up, is
// measured for some time, and ends when all replies have arrived.
#pragma once

#include "../wire/connection.hpp"
#include "../event_loop.hpp"
#include "../histogram.hpp"
#include "../options.hpp"
#include "../report.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace websocket::load {

class run : public connection_events {
public:
    explicit run(const options &given);
    virtual ~run() = default;

    // Throws std::runtime_error if a reply is wrong or missing.
    void execute();

protected:
    // Sends the first messages. All connections are open.
    virtual void begin() = 0;

    // Whether all messages have arrived everywhere.
    virtual bool drained() const = 0;

    // Called after received data were handled. Messages may be sent here.
    virtual void turn_over() {}

    // Adds the mode's own values to the report.
    virtual void describe(report &) const {}

    virtual void open_all();

    // Creates the messages. All connections are open, so their format is known.
    virtual void prepare() {}

    // The negotiated parameters of all connections; none without compression.
    std::optional<deflate_terms> deflate_agreed() const;

    // Opens connections [first, end), some at a time.
    void open(std::size_t first, std::size_t end, const destination &to);
    // Handles events until the condition holds.
    void await(const std::function<bool()> &condition);

    const destination &at(const std::string &path, std::uint16_t port = 0,
                          bool offers_subprotocol = true);

    // The request of those that receive.
    const destination &at_subscribers();
    connection &add_connection();

    // Records the cipher of the connections for the report.
    void note_cipher(const connection &of);

    // The number of messages, at most `wanted`, that may still be sent; 0 at
    // the end.
    std::size_t claim(std::size_t wanted) noexcept;

    // Counts a received message by the time when it was sent.
    void count(std::uint64_t sent_at) noexcept;
    void progress() noexcept { progress_at_ = now(); }
    void progress_by_read() noexcept { progress_at_ = read_at_; }

    [[noreturn]] static void wrong(const connection &of, const char *what);

    // Reopens a connection that is on the wrong worker.
    std::function<bool(const connection &)> wanted;

    void opened(connection &of) override;
    void read_begins(connection &) override { read_at_ = now(); }
    void read_through(connection &) override {}

    const options given_;
    event_loop loop_;
    std::vector<std::unique_ptr<connection>> connections_;

private:
    enum class phase { warming_up, measuring, ending };

    void open_next();
    void turn();
    void step();
    void start_measuring();
    void stop_measuring();
    void report_ready() const;
    void await_line();
    void await_end();
    void check_progress() const;
    void print() const;

    std::unique_ptr<tls_setting> tls_;
    std::deque<destination> destinations_; // connections refer to them
    std::vector<std::unique_ptr<http2_link>> links_;
    std::string cipher_;
    const destination *opening_to_ = nullptr;
    std::size_t next_to_open_ = 0;
    std::size_t open_end_ = 0;
    std::size_t still_opening_ = 0;

    phase phase_ = phase::warming_up;
    std::uint64_t claimed_ = 0;
    std::uint64_t counted_ = 0;
    histogram latency_;
    std::uint64_t began_at_ = 0;
    std::uint64_t measured_from_ = 0;
    std::uint64_t progress_at_ = 0;
    std::uint64_t read_at_ = 0;
    double seconds_ = 0;
    double server_cpu_ = 0;
    double own_cpu_ = 0;
};

// Each creates the run of one mode.
std::unique_ptr<run> make_echo(const options &given);
std::unique_ptr<run> make_fan_out(const options &given);
std::unique_ptr<run> make_idle(const options &given);
std::unique_ptr<run> make_handshakes(const options &given);

} // namespace websocket::load
