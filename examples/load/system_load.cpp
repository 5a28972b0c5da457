// Sends the load of this machine. Each client gets samples at its own interval;
// nothing is read while no client watches. Text in, JSON out:
//
//     interval 500 | pause | resume
//     {"type":"settings", ...}   on connecting, and after each of these
//     {"type":"history", ...}    on connecting: the last minute
//     {"type":"sample", ...}     from then on
//     {"type":"error", ...}      an invalid command, or a failed reading
#include "messages.hpp"
#include "reading.hpp"
#include "sample.hpp"
#include "schedule.hpp"
#include "websocket.hpp"

#include <map>
#include <memory>
#include <new>
#include <string>

namespace load {

namespace {

constexpr milliseconds default_interval{1000};
constexpr std::uint64_t longest_command = 64;

using reading_ptr = std::shared_ptr<const reading>;

// Samples at an interval, for a client or for the history.
struct feed {
    milliseconds interval = default_interval;
    reading_ptr from;     // the start of the next sample
    bool waiting = false; // for the reading that is being taken

    // Gives it a new reading. Returns the one before, for a sample of what
    // happened since; null if none is due, or too little time has passed.
    reading_ptr take(const reading_ptr &taken)
    {
        if (!std::exchange(waiting, false) ||
            (from != nullptr && taken->at - from->at < interval / 2)) {
            return nullptr;
        }

        return std::exchange(from, taken);
    }
};

struct viewer : websocket::client, feed {
    bool watching = false;     // has not paused
    std::uint64_t skipped = 0; // samples, since the last one that was sent
};

// The result of a thread.
struct result {
    reading_ptr taken;
    std::string fault; // why there is no reading
};

class system_load : public websocket::resource<viewer> {
public:
    std::string check_parameters() override;
    void client_connected(viewer &who) override;
    void text_message_received(viewer &from, std::string_view text) override;

    void client_disconnected(viewer &who, std::uint16_t,
                             std::string_view) override
    {
        unwatch(who);
    }

    // Commands are short: a longer message is refused at its header.
    std::uint16_t check_message(viewer &, websocket::opcode, std::uint64_t,
                                std::uint64_t total) override
    {
        return total > longest_command ? 1009 : 0;
    }

private:
    bool obey(viewer &from, std::string_view command);
    void watch(viewer &who);
    void unwatch(viewer &who);
    void begin(feed &counting);

    void wake_for(milliseconds interval);
    void start_timer(milliseconds at);
    void wake();

    void read();
    void distribute(const result &result);
    void report(const std::string &fault);
    reading_ptr recent() const;

    const milliseconds interval_ =
        parse_interval(parameter("interval")).value_or(default_interval);

    std::size_t watching_ = 0; // clients
    websocket::timer timer_;   // runs while there are any
    milliseconds planned_{};   // when it fires

    bool reading_ = false; // in a thread
    reading_ptr latest_;
    std::string fault_; // as it was last reported

    feed kept_{std::max(interval_, default_interval), nullptr, false};
    history history_;
};

std::string system_load::check_parameters()
{
    const std::string_view interval = parameter("interval", "1000");

    if (!parse_interval(interval)) {
        return "interval=" + std::string(interval) +
               " is not a number of milliseconds from 100 to 60000";
    }

    // Throws if this machine cannot be read: nginx -t has the reason.
    read_machine(parameter("network"));
    return {};
}

// Clients

void system_load::client_connected(viewer &who)
{
    who.interval = interval_;
    watch(who);
    who.send_text_message(settings_message(who.interval, !who.watching));
    who.send_text_message(history_.message(now()));
}

void system_load::text_message_received(viewer &from, std::string_view text)
{
    if (obey(from, text)) {
        from.send_text_message(settings_message(from.interval, !from.watching));
    } else {
        from.send_text_message(unknown_command);
    }
}

bool system_load::obey(viewer &from, std::string_view command)
{
    const std::string_view word = take_word(command);

    if (word == "interval") {
        const auto asked = parse_interval(command);

        if (asked && from.watching) {
            wake_for(*asked);
        }

        from.interval = asked.value_or(from.interval);
        return asked.has_value();
    }

    if (command.empty() && word == "pause") {
        unwatch(from);
        return true;
    }

    if (command.empty() && word == "resume") {
        watch(from);
        return true;
    }

    return false;
}

void system_load::watch(viewer &who)
{
    if (who.watching) {
        return;
    }

    if (watching_ == 0) {
        log(websocket::log_level::info, "somebody watches: reading");
        begin(kept_);
    }

    who.watching = true;
    watching_++;
    begin(who);
    wake_for(who.interval);
    wake_for(kept_.interval);
}

// Counts from now on, or from what others have just been sent.
void system_load::begin(feed &counting)
{
    counting.from = recent();
    counting.waiting = counting.from == nullptr;

    if (counting.waiting) {
        read();
    }
}

void system_load::unwatch(viewer &who)
{
    if (!who.watching) {
        return;
    }

    who.watching = who.waiting = false;

    if (--watching_ == 0) {
        timer_.cancel();
        log(websocket::log_level::info, "nobody watches: reading no more");
    }
}

// Time

void system_load::wake_for(milliseconds interval)
{
    const milliseconds due = next_due(interval, now());

    if (!timer_.active() || due < planned_) {
        start_timer(due);
    }
}

void system_load::start_timer(milliseconds at)
{
    const auto wait = std::max(at - now(), milliseconds(1));
    const websocket::timer started =
        after(static_cast<std::uint64_t>(wait.count()), [this] { wake(); });

    if (!started.active()) {
        throw std::bad_alloc();
    }

    timer_.cancel();
    timer_ = started;
    planned_ = at;
}

void system_load::wake()
{
    const milliseconds at = planned_;
    // nginx's clock may be some milliseconds behind.
    const milliseconds passed = std::max(now(), at);
    milliseconds next = next_due(kept_.interval, passed);

    kept_.waiting |= is_due(kept_.interval, at);
    bool due = kept_.waiting;

    for (viewer &each : clients()) {
        if (each.watching) {
            each.waiting |= is_due(each.interval, at);
            due |= each.waiting;
            next = std::min(next, next_due(each.interval, passed));
        }
    }

    try {
        start_timer(next);
    } catch (const std::bad_alloc &) {
        // Without a timer they would wait in vain.
        for (viewer &each : clients()) {
            each.close_connection(1011, "no memory");
        }
        throw;
    }

    if (due) {
        read();
    }
}

// Readings

reading_ptr system_load::recent() const
{
    const auto earliest = std::chrono::steady_clock::now() - default_interval;

    return latest_ != nullptr && latest_->at > earliest ? latest_ : nullptr;
}

void system_load::read()
{
    if (reading_) {
        return; // its result is for all that wait
    }

    const auto brought = std::make_shared<result>();
    const std::string interface(parameter("network"));

    reading_ = run_in_background(
        [brought, interface] {
            try {
                brought->taken =
                    std::make_shared<reading>(read_machine(interface));
            } catch (const std::exception &thrown) {
                brought->fault = thrown.what();
            }
        },
        [this, brought] {
            reading_ = false;
            distribute(*brought);
        });

    if (!reading_) {
        report("there is no thread to read in");
    }
}

void system_load::distribute(const result &result)
{
    report(result.fault);

    if (result.taken == nullptr) {
        return;
    }

    latest_ = result.taken;

    // Clients with the same start get the same text.
    std::map<reading_ptr, std::string> samples;
    const auto sample_since = [&](const reading_ptr &from) -> std::string & {
        std::string &text = samples[from];

        if (text.empty()) {
            text = sample_json(*from, *latest_);
        }

        return text;
    };

    if (const auto from = kept_.take(latest_)) {
        history_.add(now(), sample_since(from));
    }

    for (viewer &each : clients()) {
        const bool to_be_sent = each.waiting && each.from != nullptr;

        if (to_be_sent && each.buffered_amount() != 0) {
            each.waiting = false;
            each.skipped++; // it has not read the sample before
        } else if (const auto from = each.take(latest_)) {
            each.send_text_message(sample_message(
                sample_since(from), std::exchange(each.skipped, 0)));
        }
    }
}

// Reports a fault to the log and to watching clients, once as long as it lasts.
void system_load::report(const std::string &fault)
{
    if (fault == fault_) {
        return;
    }

    fault_ = fault;

    if (fault.empty()) {
        log(websocket::log_level::notice, "the load can be read again");
    } else {
        log(websocket::log_level::error, fault);
        broadcast(unreadable);
    }
}

} // namespace

WEBSOCKET_HANDLER("system_load", system_load)

} // namespace load
