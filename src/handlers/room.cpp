// The handler `room`: parameters, connecting clients and received messages.
#include "handlers/room.hpp"

#include "handlers/events/event_text.hpp"
#include "handlers/room_json.hpp"
#include "handlers/room_receivers.hpp"
#include "handlers/room_tokens.hpp"
#include "handlers/rooms/rooms.hpp"

#include <algorithm>

namespace websocket::handlers {

namespace {

constexpr std::uint16_t policy_violation = 1008;

// True if any location has presence=on: clients of any room, on any worker, may
// come from there. Set in nginx's master before it starts the workers.
bool presence_is_used = false;

constexpr std::string_view publishing_is_off =
    "clients do not publish in this room";

// The id of the last message that the client has seen, or "0"; absent if the
// request has none. The argument precedes the header field, but for event
// streams.
std::optional<std::string> since_of(const request &handshake)
{
    const std::string argument = handshake.arg("since");

    // A page's EventSource repeats the argument when it comes back
    if (handshake.subprotocol() == event_text::subprotocol &&
        !handshake.header("Last-Event-ID").empty()) {
        return std::string(handshake.header("Last-Event-ID"));
    }

    // An empty argument differs from an absent one
    if (!argument.empty() || handshake.arg("since", "absent").empty()) {
        return argument;
    }

    const std::string_view field = handshake.header("Last-Event-ID");
    return field.empty() ? std::nullopt : std::optional<std::string>(field);
}

} // namespace

std::string_view failure_text(send_result result) noexcept
{
    return result == send_result::unreachable
               ? "other hosts are unreachable: not published"
               : "shared memory is full";
}

room_client::room_client()
    : number{id()}, format{chosen_format()}, may_publish{room_parameters::is_on(
                                                 parameter("publish", "on"))}
{
    place.receives_own = room_parameters::is_on(parameter("self", "on"));
    place.receives_presence =
        json() && room_parameters::is_on(parameter("presence", "off"));
}

room_format room_client::chosen_format() const noexcept
{
    const std::string_view chosen = request().subprotocol();

    return chosen == room_json::subprotocol    ? room_format::room
           : chosen == event_text::subprotocol ? room_format::room_events
                                               : room_format::plain;
}

room::room()
{
    room_parameters parameters;

    for (const std::string_view each : parameter_names()) {
        if (config_error_.empty()) {
            config_error_ = parameters.set(each, parameter(each));
        }
    }

    if (config_error_.empty()) {
        config_error_ = parameters.check();
    }

    json_name_ = room_json::quoted(name());
    keep_history(parameters.history, parameters.history_time);
}

std::string room::check_parameters()
{
    presence_is_used =
        presence_is_used || room_parameters::is_on(parameter("presence"));
    return config_error_;
}

unsigned room::client_connecting(const request &handshake)
{
    const auto since = since_of(handshake);

    return !since || parse_message_id(*since) ? 101 : 400;
}

std::string_view
room::select_subprotocol(const request &handshake,
                         std::span<const std::string_view> offered)
{
    const auto found =
        std::find(offered.begin(), offered.end(), room_json::subprotocol);

    return found == offered.end() ? handshake.preferred_subprotocol() : *found;
}

void room::client_connected(room_client &client)
{
    const auto text = since_of(client.request());
    const auto since = text ? parse_message_id(*text) : std::nullopt;
    const resume_point start = find_resume_point(since ? &*since : nullptr);

    delivered_ = last_message();

    if (client.json()) {
        welcome(client, start);
    } else if (since && *since != message_id{} && !start.complete) {
        client.close_connection(try_again_later,
                                "messages after that id are no longer "
                                "kept: connect with since=0 or without");
    }

    start_from(receiver_of(client), start.after);
    announce("joined", client, client.number);
}

// "0" requests the whole history, which is complete if it starts with the first
// message of the log. The log does not know an id of another epoch, or after
// its last message: the history is sent, and is not complete.
room::resume_point room::find_resume_point(const message_id *since)
{
    const message_id last = last_message();

    if (since == nullptr) {
        return {last, false};
    }

    const bool known =
        since->epoch == last.epoch && since->sequence <= last.sequence;
    const message_id begin = known ? *since : message_id{last.epoch, 0};
    message_id first = following(last); // if the history has none

    read_history(begin, [&first](const message &kept) {
        first = kept.id;
        return false;
    });

    return {{first.epoch, first.sequence - 1},
            (known || *since == message_id{}) && first == following(begin)};
}

// An event stream that breaks before its first message resumes where it began.
void room::welcome(room_client &client, const resume_point &start)
{
    const std::string json = room_json::welcome({.client = client.number,
                                                 .room = json_name_,
                                                 .last = last_message(),
                                                 .clients = client_count(),
                                                 .recovered = start.complete});
    const send_result result = client.send_text_message(
        is_event_stream(client.format)
            ? event_text::object(json, to_string(start.after))
            : json);

    // The client cannot interpret later messages without it
    if (result == send_result::dropped) {
        client.close_connection(try_again_later, "send queue is full");
    }
}

// The server announces users. It logs failures.
void room::announce(std::string_view event, const client &of,
                    std::uint64_t number)
{
    if (presence_is_used && of.user().empty()) {
        publish(event, {.from = number, .transient = true});
    }
}

std::optional<std::uint64_t> room::presence_grace(room_client &client)
{
    return presence_is_used
               ? room_parameters::grace_of(client.parameter("presence_grace"))
               : std::optional<std::uint64_t>{};
}

std::optional<std::uint64_t>
room::subscriber_presence_grace(rooms_client &client)
{
    return presence_is_used
               ? room_parameters::grace_of(
                     client.subscription_parameter(name(), "presence_grace"))
               : std::optional<std::uint64_t>{};
}

void room::client_disconnected(room_client &from, std::uint16_t,
                               std::string_view)
{
    receivers_--;
    announce("left", from, from.number);
}

void room::text_message_received(room_client &from, std::string_view text)
{
    if (from.json()) {
        handle_request(from, text);
    } else {
        publish_plain(from, opcode::text, std::as_bytes(std::span(text)));
    }
}

void room::binary_message_received(room_client &from,
                                   std::span<const std::byte> data)
{
    publish_plain(from, opcode::binary, data);
}

void room::handle_request(room_client &from, std::string_view text)
{
    const room_json::request parsed = room_json::parse(text);

    if (parsed.ping) {
        from.send_text_message(room_json::pong(parsed.ref));
        return;
    }

    if (!parsed.token.empty()) {
        from.send_text_message(renewed_token(from, parsed.token, parsed.ref));
        return;
    }

    if (!from.may_publish) {
        from.close_connection(policy_violation, publishing_is_off);
        return;
    }

    if (!parsed.error.empty()) {
        from.send_text_message(room_json::error(parsed.ref, parsed.error));
        return;
    }

    publish(parsed.data,
            {.from = from.number,
             .callback_bytes = parsed.ref.size(),
             .user = from.user()},
            [this, publisher = client_ref<room_client>(from),
             ref = parsed.ref](const publish_result &done) {
                note_published(done);
                send_result_object(publisher, ref, done);
            });
}

void room::note_published(const publish_result &done) noexcept
{
    if (done.result == send_result::queued) {
        published_ = done.id;
    }
}

// The client may have ended before the result is known.
void room::send_result_object(const client_ref<room_client> &publisher,
                              std::string_view ref, const publish_result &done)
{
    room_client *to = publisher.get();

    if (to == nullptr) {
        return;
    }

    if (done.result != send_result::queued) {
        to->send_text_message(room_json::error(ref, failure_text(done.result)));
    } else if (!ref.empty()) {
        to->send_text_message(room_json::published(ref, done.id));
    }
}

void room::publish_plain(room_client &from, opcode kind,
                         std::span<const std::byte> data)
{
    if (!from.may_publish) {
        from.close_connection(policy_violation, publishing_is_off);
        return;
    }

    publish(kind, data, {.from = from.number, .user = from.user()},
            [this, publisher = client_ref<room_client>(from)](
                const publish_result &done) {
                note_published(done);
                if (done.result != send_result::queued) {
                    report_failure(publisher, done.result);
                }
            });
}

void room::direct_message_received(room_client &to, const message &received)
{
    if (to.json()) {
        receiver_of(to).send_object(room_json::direct_message(received));
    } else if (received.kind == opcode::text) {
        to.send_text_message(received.text());
    } else {
        to.send_binary_message(received.data);
    }
}

void room::report_failure(const client_ref<room_client> &publisher,
                          send_result result)
{
    room_client *to = publisher.get();

    if (to == nullptr) {
        return;
    }

    if (to->json()) {
        to->send_text_message(room_json::error({}, failure_text(result)));
    } else {
        to->close_connection(try_again_later, failure_text(result));
    }
}

namespace {

// The last one is listed first
WEBSOCKET_HANDLER("rooms", rooms)
WEBSOCKET_HANDLER("room", room)

} // namespace

} // namespace websocket::handlers

const websocket_plugin_t *websocket_room(const websocket_server_t *caller)
{
    return websocket::detail::enter(caller);
}
