// The command line of the load generator.
#include "options.hpp"

#include "wire/prepared_messages.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <getopt.h>

namespace websocket::load {

namespace {

constexpr const char *help = R"(usage: websocket_load MODE --port=N [OPTION...]

Loads a WebSocket server on 127.0.0.1 with one thread, checks every message
that comes back, and prints the result as one line of JSON. Exit status 1: a
reply was wrong or missing; 2: wrong usage.

Modes
  echo       each connection sends messages and expects the same ones back, in
             order
  fan-out    publishers send messages, and every subscriber must receive all of
             them in one order
  idle       opens the connections and keeps them open
  handshake  opens a connection, checks the response, resets the connection,
             and opens the next one

Options
  --port=N          the server's port
  --path=PATH       of the handshake; "{}" becomes the connection's number
  --subprotocol=S   offered in the handshake
  --connections=N   at a time; in fan-out, the subscribers (100)
  --in-flight=N     messages that a connection (echo) or a publisher (fan-out)
                    has sent and that have not arrived everywhere (1)
  --size=BYTES      of a payload (64); in fan-out at least 12
  --text            text messages instead of binary ones
  --raw             echo: the server returns bytes, without a handshake
  --tls             uses TLS; certificates are not checked, and sessions are not
                    resumed
  --deflate         offers permessage-deflate, which the server must accept, and
                    sends compressed messages
  --event-stream    fan-out, idle: the subscribers read server-sent events; in
                    fan-out it requires --text and --publish-path
  --streams=N       the same over HTTP/2, so many on each connection
  --seconds=S       duration of the measurement (1.5)
  --warm-up=S       duration of the load before it, which does not count (0.3)
  --messages=N      ends after so many messages or handshakes; all of them count
  --patience=S      fails if no message arrives for so long (10)
  --spin            polls for events instead of sleeping
  --server=PID      a process whose CPU time and memory are reported; may be
                    given several times
  --wait            prints {"ready":N} when all connections are open, begins
                    when a line arrives on standard input, ends at its end

Fan-out only
  --publishers=K    the first K subscribers publish (1)
  --publish-path=P  K further connections publish, and receive nothing
  --publish-port=N  these connect to another server, which forwards their
                    messages to the first one
  --objects         messages come in the objects of room.v1.json
  --rooms=N         subscribers speak rooms.v1.json, and subscribe to the rooms
                    room-0 to room-(N-1); requires --publish-path
  --subscribers=same-worker|other-worker
                    subscribers are on the worker of the first publisher, or on
                    others, by the header X-Worker
)";

enum flag : int {
    port = 256,
    path,
    subprotocol,
    connections,
    in_flight,
    size,
    text,
    raw,
    tls,
    deflate,
    event_stream,
    streams,
    seconds,
    warm_up,
    messages,
    patience,
    spin,
    server,
    wait_for_line,
    publishers,
    publish_path,
    publish_port,
    subscribers,
    objects,
    rooms,
    show_help
};

const option flags[] = {
    {"port", required_argument, nullptr, port},
    {"path", required_argument, nullptr, path},
    {"subprotocol", required_argument, nullptr, subprotocol},
    {"connections", required_argument, nullptr, connections},
    {"in-flight", required_argument, nullptr, in_flight},
    {"size", required_argument, nullptr, size},
    {"text", no_argument, nullptr, text},
    {"raw", no_argument, nullptr, raw},
    {"tls", no_argument, nullptr, tls},
    {"deflate", no_argument, nullptr, deflate},
    {"event-stream", no_argument, nullptr, event_stream},
    {"streams", required_argument, nullptr, streams},
    {"seconds", required_argument, nullptr, seconds},
    {"warm-up", required_argument, nullptr, warm_up},
    {"messages", required_argument, nullptr, messages},
    {"patience", required_argument, nullptr, patience},
    {"spin", no_argument, nullptr, spin},
    {"server", required_argument, nullptr, server},
    {"wait", no_argument, nullptr, wait_for_line},
    {"publishers", required_argument, nullptr, publishers},
    {"publish-path", required_argument, nullptr, publish_path},
    {"publish-port", required_argument, nullptr, publish_port},
    {"subscribers", required_argument, nullptr, subscribers},
    {"objects", no_argument, nullptr, objects},
    {"rooms", required_argument, nullptr, rooms},
    {"help", no_argument, nullptr, show_help},
    {nullptr, 0, nullptr, 0},
};

template <class number>
number parse_number(std::string_view given)
{
    number value = 0;
    const char *end = given.data() + given.size();
    const auto [rest, error] = std::from_chars(given.data(), end, value);

    if (error != std::errc{} || rest != end || value < 0) {
        throw std::invalid_argument("not a number: " + std::string(given));
    }

    return value;
}

placement parse_placement(std::string_view given)
{
    if (given == "same-worker") {
        return placement::same_worker;
    }

    if (given == "other-worker") {
        return placement::other_worker;
    }

    throw std::invalid_argument("not a value of --subscribers: " +
                                std::string(given));
}

void set_number(options &to, int which, std::string_view given)
{
    switch (which) {
    case port:
        to.port = parse_number<std::uint16_t>(given);
        break;
    case publish_port:
        to.publish_port = parse_number<std::uint16_t>(given);
        break;
    case connections:
        to.connections = parse_number<std::size_t>(given);
        break;
    case in_flight:
        to.in_flight = parse_number<std::size_t>(given);
        break;
    case size:
        to.size = parse_number<std::size_t>(given);
        break;
    case seconds:
        to.seconds = parse_number<double>(given);
        break;
    case warm_up:
        to.warm_up = parse_number<double>(given);
        break;
    case messages:
        to.messages = parse_number<std::uint64_t>(given);
        break;
    case patience:
        to.patience = parse_number<double>(given);
        break;
    case server:
        to.servers.push_back(parse_number<pid_t>(given));
        break;
    case streams:
        to.streams = parse_number<std::size_t>(given);
        to.event_stream = true;
        break;
    case rooms:
        to.rooms = parse_number<std::size_t>(given);
        to.objects = true;
        break;
    case publishers:
        to.publishers = parse_number<std::size_t>(given);
        break;
    }
}

void set(options &to, int which, const char *given)
{
    switch (which) {
    case path:
        to.path = given;
        break;
    case publish_path:
        to.publish_path = given;
        break;
    case subprotocol:
        to.subprotocol = given;
        break;
    case subscribers:
        to.subscribers = parse_placement(given);
        break;
    case text:
        to.text = true;
        break;
    case spin:
        to.spin = true;
        break;
    case raw:
        to.raw = true;
        break;
    case tls:
        to.tls = true;
        break;
    case deflate:
        to.deflate = true;
        break;
    case event_stream:
        to.event_stream = true;
        break;
    case wait_for_line:
        to.wait = true;
        break;
    case objects:
        to.objects = true;
        break;
    case show_help:
        std::fputs(help, stdout);
        std::exit(0);
    case '?':
        throw std::invalid_argument("see --help");
    default:
        set_number(to, which, given);
    }
}

void check(const options &given)
{
    if (given.port == 0 || given.connections == 0 || given.in_flight == 0) {
        throw std::invalid_argument(
            "--port, --connections and --in-flight must be at least 1");
    }

    if (given.raw && (given.mode != "echo" || given.tls || given.deflate)) {
        throw std::invalid_argument(
            "--raw requires echo, without --tls and --deflate");
    }

    if (given.event_stream &&
        ((given.mode != "fan-out" && given.mode != "idle") || given.deflate ||
         given.objects ||
         (given.streams != 0 &&
          (given.tls || given.subscribers != placement::any)))) {
        throw std::invalid_argument(
            "--event-stream requires fan-out or idle, without --deflate, "
            "--objects and --rooms; --streams also without --tls and "
            "--subscribers");
    }

    if (given.mode != "fan-out") {
        return;
    }

    if (given.event_stream && (!given.text || given.publish_path.empty())) {
        throw std::invalid_argument(
            "--event-stream requires --text and --publish-path");
    }

    if (given.size < signature::size) {
        throw std::invalid_argument("fan-out requires at least --size=12");
    }

    if (given.publish_port != 0 && given.publish_path.empty()) {
        throw std::invalid_argument("--publish-port requires --publish-path");
    }

    if (given.objects && (!given.text || given.publish_path.empty())) {
        throw std::invalid_argument(
            "--objects and --rooms require --text and --publish-path");
    }

    if (given.publishers == 0 ||
        (given.publish_path.empty() && given.publishers > given.connections)) {
        throw std::invalid_argument(
            "--publishers must be at least 1, and at most --connections");
    }
}

} // namespace

options parse_options(int count, char **arguments)
{
    options result;
    int which;

    while ((which = getopt_long(count, arguments, "", flags, nullptr)) != -1) {
        set(result, which, optarg);
    }

    if (optind != count - 1) {
        throw std::invalid_argument("a mode is required: see --help");
    }

    result.mode = arguments[optind];
    check(result);
    return result;
}

} // namespace websocket::load
