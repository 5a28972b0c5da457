// A load generator for WebSocket servers: see --help.
#include "runs/run.hpp"

#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>

namespace {

using namespace websocket::load;

std::unique_ptr<run> make_run(const options &given)
{
    if (given.mode == "echo") {
        return make_echo(given);
    }

    if (given.mode == "fan-out") {
        return make_fan_out(given);
    }

    if (given.mode == "idle") {
        return make_idle(given);
    }

    if (given.mode == "handshake") {
        return make_handshakes(given);
    }

    throw std::invalid_argument("unknown mode: " + given.mode);
}

} // namespace

int main(int count, char **arguments)
{
    std::signal(SIGPIPE, SIG_IGN);

    try {
        make_run(parse_options(count, arguments))->execute();
        return 0;

    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "websocket_load: %s\n", error.what());
        return 2;

    } catch (const std::exception &error) {
        std::fprintf(stderr, "websocket_load: %s\n", error.what());
        return 1;
    }
}
