// Delivers a room's messages to its clients: live, or from the history.
#include "handlers/room_json.hpp"
#include "handlers/room_receivers.hpp"

#include <new>
#include <utility>

namespace websocket::handlers {

namespace {

constexpr std::string_view messages_were_lost = "messages were lost";

constexpr message_id before(message_id id) noexcept
{
    return {id.epoch, id.sequence - 1};
}

// True if a client with the message `delivered` has all messages up to `last`.
constexpr bool reached(message_id delivered, message_id last) noexcept
{
    return delivered.epoch == last.epoch && delivered.sequence >= last.sequence;
}

// True if a live client is to get the message.
inline bool takes(const room_place &place, std::uint64_t client,
                  const message &published) noexcept
{
    return place.live && (place.receives_own || published.from != client);
}

} // namespace

void message_frames::encode(lazy_frame &target, room_format format) noexcept
try {
    target.tried = true;

    target.encoded = format == room_format::plain
                         ? frame(source_.kind, source_.data)
                         : frame(text_in(format));
} catch (const std::bad_alloc &) {
    target.encoded = {};
}

std::string message_frames::text_in(room_format format) const
{
    return format == room_format::room_events
               ? event_text::message(source_)
               : room_json::published_message(
                     source_, format == room_format::room ? "" : room_);
}

// Each client of several rooms has positions of its own. `invalid` if there was
// no memory, as of an empty frame: the other clients get the message.
send_result room::send_message(room_receiver to, const message &published,
                               message_frames &frames) noexcept
try {
    if (to.format != room_format::rooms_events) {
        return to.to.send(frames.in(to.format));
    }

    const auto &client = static_cast<const rooms_client &>(to.to);

    return to.to.send_text_message(event_text::message_object(
        frames.object(), client.positions(*this, published.id)));

} catch (const std::bad_alloc &) {
    return send_result::invalid;
}

void room::message_published(const message &published)
{
    if (published.transient) {
        record_change(published.text() == "joined", published.from, {});
        return;
    }

    message_frames frames(published, json_name_);

    // "joined" precedes the messages of that client. Other changes are sent if
    // their time is up and the timer waits for messages.
    if (presence_delays_ != 0 ||
        changes_.names(published.from, published.user)) {
        try_send_changes();
    }

    delivered_ = published.id;

    // Receivers are created only for failures: this loop is most of the work
    for (room_client &to : clients()) {
        if (!takes(to.place, to.number, published)) {
            continue;
        }

        if (const send_result result = to.send(frames.in(to.format));
            result > send_result::backpressure) {
            on_failed_delivery(result, receiver_of(to));
        }
    }

    for_each_subscriber([&](rooms_client &to, room_place &place) {
        if (!takes(place, to.number, published)) {
            return;
        }

        if (const send_result result =
                to.events
                    ? send_message(receiver_of(to, place), published, frames)
                    : to.send(frames.in(room_format::rooms));
            result > send_result::backpressure) {
            on_failed_delivery(result, receiver_of(to, place));
        }
    });
}

// The client is sent what follows `after`.
void room::start_from(room_receiver to, message_id after)
{
    to.place.changes_before = changes_.added();

    if (receivers_++ == 0) {
        count_again();
    }

    if (reached(after, last_message())) {
        to.place.live = true;
        return;
    }

    mark_behind(to, after);

    if (!to.place.progress) {
        return;
    }

    to.place.progress->announced_count = client_count();

    // If the client is behind of other rooms, it takes no more at present
    if (to.behind == 1) {
        catch_up(to);
    }
}

void room::on_failed_delivery(send_result result, room_receiver to)
{
    if (result == send_result::dropped) {
        mark_behind(to, before(delivered_));
    } else if (result == send_result::invalid) { // no memory
        to.to.close_connection(try_again_later, messages_were_lost);
    }
}

// client_drained() resumes.
void room::mark_behind(room_receiver receiver, message_id delivered) noexcept
{
    room_place &place = receiver.place;

    place.progress.reset(new (std::nothrow) room_progress);
    place.live = false;

    if (!place.progress) {
        receiver.to.close_connection(try_again_later, messages_were_lost);
        return;
    }

    place.progress->delivered = delivered;
    place.progress->announced_count = announced_count_;
    receiver.behind++;
}

void room::messages_lost()
{
    for_each_receiver([this](room_receiver to) {
        if (to.place.live && !send_gap(to)) {
            mark_behind(to, delivered_);
        }
    });

    // The lost messages may include presence events, and those that this worker
    // has published
    published_ = {};
    check_count_later();
}

void room::clients_lost()
{
    check_count_later();
}

void room::client_drained(room_client &to)
{
    if (to.behind != 0) {
        catch_up(receiver_of(to));
    }
}

// Sends the history until backpressure; client_drained() resumes. No message is
// delivered in between, so the client is live at the end of the history.
// Returns false if it is behind.
bool room::catch_up(room_receiver to)
{
    if (!reached(to.place.progress->delivered, last_message()) && !replay(to)) {
        return false;
    }

    become_live(to);
    return to.place.live;
}

// Returns false on backpressure.
bool room::replay(room_receiver to)
{
    const message_id last = last_message();
    room_progress &progress = *to.place.progress;
    bool may_continue = true;

    read_history(progress.delivered, [&](const message &next) {
        may_continue = send_from_history(to, next);
        return may_continue;
    });

    // The last messages are no longer kept
    if (may_continue && !reached(progress.delivered, last)) {
        may_continue = send_gap(to);
        progress.delivered = may_continue ? last : progress.delivered;
    }

    return may_continue;
}

// Returns false on backpressure or failure. Sets `delivered` if the message was
// sent.
bool room::send_from_history(room_receiver to, const message &next)
{
    message_id &delivered = to.place.progress->delivered;

    if (next.id != following(delivered)) {
        if (!send_gap(to)) {
            return false;
        }
        delivered = before(next.id);
    }

    if (!to.place.receives_own && next.from == to.number) {
        delivered = next.id;
        return true;
    }

    message_frames frames(next, json_name_);

    switch (send_message(to, next, frames)) {
    case send_result::queued:
        delivered = next.id;
        return true;
    case send_result::backpressure:
        delivered = next.id;
        return false;
    case send_result::invalid: // no memory
        to.to.close_connection(try_again_later, messages_were_lost);
        return false;
    default:
        return false;
    }
}

// Returns false if the gap was not sent, or the client is closed instead.
bool room::send_gap(room_receiver to)
{
    if (!to.json()) {
        to.to.close_connection(try_again_later, messages_were_lost);
        return false;
    }

    const send_result result = to.send_object(room_json::gap(room_of(to)));

    return result == send_result::queued || result == send_result::backpressure;
}

// Presence events that the client missed while it was behind are replaced by
// one event with the number of clients.
void room::become_live(room_receiver to)
{
    const auto progress = std::move(to.place.progress);

    to.place.live = true;
    to.behind--;

    if (!progress->presence_stale) {
        return;
    }

    to.place.changes_before = changes_.added();

    const std::uint64_t count = client_count();
    const auto event = room_json::presence(
        count > progress->announced_count ? "joined" : "left", 0, count,
        room_of(to));

    if (to.send_object(event) == send_result::dropped) {
        mark_behind(to, last_message());

        if (to.place.progress) {
            to.place.progress->announced_count = progress->announced_count;
            to.place.progress->presence_stale = true;
        }
    }
}

} // namespace websocket::handlers
