// The handler `rooms`: connecting clients and their requests.
#include "handlers/rooms/rooms.hpp"

#include "handlers/events/event_text.hpp"
#include "handlers/room_json.hpp"
#include "handlers/room_tokens.hpp"

#include <algorithm>
#include <utility>

namespace websocket::handlers {

namespace {

constexpr std::size_t max_listed = 1000; // users of an answer to "presence"

// Requests for presence that may wait for the other hosts, of one client, and
// the bytes of "ref" with which no further one may.
constexpr unsigned max_listing = 8;
constexpr std::size_t max_listing_bytes = 64 * 1024;

// The reason why the client may not publish to the room; empty: it may.
std::string refusal_to_publish(rooms_client &from,
                               const rooms_json::request &request,
                               bool subscribed)
{
    const std::string_view publish =
        from.subscription_parameter(request.room, "publish", "on");

    if (from.subscription_parameter(request.room, "*").empty()) {
        return std::string(no_pattern);
    }

    if (publish == "off") {
        return "clients do not publish in this room";
    }

    return subscribed ? ""
           : publish != "open"
               ? "not subscribed"
               : room_access(from, request.token).refusal(request.room);
}

// The client may have ended before the result is known.
void send_result_of(const client_ref<rooms_client> &publisher,
                    std::string_view ref, std::string_view room,
                    const publish_result &done)
{
    rooms_client *to = publisher.get();

    if (to == nullptr) {
        return;
    }

    to->send_text_message(
        done.result == send_result::queued
            ? room_json::published(ref, done.id, room_json::quoted(room))
            : rooms_json::error(ref, room, failure_text(done.result)));
}

} // namespace

std::string rooms::check_parameters()
{
    return parameter_names().empty()
               ? ""
               : "the handler takes no parameters: see websocket_rooms";
}

std::string_view
rooms::select_subprotocol(const request &handshake,
                          std::span<const std::string_view> offered)
{
    const auto found =
        std::find(offered.begin(), offered.end(), rooms_json::subprotocol);

    return found == offered.end() ? handshake.preferred_subprotocol() : *found;
}

unsigned rooms::client_connecting(const request &handshake)
{
    return handshake.subprotocol() != event_text::subprotocol ||
                   !event_text::read_names(handshake.arg("rooms")).empty()
               ? 101
               : 400; // it could never subscribe
}

void rooms::client_connected(rooms_client &client)
{
    client.send_object(rooms_json::welcome(client.number,
                                           client.request().user(),
                                           client.current_token().expires()));

    if (client.events) {
        client.subscribe_to_requested();
    }
}

void rooms::text_message_received(rooms_client &from, std::string_view text)
{
    const rooms_json::request request = rooms_json::parse(text);

    if (!request.error.empty()) {
        from.send_text_message(
            rooms_json::error(request.ref, {}, request.error));
        return;
    }

    switch (request.asks) {
    case rooms_json::verb::subscribe:
        from.subscribe_to(request);
        return;
    case rooms_json::verb::unsubscribe:
        unsubscribe(from, request);
        return;
    case rooms_json::verb::publish:
        publish(from, request);
        return;
    case rooms_json::verb::token:
        from.send_text_message(renewed_token(from, request.token, request.ref));
        return;
    case rooms_json::verb::presence:
        send_presence(from, request);
        return;
    case rooms_json::verb::ping:
        from.send_text_message(room_json::pong(request.ref));
        return;
    default:
        from.send_text_message(
            rooms_json::error(request.ref, {}, "not supported"));
    }
}

// A room that the client waits for is refused in the answer to that request.
void rooms::unsubscribe(rooms_client &from, const rooms_json::request &request)
{
    for (const std::string &name : request.names) {
        if (from.unsubscribe(name)) {
            from.on_refused(name, "unsubscribed");
        }
    }

    from.send_text_message(
        rooms_json::unsubscribed(request.ref, request.names));
}

void rooms::publish(rooms_client &from, const rooms_json::request &request)
{
    const auto place = from.find_subscription<room>(request.room);
    const std::string refusal =
        refusal_to_publish(from, request, place.resource != nullptr);

    if (!refusal.empty()) {
        from.send_text_message(
            rooms_json::error(request.ref, request.room, refusal));
        return;
    }

    const auto data = std::as_bytes(std::span(request.data));
    const std::size_t result_bytes = request.ref.size() + request.room.size();
    auto on_result = [publisher = client_ref<rooms_client>(from),
                      ref = request.ref,
                      room = request.room](const publish_result &done) {
        send_result_of(publisher, ref, room, done);
    };

    if (place.resource != nullptr) {
        place.resource->publish_for(from, request.kind, data, result_bytes,
                                    std::move(on_result));
    } else {
        publish_to(from, request.room, request.kind, data,
                   {.from = from.number,
                    .callback_bytes = result_bytes,
                    .user = from.user()},
                   std::move(on_result));
    }
}

// Only of a room that the client is in, with presence=on. With Redis the answer
// comes later: the client may have left the room, or ended.
void rooms::send_presence(rooms_client &from, const rooms_json::request &asked)
{
    const auto place = from.find_subscription<room>(asked.room);
    const std::string_view refusal =
        place.resource == nullptr         ? "not subscribed"
        : !place.state->receives_presence ? "the room has no presence"
        : from.listing == max_listing || from.listing_bytes > max_listing_bytes
            ? "too many requests wait"
            : "";

    if (!refusal.empty()) {
        from.send_text_message(
            rooms_json::error(asked.ref, asked.room, refusal));
        return;
    }

    from.listing++;
    from.listing_bytes += asked.ref.size();
    place.resource->find_users(
        asked.after, max_listed,
        [to = client_ref<rooms_client>(from), of = place.resource,
         ref = asked.ref, name = asked.room](const found_users &found) {
            rooms_client *client = to.get();

            if (client == nullptr) {
                return;
            }

            client->listing--;
            client->listing_bytes -= ref.size();

            if (client->find_subscription<room>(name).resource != of) {
                client->send_text_message(
                    rooms_json::error(ref, name, "not subscribed"));
            } else if (!found.complete) {
                client->send_text_message(rooms_json::error(
                    ref, name, "other hosts are unreachable"));
            } else {
                client->send_text_message(rooms_json::presence(
                    ref, of->json_name(), of->client_count(), found));
            }
        });
}

void rooms::subscription_failed(rooms_client &client, std::string_view name,
                                std::string_view reason)
{
    client.on_refused(name, reason);
}

void rooms::direct_message_received(rooms_client &to, const message &received)
{
    to.send_object(room_json::direct_message(received));
}

// Rooms take turns: the next one is that after the one that was resumed last.
void rooms::client_drained(rooms_client &to)
{
    const room *last = to.resumed;
    bool passed = last == nullptr;

    for (int round = 0; round != 2 && to.behind != 0; round++) {
        bool may_continue = true;

        to.each_subscription<room>([&](room &each, room_place &place) {
            if (passed && place.progress) {
                to.resumed = &each;
                may_continue = each.resume(to, place);
            }

            passed = passed || &each == last;
            return may_continue && to.behind != 0;
        });

        if (!may_continue) {
            return;
        }

        passed = true;
    }
}

} // namespace websocket::handlers
