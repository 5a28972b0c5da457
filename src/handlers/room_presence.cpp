// Who comes and goes: announced to all workers at once, and sent to the clients
// that want to know in few turns, so that a crowd costs little.
//
// The first change is sent at once. Those that follow within the interval are
// sent together when it is over: each by name, or all as one event if names
// would be too many. The interval grows with the clients that are sent it, as
// each of them is one write to a socket.
#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"

#include <algorithm>
#include <new>
#include <vector>

namespace websocket::handlers {

namespace {

constexpr std::uint64_t min_interval = 100; // ms
constexpr std::uint64_t clients_a_millisecond = 5;

// Changes that are sent by name: few to any number of clients, or such a
// product of both.
constexpr std::size_t few_changes = 4;
constexpr std::size_t max_events_by_name = 8 * 1024;

// `listeners` is not 0.
constexpr std::size_t max_names(std::size_t listeners) noexcept
{
    return std::max(few_changes, max_events_by_name / listeners);
}

constexpr std::string_view word_of(bool came) noexcept
{
    return came ? "joined" : "left";
}

// One frame for each change. The last one has the number of clients that there
// are, each before it what there were by what comes after it.
std::vector<frame> frames_of(std::span<const presence_changes::change> changes,
                             std::uint64_t clients)
{
    std::vector<frame> frames(changes.size());

    for (std::size_t i = changes.size(); i-- > 0;) {
        const auto [client, came] = changes[i];

        frames[i] = frame(room_json::presence(word_of(came), client, clients));
        clients =
            came ? clients - std::min<std::uint64_t>(clients, 1) : clients + 1;
    }

    return frames;
}

} // namespace

void room::note_change(bool came, std::uint64_t client)
{
    client != 0 ? changes_.add(came, client)
                : changes_.add_unnamed(came, !came);

    if (!presence_timer_.active()) {
        tell_of_changes();
    }
}

std::size_t room::presence_listeners()
{
    std::size_t listeners = 0;

    for (const room_client &each : clients()) {
        listeners += each.gets_presence ? 1 : 0;
    }

    return listeners;
}

void room::tell_of_changes()
{
    if (changes_.empty()) {
        return;
    }

    const std::size_t listeners = presence_listeners();
    const std::uint64_t count = client_count();

    if (listeners != 0 && changes_.all_named() &&
        changes_.after(0).size() <= max_names(listeners)) {
        send_names(frames_of(changes_.after(0), count));
    } else if (listeners != 0) {
        send_number(count);
    }

    changes_.clear();
    told_ = count;
    presence_timer_.cancel();
    presence_timer_ =
        after(std::max<std::uint64_t>(min_interval,
                                      listeners / clients_a_millisecond),
              [this] { tell_of_changes(); });
}

// Without memory they are told with the next change.
void room::try_to_tell_of_changes() noexcept
try {
    tell_of_changes();
} catch (const std::bad_alloc &) {}

// To all that had come before, but not to the one that is named.
void room::send_names(const std::vector<frame> &frames)
{
    const std::span changes = changes_.after(0);

    for (room_client &to : clients()) {
        if (!to.gets_presence) {
            continue;
        }

        const std::size_t known =
            changes.size() - changes_.after(to.changes_before).size();

        for (std::size_t i = known; i < changes.size(); i++) {
            if (changes[i].client != to.number && !send_event(to, frames[i])) {
                break;
            }
        }
    }
}

// One event that names nobody.
void room::send_number(std::uint64_t count)
{
    const bool came =
        changes_.some_came() && (!changes_.some_left() || count > told_);
    const frame words(room_json::presence(word_of(came), 0, count));

    for (room_client &to : clients()) {
        if (to.gets_presence &&
            changes_.concerns_others(to.changes_before, to.number)) {
            send_event(to, words);
        }
    }
}

// False: the client is behind, and gets one event for all that it missed when
// it is live.
bool room::send_event(room_client &to, const frame &words)
{
    if (to.live && to.send(words) == send_result::dropped) {
        fall_behind(to, delivered_);
    }

    to.missed_news = !to.live;
    return to.live;
}

} // namespace websocket::handlers
