// Subscribes a client to rooms. The answer precedes all messages of the rooms,
// so those that have joined wait for the last one.
#include "handlers/rooms/rooms_client.hpp"

#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"

#include <algorithm>
#include <utility>

namespace websocket::handlers {

rooms_client::rooms_client() : number{id()}
{}

void rooms_client::subscribe_to(const rooms_json::request &request)
{
    open_request &opened = requests_.emplace_back();

    opened.ref = request.ref;

    for (const std::string &name : request.names) {
        const auto text = request.since.find(name);
        wish wanted;

        if (opened.rooms.contains(name)) {
            continue; // named twice
        }

        if (text != request.since.end()) {
            wanted.since = parse_message_id(text->second);
        }

        const message_id *since = wanted.since ? &*wanted.since : nullptr;
        const std::string_view refusal =
            text != request.since.end() && since == nullptr
                ? "since is no id of a message"
            : subscription_parameter(name, "*").empty()
                ? no_pattern
                : subscribe(name, since);

        if (refusal.empty()) {
            opened.rooms.emplace(name, wanted);
        } else {
            opened.answer.refuse(room_json::quoted(name), refusal);
        }
    }

    opened.pending = opened.rooms.size();

    if (opened.pending == 0) {
        finish(std::prev(requests_.end()));
    }
}

void rooms_client::on_subscribed(room &joined, room_place &place)
{
    const auto request = find(joined.name());

    if (request == requests_.end()) {
        return;
    }

    wish &wanted = request->rooms.find(joined.name())->second;

    wanted.joined = &joined;
    wanted.place = &place;

    if (--request->pending == 0) {
        finish(request);
    }
}

void rooms_client::on_refused(std::string_view name, std::string_view reason)
{
    const auto request = find(name);

    if (request == requests_.end()) {
        return;
    }

    request->answer.refuse(room_json::quoted(name), reason);
    request->rooms.erase(request->rooms.find(name));

    if (--request->pending == 0) {
        finish(request);
    }
}

// A client has at most one request for a room, since a second one is refused.
rooms_client::request_list::iterator
rooms_client::find(std::string_view name) noexcept
{
    return std::ranges::find_if(requests_, [name](const open_request &each) {
        return each.rooms.contains(name);
    });
}

void rooms_client::finish(request_list::iterator done)
{
    request_list finished;

    finished.splice(finished.begin(), requests_, done);

    open_request &request = finished.front();
    std::vector<message_id> starts;

    for (const auto &[name, wanted] : request.rooms) {
        const room::resume_point start = wanted.joined->find_resume_point(
            wanted.since ? &*wanted.since : nullptr);

        starts.push_back(start.after);
        request.answer.add(wanted.joined->json_name(),
                           wanted.joined->last_message(),
                           wanted.joined->client_count(), start.complete);
    }

    // The client cannot interpret later messages without it
    if (send_text_message(request.answer.text(request.ref)) ==
        send_result::dropped) {
        close_connection(try_again_later, "send queue is full");
        return;
    }

    std::size_t index = 0;

    for (const auto &[name, wanted] : request.rooms) {
        wanted.joined->begin(*this, *wanted.place, starts[index++]);
    }
}

} // namespace websocket::handlers
