// Requests for single clients and users on this host, from its own workers and
// from the inbox.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/direct/host_request.hpp"
#include "nginx/direct/users_page.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::nginx::host_requests {

// Other hosts can ask this one, from the next leader on. Called when a process
// starts, if websocket_redis connects hosts.
void enable() noexcept;

// The log in which a worker gets the answers of other hosts. Throws
// std::bad_alloc.
std::string answers_log(unsigned slot);

// Sends the message, counts the clients or lists the users on this host, and
// returns the answer. `inbox_entry`: see direct_message. Nothing: another
// process leads now. Throws std::bad_alloc.
std::optional<std::string> handle(std::string_view request,
                                  std::uint64_t inbox_entry = 0);

// Adds the users of this host, and the number of clients. The name of the
// target is the user after which the page begins. Throws std::bad_alloc.
void add_users(users_page &page, const direct_target &target,
               std::size_t limit);

} // namespace websocket::nginx::host_requests
