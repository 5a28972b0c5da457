// What the clients of a room are given: as it is published, or out of the
// history.
#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"

#include <new>

namespace websocket::handlers {

namespace {

constexpr std::string_view lost = "messages were lost";

constexpr message_id before(message_id id) noexcept
{
    return {id.epoch, id.sequence - 1};
}

// Whether who was given one message has all up to another.
constexpr bool reached(message_id given, message_id last) noexcept
{
    return given.epoch == last.epoch && given.sequence >= last.sequence;
}

} // namespace

void message_forms::make(form &wanted, bool json) noexcept
try {
    wanted.tried = true;

    if (json) {
        wanted.made = frame(room_json::published_message(given_));
    } else {
        wanted.made = frame(given_.kind, given_.data);
    }
} catch (const std::bad_alloc &) {
    wanted.made = {};
}

void room::message_published(const message &news)
{
    if (news.transient) {
        note_change(news.text() == "joined", news.from);
        return;
    }

    message_forms forms(news);

    // A client comes before what it says
    if (changes_.names(news.from)) {
        try_to_tell_of_changes();
    }

    delivered_ = news.id;

    for (room_client &to : clients()) {
        if (!to.live || own(to, news)) {
            continue;
        }

        const send_result result = to.send(forms.of(to));

        if (result == send_result::dropped) {
            fall_behind(to, before(news.id));
        } else if (result == send_result::invalid) {
            to.close_connection(try_again_later, lost); // no memory for it
        }
    }
}

// It is told when there is room again: see client_drained.
void room::fall_behind(room_client &to, message_id given) noexcept
{
    to.live = false;
    to.given = given;
    to.told = told_;
}

void room::messages_lost()
{
    for (room_client &to : clients()) {
        if (to.live && !tell_of_gap(to)) {
            fall_behind(to, delivered_);
        }
    }

    // Who came and left meanwhile is among what was lost
    changes_.add_unnamed(true, true);
    tell_of_changes();
}

void room::clients_lost()
{
    note_change(false, 0);
}

void room::client_drained(room_client &to)
{
    if (!to.live) {
        catch_up(to);
    }
}

// As much as the client takes now; client_drained goes on. Nothing is delivered
// meanwhile, so that the client is live from where the history ends.
void room::catch_up(room_client &to)
{
    if (reached(to.given, last_message()) || read_on(to)) {
        become_live(to);
    }
}

// False when the client takes no more.
bool room::read_on(room_client &to)
{
    const message_id last = last_message();
    bool takes_more = true;

    read_history(to.given, [&](const message &next) {
        takes_more = hand_over(to, next);
        return takes_more;
    });

    // The last ones are not kept any more
    if (takes_more && !reached(to.given, last)) {
        takes_more = tell_of_gap(to);
        to.given = takes_more ? last : to.given;
    }

    return takes_more;
}

// False when the client takes no more; `given` says whether it has this one.
bool room::hand_over(room_client &to, const message &next)
{
    if (next.id != following(to.given)) {
        if (!tell_of_gap(to)) {
            return false;
        }
        to.given = before(next.id);
    }

    if (own(to, next)) {
        to.given = next.id;
        return true;
    }

    message_forms forms(next);

    switch (to.send(forms.of(to))) {
    case send_result::queued:
        to.given = next.id;
        return true;
    case send_result::backpressure:
        to.given = next.id;
        return false;
    case send_result::invalid:
        to.close_connection(try_again_later, lost); // no memory for it
        return false;
    default:
        return false;
    }
}

// False if the client could not be told, or is told by a Close.
bool room::tell_of_gap(room_client &to) noexcept
{
    if (!to.json) {
        to.close_connection(try_again_later, lost);
        return false;
    }

    const send_result result = to.send_text_message(room_json::gap);

    return result == send_result::queued || result == send_result::backpressure;
}

// What it was not told of the others while it was behind it gets as a number.
void room::become_live(room_client &to)
{
    to.live = true;

    if (!to.missed_news) {
        return;
    }

    to.missed_news = false;
    to.changes_before = changes_.added();

    const std::uint64_t count = client_count();
    const auto words =
        room_json::presence(count > to.told ? "joined" : "left", 0, count);

    if (to.send_text_message(words) == send_result::dropped) {
        fall_behind(to, last_message());
        to.missed_news = true;
    }
}

} // namespace websocket::handlers
