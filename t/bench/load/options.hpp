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
    std::string publish_path;       // empty: publishers are subscribers
    std::uint16_t publish_port = 0; // 0: the same as that of the others
    std::string subprotocol;
    std::size_t connections = 100;
    std::size_t publishers = 1;
    std::size_t size = 64; // bytes of payload
    std::size_t in_flight = 1;
    std::uint64_t messages = 0; // 0: as many as there is time for
    double seconds = 1.5;
    double warm_up = 0.3; // seconds
    double patience = 10; // seconds
    bool text = false;
    bool spin = false;
    bool raw = false;
    bool tls = false;
    bool deflate = false;
    bool wait = false;
    placement subscribers = placement::any;
    std::vector<pid_t> servers;
};

// Throws std::invalid_argument with words for the user. Prints the help, and
// ends the process, if that is asked for.
options parse_options(int count, char **arguments);

} // namespace websocket::load
