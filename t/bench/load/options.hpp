// The command line of the load generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace websocket::load {

enum class placement { any, same_worker, other_worker };

struct options {
    std::string mode;
    std::uint16_t port = 0;
    std::string path = "/";
    std::string publish_path;       // empty: subscribers publish
    std::uint16_t publish_port = 0; // 0: the port of the subscribers
    std::string subprotocol;
    std::size_t connections = 100;
    std::size_t publishers = 1;
    std::size_t rooms = 0; // of each subscriber; 0: it speaks no rooms.v1.json
    std::size_t streams = 0; // of a connection of HTTP/2; 0: HTTP/1.1
    std::size_t size = 64;   // bytes of payload
    std::size_t in_flight = 1;
    std::uint64_t messages = 0; // 0: no limit but the time
    double seconds = 1.5;
    double warm_up = 0.3; // seconds
    double patience = 10; // seconds
    bool text = false;
    bool spin = false;
    bool raw = false;
    bool tls = false;
    bool deflate = false;
    bool event_stream = false; // receivers read those
    bool wait = false;
    bool objects = false; // messages are in objects of JSON
    placement subscribers = placement::any;
    std::vector<pid_t> servers;
};

// Throws std::invalid_argument with a message for the user. --help prints the
// help and ends the process.
options parse_options(int count, char **arguments);

} // namespace websocket::load
