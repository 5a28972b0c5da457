// Requests for single clients and users to other hosts, and their answers.
//
// A request is an entry in the inboxes of these hosts. When Redis has it, this
// host handles it too, if it is for all. An answer comes through the inbox of
// this host, whose leader passes it to the worker that asked. A host that does
// not answer within command_timeout does not count if its lease has ended.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx::host_asks {

enum class result {
    complete,    // all hosts have answered
    full,        // no host got it: the inbox of one is full
    unreachable, // perhaps no host got it
    unanswered   // some host has not answered in time
};

struct outcome {
    result what = result::unreachable;
    std::span<const std::string> answers; // see host_requests::handle
};

using callback = void (*)(void *data, const outcome &) noexcept;

// Asks the host with that id prefix, or all hosts, this one included. Calls
// `done` exactly once. False: the queue is full, or too many requests wait, and
// `done` is not called. Requires websocket_redis.
bool ask(std::string_view request, std::optional<std::uint64_t> host,
         callback done, void *data) noexcept;

// The same without answers and without this host. A host whose inbox is full
// does not get it.
bool send(std::string_view request, std::optional<std::uint64_t> host) noexcept;

// Ends all requests as unreachable. Called after backplane::stop().
void stop() noexcept;

} // namespace websocket::nginx::host_asks
