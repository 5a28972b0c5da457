// Presence by user: which users are in which resource, and the entries of its
// log that report a user's first and last client there.
//
// A user whose last client has left lingers for the grace that the handler
// wants. The shared memory knows who lingers, and the worker of the last client
// ends it. If that worker dies, another one does.
#pragma once

#include "broker/member_types.hpp"
#include "nginx/session/session.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx::user_presence {

// Called when a process starts, and when it ends.
void start() noexcept;
void stop() noexcept;

// A client is in a resource, and is it no more. `subscribed`: it has connected
// to another one. Clients without a user do not matter.
void enter(session &client, const resource &target, bool subscribed) noexcept;
void leave(const session &client, const websocket_handler_t &handler,
           std::string_view key) noexcept;

// A client of a user was counted, for whom the scope lingers: reports it if it
// is the first one. `client` may be 0. Throws std::bad_alloc.
void report_added(std::string_view scope, std::string_view user,
                  std::uint64_t client, const broker::added_member &added);

// Ends some members of the shared memory that have lingered because their
// process has ended, at once if the scope has no grace. Returns whether there
// may be more.
bool end_lost_members() noexcept;

// The clients without a user, and the users, that are in a resource. Throws
// std::bad_alloc.
std::uint64_t count(const resource &target);

} // namespace websocket::nginx::user_presence
