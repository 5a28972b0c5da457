// Delivers a room's messages to its clients: live, or from the history.
#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"

#include <new>

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

} // namespace

void message_frames::encode(lazy_frame &target, bool json) noexcept
try {
    target.tried = true;

    if (json) {
        target.encoded = frame(room_json::published_message(source_));
    } else {
        target.encoded = frame(source_.kind, source_.data);
    }
} catch (const std::bad_alloc &) {
    target.encoded = {};
}

void room::message_published(const message &published)
{
    if (published.transient) {
        record_change(published.text() == "joined", published.from);
        return;
    }

    message_frames frames(published);

    // "joined" precedes the messages of that client. Other changes are sent if
    // their time is up and the timer waits for messages.
    if (presence_delays_ != 0 || changes_.names(published.from)) {
        try_send_changes();
    }

    delivered_ = published.id;

    for (room_client &to : clients()) {
        if (!to.live || is_own(to, published)) {
            continue;
        }

        const send_result result = to.send(frames.for_client(to));

        if (result == send_result::dropped) {
            mark_behind(to, before(published.id));
        } else if (result == send_result::invalid) { // no memory
            to.close_connection(try_again_later, messages_were_lost);
        }
    }
}

// client_drained() resumes.
void room::mark_behind(room_client &client, message_id delivered) noexcept
{
    client.live = false;
    client.delivered_id = delivered;
    client.announced_count = announced_count_;
}

void room::messages_lost()
{
    for (room_client &to : clients()) {
        if (to.live && !send_gap(to)) {
            mark_behind(to, delivered_);
        }
    }

    // The lost messages may include presence events, and those that this worker
    // has published
    published_ = {};
    check_count();
}

void room::clients_lost()
{
    check_count();
}

void room::client_drained(room_client &to)
{
    if (!to.live) {
        catch_up(to);
    }
}

// Sends the history until backpressure; client_drained() resumes. No message is
// delivered in between, so the client is live at the end of the history.
void room::catch_up(room_client &to)
{
    if (reached(to.delivered_id, last_message()) || replay(to)) {
        become_live(to);
    }
}

// Returns false on backpressure.
bool room::replay(room_client &to)
{
    const message_id last = last_message();
    bool may_continue = true;

    read_history(to.delivered_id, [&](const message &next) {
        may_continue = send_from_history(to, next);
        return may_continue;
    });

    // The last messages are no longer kept
    if (may_continue && !reached(to.delivered_id, last)) {
        may_continue = send_gap(to);
        to.delivered_id = may_continue ? last : to.delivered_id;
    }

    return may_continue;
}

// Returns false on backpressure or failure. Sets delivered_id if the message
// was sent.
bool room::send_from_history(room_client &to, const message &next)
{
    if (next.id != following(to.delivered_id)) {
        if (!send_gap(to)) {
            return false;
        }
        to.delivered_id = before(next.id);
    }

    if (is_own(to, next)) {
        to.delivered_id = next.id;
        return true;
    }

    message_frames frames(next);

    switch (to.send(frames.for_client(to))) {
    case send_result::queued:
        to.delivered_id = next.id;
        return true;
    case send_result::backpressure:
        to.delivered_id = next.id;
        return false;
    case send_result::invalid: // no memory
        to.close_connection(try_again_later, messages_were_lost);
        return false;
    default:
        return false;
    }
}

// Returns false if the gap was not sent, or the client is closed instead.
bool room::send_gap(room_client &to) noexcept
{
    if (!to.json) {
        to.close_connection(try_again_later, messages_were_lost);
        return false;
    }

    const send_result result = to.send_text_message(room_json::gap);

    return result == send_result::queued || result == send_result::backpressure;
}

// Presence events that the client missed while it was behind are replaced by
// one event with the number of clients.
void room::become_live(room_client &to)
{
    to.live = true;

    if (!to.presence_stale) {
        return;
    }

    to.presence_stale = false;
    to.changes_before = changes_.added();

    const std::uint64_t count = client_count();
    const auto event = room_json::presence(
        count > to.announced_count ? "joined" : "left", 0, count);

    if (to.send_text_message(event) == send_result::dropped) {
        mark_behind(to, last_message());
        to.presence_stale = true;
    }
}

} // namespace websocket::handlers
