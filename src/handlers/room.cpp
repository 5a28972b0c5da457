// The handler `room`: its parameters, who connects, and what clients send.
#include "handlers/room.hpp"

#include "handlers/room_json.hpp"
#include "handlers/room_resource.hpp"

#include <algorithm>

namespace websocket::handlers {

namespace {

constexpr std::uint16_t policy_violation = 1008;

// Whether some location of the configuration has presence=on: any of a room's
// clients may have come through it, on this worker or on another one. Set in
// nginx's master, before its workers are made.
bool presence_is_used = false;

constexpr std::string_view not_for_clients =
    "clients do not publish in this room";

constexpr std::string_view complaint(send_result why) noexcept
{
    return why == send_result::unreachable
               ? "the other hosts are out of reach: not published"
               : "no room in the shared memory";
}

// What a client says it has seen: an id, "0" for nothing; absent if it does
// not say. The argument goes before the header field.
std::optional<std::string> seen_by(const request &asked)
{
    const std::string argument = asked.arg("since");

    // An empty argument is no absent one
    if (!argument.empty() || asked.arg("since", "absent").empty()) {
        return argument;
    }

    const std::string_view field = asked.header("Last-Event-ID");
    return field.empty() ? std::nullopt : std::optional<std::string>(field);
}

} // namespace

room_client::room_client()
    : number{id()}, json{request().subprotocol() == room_json::subprotocol},
      may_publish{room_parameters::is_on(parameter("publish", "on"))},
      gets_own{room_parameters::is_on(parameter("self", "on"))},
      gets_presence{json &&
                    room_parameters::is_on(parameter("presence", "off"))}
{}

room::room()
{
    room_parameters parameters;

    for (const std::string_view given : parameter_names()) {
        if (complaint_.empty()) {
            complaint_ = parameters.set(given, parameter(given));
        }
    }

    if (complaint_.empty()) {
        complaint_ = parameters.check();
    }

    json_name_ = room_json::quoted(name());
    keep_history(parameters.history, parameters.history_time);
}

// While the configuration is read: see presence_is_used.
std::string room::configured()
{
    presence_is_used =
        presence_is_used || room_parameters::is_on(parameter("presence"));
    return complaint_;
}

unsigned room::client_connecting(const request &asked)
{
    const auto seen = seen_by(asked);

    return !seen || parse_message_id(*seen) ? 101 : 400;
}

std::string_view
room::select_subprotocol(const request &asked,
                         std::span<const std::string_view> offered)
{
    const auto found =
        std::find(offered.begin(), offered.end(), room_json::subprotocol);

    return found == offered.end() ? asked.preferred_subprotocol() : *found;
}

void room::client_connected(room_client &to)
{
    const auto seen = seen_by(to.request());
    const auto since = seen ? parse_message_id(*seen) : std::nullopt;
    const resumption place =
        since ? resume(*since) : resumption{last_message(), false};

    delivered_ = last_message();
    to.given = place.given;
    to.changes_before = changes_.added();

    if (to.json) {
        welcome(to, place.complete);
    } else if (since && *since != message_id{} && !place.complete) {
        to.close_connection(try_again_later,
                            "messages behind that id are gone: connect with "
                            "since=0 or without");
    }

    catch_up(to);
    announce("joined", to);
}

// "0" asks for what there is, so that it is complete if that begins with the
// first message. An id of another epoch, or one that is yet to come, is from
// a time that the room has forgotten.
room::resumption room::resume(message_id since)
{
    const message_id last = last_message();
    const bool known =
        since.epoch == last.epoch && since.sequence <= last.sequence;
    const message_id begin = known ? since : message_id{last.epoch, 0};
    message_id first = following(last); // unless there is one before

    read_history(begin, [&first](const message &kept) {
        first = kept.id;
        return false;
    });

    return {{first.epoch, first.sequence - 1},
            (known || since == message_id{}) && first == following(begin)};
}

void room::welcome(room_client &to, bool recovered)
{
    to.told = client_count();

    const send_result result =
        to.send_text_message(room_json::welcome({.client = to.number,
                                                 .room = json_name_,
                                                 .last = last_message(),
                                                 .clients = to.told,
                                                 .recovered = recovered}));

    // What follows would be wrong without it
    if (result == send_result::dropped) {
        to.close_connection(try_again_later, "send queue is full");
    }
}

// Where it fails the server has written so into the log.
void room::announce(std::string_view what, const room_client &who)
{
    if (presence_is_used) {
        publish(what, {.from = who.number, .transient = true});
    }
}

void room::client_disconnected(room_client &from, std::uint16_t,
                               std::string_view)
{
    announce("left", from);
}

void room::text_message_received(room_client &from, std::string_view text)
{
    if (from.json) {
        answer_request(from, text);
    } else {
        publish_plain(from, opcode::text, std::as_bytes(std::span(text)));
    }
}

void room::binary_message_received(room_client &from,
                                   std::span<const std::byte> data)
{
    publish_plain(from, opcode::binary, data);
}

void room::answer_request(room_client &from, std::string_view text)
{
    const room_json::request asked = room_json::parse(text);

    if (asked.ping) {
        from.send_text_message(room_json::pong(asked.ref));
        return;
    }

    if (!from.may_publish) {
        from.close_connection(policy_violation, not_for_clients);
        return;
    }

    if (!asked.error.empty()) {
        from.send_text_message(room_json::error(asked.ref, asked.error));
        return;
    }

    publish(asked.data, {.from = from.number},
            [to = client_ref<room_client>(from), ref = asked.ref](
                const publish_result &done) { answer(to, ref, done); });
}

// What comes of a message may be known only when its client has gone.
void room::answer(const client_ref<room_client> &asked, std::string_view ref,
                  const publish_result &done)
{
    room_client *from = asked.get();

    if (from == nullptr) {
        return;
    }

    if (done.result != send_result::queued) {
        from->send_text_message(room_json::error(ref, complaint(done.result)));
    } else if (!ref.empty()) {
        from->send_text_message(room_json::published(ref, done.id));
    }
}

void room::publish_plain(room_client &from, opcode kind,
                         std::span<const std::byte> data)
{
    if (!from.may_publish) {
        from.close_connection(policy_violation, not_for_clients);
        return;
    }

    publish(kind, data, {.from = from.number},
            [to = client_ref<room_client>(from)](const publish_result &done) {
                if (done.result != send_result::queued) {
                    refuse(to, done.result);
                }
            });
}

void room::refuse(const client_ref<room_client> &publisher, send_result why)
{
    room_client *from = publisher.get();

    if (from == nullptr) {
        return;
    }

    if (from->json) {
        from->send_text_message(room_json::error({}, complaint(why)));
    } else {
        from->close_connection(try_again_later, complaint(why));
    }
}

namespace {

WEBSOCKET_HANDLER("room", room)

} // namespace

} // namespace websocket::handlers

const websocket_plugin_t *websocket_room(const websocket_server_t *given)
{
    return websocket::detail::enter(given);
}
