// Presence: changes are published to all workers at once, and sent to clients
// in batches, which limits the cost of many changes.
//
// The first change is sent at once. Changes within the interval after it are
// sent at its end: one event per client, or a single one if there are too many.
// The interval grows with the number of receivers, since each costs a write to
// a socket. Many rooms together wait for each other: one client can join and
// leave all that it may be in.
#include "handlers/room_json.hpp"
#include "handlers/room_receivers.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <vector>

namespace websocket::handlers {

namespace {

constexpr std::uint64_t min_interval = 100; // ms
constexpr std::uint64_t receivers_per_millisecond = 5;

// Of all rooms of a worker together, and for how long they may be ahead of it.
constexpr unsigned clients_per_millisecond = 50;
constexpr std::chrono::milliseconds max_burst{20};

// How often, and for how long, changes wait for messages to be delivered.
constexpr unsigned max_delays = 100;
constexpr std::uint64_t delay_interval = 10; // ms

// The time after a loss in which numbers and events of other workers and hosts
// arrive, and how often a further loss extends it.
constexpr std::uint64_t settling_interval = 1000; // ms
constexpr unsigned max_count_delays = 3;

// Changes that are sent one by one: min_named to any number of receivers, or as
// many as keep changes times receivers below max_named_events.
constexpr std::size_t min_named = 4;
constexpr std::size_t max_named_events = 8 * 1024;

// `receivers` must not be 0.
constexpr std::size_t max_named_changes(std::size_t receivers) noexcept
{
    return std::max(min_named, max_named_events / receivers);
}

// The times at which rooms send events, one after the other.
class event_schedule {
public:
    // Reserves the time for so many receivers. Returns how long to wait for it.
    std::uint64_t reserve(std::size_t receivers)
    {
        using namespace std::chrono;

        if (receivers == 0) {
            return 0;
        }

        const auto now = steady_clock::now();
        const auto begin = std::max(next_, now - max_burst);

        next_ =
            begin + microseconds(1000 * receivers / clients_per_millisecond);
        return begin > now ? static_cast<std::uint64_t>(
                                 ceil<milliseconds>(begin - now).count())
                           : 0;
    }

private:
    std::chrono::steady_clock::time_point next_;
};

event_schedule schedule; // of the worker

constexpr std::string_view event_type(bool joined) noexcept
{
    return joined ? "joined" : "left";
}

frame object_frame(const std::string &json, room_format format)
{
    return frame(is_event_stream(format) ? event_text::object(json) : json);
}

// One frame for each change. The last one has the current number of clients;
// the number in each earlier one is computed from the changes after it.
std::vector<frame> frames_of(std::span<const presence_changes::change> changes,
                             std::uint64_t clients, std::string_view room,
                             room_format format)
{
    std::vector<frame> frames(changes.size());

    for (std::size_t i = changes.size(); i-- > 0;) {
        const auto &[client, joined, user] = changes[i];

        frames[i] = object_frame(room_json::presence(event_type(joined), client,
                                                     clients, room, user),
                                 format);
        clients = joined ? clients - std::min<std::uint64_t>(clients, 1)
                         : clients + 1;
    }

    return frames;
}

} // namespace

void room::record_change(bool joined, std::uint64_t client,
                         std::string_view user)
{
    changes_.add(joined, client, user);

    if (!presence_timer_.active() && may_send_changes()) {
        send_changes();
    }
}

// Clients may have come and gone without an event. The events of others may be
// under way, behind the new number, so the number is compared after an interval
// without further losses.
void room::check_count_later()
{
    if (count_timer_.active() && count_delays_ == max_count_delays) {
        return;
    }

    count_delays_ = count_timer_.active() ? count_delays_ + 1 : 0;
    count_timer_.cancel();
    count_timer_ = after(settling_interval, [this] { check_count(); });
}

// Further clients of a user come and go without an event, so the number of all
// clients says nothing.
void room::count_again()
{
    announced_count_ = client_count();
    known_present_ = count_present();
}

void room::user_joined(std::string_view user, std::uint64_t client)
{
    record_change(true, client, user);
}

void room::user_left(std::string_view user, std::uint64_t client)
{
    record_change(false, client, user);
}

// Pending changes will be sent with the present number anyway.
void room::check_count()
{
    if (changes_.empty() && count_present() != known_present_) {
        changes_.add_unnamed(true, true);

        if (!presence_timer_.active() && may_send_changes()) {
            send_changes();
        }
    }
}

std::size_t room::count_presence_receivers()
{
    std::size_t receivers = 0;

    for_each_receiver([&receivers](room_receiver each) {
        receivers += each.place.receives_presence ? 1 : 0;
    });

    return receivers;
}

// False: the timer sends them, when it is this room's turn.
bool room::may_send_changes()
{
    const std::uint64_t wait = schedule.reserve(count_presence_receivers());

    if (wait != 0) {
        presence_timer_ = after(wait, [this] { send_changes_in_order(); });
    }

    return wait == 0;
}

void room::send_changes()
{
    if (changes_.empty()) {
        return;
    }

    const std::size_t receivers = count_presence_receivers();
    const std::uint64_t count = client_count();

    if (receivers != 0 && changes_.all_named() &&
        changes_.after(0).size() <= max_named_changes(receivers)) {
        send_named_events(count);
    } else if (receivers != 0) {
        send_count(count);
    }

    changes_.clear();
    count_again();
    announced_count_ = count;
    presence_timer_.cancel();
    presence_timer_ =
        after(std::max<std::uint64_t>(min_interval,
                                      receivers / receivers_per_millisecond),
              [this] { send_later_changes(); });
    presence_delays_ = 0;
}

void room::send_later_changes()
{
    if (!changes_.empty() && may_send_changes()) {
        send_changes_in_order();
    }
}

// Messages that this worker has published and not delivered yet precede all
// that is sent now. One of them may be of a client that has joined. So
// message_published() sends the changes, before the next message.
void room::send_changes_in_order()
{
    const bool undelivered = published_.epoch == delivered_.epoch &&
                             published_.sequence > delivered_.sequence;

    if (undelivered && presence_delays_ < max_delays) {
        presence_delays_++;
        presence_timer_ =
            after(delay_interval, [this] { send_changes_in_order(); });
        return;
    }

    send_changes();
}

// Without memory, the changes are sent with the next one.
void room::try_send_changes() noexcept
try {
    send_changes();
} catch (const std::bad_alloc &) {}

// Sends each event to the clients that had joined before, except its subject.
void room::send_named_events(std::uint64_t count)
{
    const std::span changes = changes_.after(0);
    std::array<std::vector<frame>, room_formats> written;

    for_each_receiver([&](room_receiver to) {
        if (!to.place.receives_presence) {
            return;
        }

        auto &frames = written[static_cast<std::size_t>(to.format)];

        if (frames.empty()) {
            frames = frames_of(changes, count, room_of(to), to.format);
        }

        const std::size_t skipped =
            changes.size() - changes_.after(to.place.changes_before).size();

        for (std::size_t i = skipped; i < changes.size(); i++) {
            if (changes[i].client != to.number && !send_event(to, frames[i])) {
                break;
            }
        }
    });
}

// Sends one event without a client id.
void room::send_count(std::uint64_t count)
{
    const bool joined = changes_.any_joined() &&
                        (!changes_.any_left() || count > announced_count_);
    std::array<frame, room_formats> written;

    for_each_receiver([&](room_receiver to) {
        if (!to.place.receives_presence ||
            !changes_.concerns_others(to.place.changes_before, to.number)) {
            return;
        }

        frame &event = written[static_cast<std::size_t>(to.format)];

        if (!event) {
            event = object_frame(
                room_json::presence(event_type(joined), 0, count, room_of(to)),
                to.format);
        }

        send_event(to, event);
    });
}

// Returns false if the client is behind: become_live() sends one event instead
// of those that it missed.
bool room::send_event(room_receiver to, const frame &event)
{
    if (to.place.live && to.to.send(event) == send_result::dropped) {
        mark_behind(to, delivered_);
    }

    if (to.place.progress) {
        to.place.progress->presence_stale = true;
    }

    return to.place.live;
}

} // namespace websocket::handlers
