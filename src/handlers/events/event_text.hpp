// Server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): what rooms
// send to clients that read an event stream.
//
// An object is an event of its type, whose data is the JSON. Browsers ignore
// fields that they do not know, so a message has more of them than they need.
//
// Text arguments must be UTF-8. All functions may throw std::bad_alloc.
#pragma once

#include "sdk/websocket_message.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers::event_text {

// The subprotocol of clients that read an event stream.
inline constexpr std::string_view subprotocol = "text/event-stream";

// An object, which begins with its type. `id`: see below; empty: none.
std::string object(std::string_view json, std::string_view id = {});

// A message of a room as the event `message` or `binary`, with the fields time,
// from and user. Lines of text end with LF in the data; text with another end
// is in the field base64 too.
std::string message(const websocket::message &source);

// A message of one of several rooms: its object as the event `message`, with
// the position of the client in all of its rooms as id.
std::string message_object(std::string_view json, std::string_view id);

// Positions in rooms, as the id of an event: "room=E-S,...". Names are
// percent-encoded.
void append_position(std::string &list, std::string_view room, message_id last);

// Reads such a list. Elements without "=" have an empty position. Of a name
// that occurs twice, the last one counts.
std::map<std::string, std::string, std::less<>>
read_positions(std::string_view list);

// Reads a list of names, percent-encoded and separated by commas. Empty ones
// are skipped.
std::vector<std::string> read_names(std::string_view list);

} // namespace websocket::handlers::event_text
