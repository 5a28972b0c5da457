// Subscribes a client to rooms. The answer precedes all messages of the rooms,
// so those that have joined wait for the last one.
#include "handlers/rooms/rooms_client.hpp"

#include "handlers/events/event_text.hpp"
#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"
#include "handlers/room_tokens.hpp"

#include <algorithm>
#include <utility>

namespace websocket::handlers {

rooms_client::rooms_client()
    : number{id()}, events{request().subprotocol() == event_text::subprotocol}
{}

send_result rooms_client::send_object(const std::string &json)
{
    return send_text_message(events ? event_text::object(json) : json);
}

std::string rooms_client::positions(const room &of, message_id last) const
{
    std::string list;

    each_subscription<room>([&](const room &each, const room_place &place) {
        if (place.live || place.progress) {
            event_text::append_position(list, each.name(),
                                        &each == &of ? last
                                                     : each.position_of(place));
        }
        return true;
    });

    return list;
}

// The positions of the last event precede those of the address, which a page's
// EventSource repeats when it comes back.
void rooms_client::subscribe_to_requested()
{
    rooms_json::request wanted{.asks = rooms_json::verb::subscribe};
    const std::string_view last = request().header("Last-Event-ID");

    wanted.names = event_text::read_names(request().arg("rooms"));
    wanted.since = event_text::read_positions(
        last.empty() ? request().arg("since") : std::string(last));
    subscribe_to(wanted);
}

// Refusals are many times as large as the request, and wait for Redis with it
// and its "ref".
bool rooms_client::too_much_waits() const noexcept
{
    std::size_t waiting = 0;

    for (const open_request &each : requests_) {
        waiting += each.answer.size() + each.ref.size();
    }

    return waiting > max_waiting;
}

void rooms_client::subscribe_to(const rooms_json::request &request)
{
    if (too_much_waits()) {
        send_object(rooms_json::error(request.ref, {},
                                      "too much waits for other rooms"));
        return;
    }

    open_request &opened = requests_.emplace_back();
    std::vector<std::string> names = request.names;
    const room_access access(*this, request.token);

    opened.ref = request.ref;
    opened.rooms.reserve(request.names.size());
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());

    for (std::string &name : names) {
        const auto text = request.since.find(name);
        const auto since = text == request.since.end()
                               ? std::nullopt
                               : parse_message_id(text->second);
        const std::string forbidden = access.refusal(name);
        const std::string_view refusal =
            text != request.since.end() && !since
                ? "since is no id of a message"
            : subscription_parameter(name, "*").empty() ? no_pattern
            : !forbidden.empty() ? std::string_view(forbidden)
                                 : subscribe(name, since ? &*since : nullptr);

        if (refusal.empty()) {
            opened.rooms.push_back({std::move(name), since});
        } else {
            opened.answer.refuse(room_json::quoted(name), refusal);
        }
    }

    opened.pending = opened.rooms.size();

    if (opened.pending == 0) {
        finish(std::prev(requests_.end()));
    }
}

// A client has at most one request for a room, since a second one is refused.
void rooms_client::on_subscribed(room &joined, room_place &place)
{
    for (auto request = requests_.begin(); request != requests_.end();
         request++) {
        const auto found = find(*request, joined.name());

        if (found == request->rooms.end()) {
            continue;
        }

        found->joined = &joined;
        found->place = &place;

        if (--request->pending == 0) {
            finish(request);
        }
        return;
    }
}

void rooms_client::on_refused(std::string_view name, std::string_view reason)
{
    for (auto request = requests_.begin(); request != requests_.end();
         request++) {
        const auto found = find(*request, name);

        if (found == request->rooms.end()) {
            continue;
        }

        request->pending -= found->joined == nullptr ? 1 : 0;
        request->answer.refuse(room_json::quoted(name), reason);
        request->rooms.erase(found);

        if (request->pending == 0) {
            finish(request);
        }
        return;
    }
}

std::vector<rooms_client::wish>::iterator
rooms_client::find(open_request &request, std::string_view name) noexcept
{
    const auto found =
        std::ranges::lower_bound(request.rooms, name, {}, &wish::name);

    return found != request.rooms.end() && found->name == name
               ? found
               : request.rooms.end();
}

void rooms_client::finish(request_list::iterator done)
{
    request_list finished;

    finished.splice(finished.begin(), requests_, done);

    open_request &request = finished.front();
    std::vector<message_id> starts;
    std::string begins; // as the id of an event

    for (const wish &wanted : request.rooms) {
        const room::resume_point start = wanted.joined->find_resume_point(
            wanted.since ? &*wanted.since : nullptr);

        starts.push_back(start.after);

        if (events) {
            event_text::append_position(begins, wanted.name, start.after);
        }

        request.answer.add(wanted.joined->json_name(),
                           wanted.joined->last_message(),
                           wanted.joined->client_count(), start.complete);
    }

    // The client cannot interpret later messages without it
    const std::string answer = request.answer.text(request.ref);

    if (send_text_message(events ? event_text::object(answer, begins)
                                 : answer) == send_result::dropped) {
        close_connection(try_again_later, "send queue is full");
        return;
    }

    std::size_t index = 0;

    for (const wish &wanted : request.rooms) {
        wanted.joined->begin(*this, *wanted.place, starts[index++]);
    }
}

} // namespace websocket::handlers
