// A call of a script that uses the log of a shard.
#pragma once

#include "nginx/redis_nodes/router.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The keys and arguments after those that all such scripts have: borrowed.
struct shard_call {
    redis::script script;
    unsigned shard;
    std::span<const std::string> keys;
    std::span<const std::string_view> arguments;
};

// A user who may have joined or left a resource on this host.
struct changed_user {
    std::string_view user;
    std::uint64_t client; // the first or last one, or 0
};

// The scope of the users of a resource, by the name of its log. Throws
// std::bad_alloc.
std::string user_scope(std::string_view name);

// Whether the user is in the resource on this host, or has not left it yet.
// Throws std::bad_alloc.
bool is_present(std::string_view name, std::string_view user);

// Sends which of the users are present now. `clients`: the number of all here;
// empty: unchanged. `quiet`: those who join are not announced. As run().
bool set_users(shard_router &redis, std::string_view name,
               std::span<const changed_user> users, std::string_view clients,
               bool quiet, reply_callback callback, void *data);

// As shard_router::run. Throws std::bad_alloc.
bool run(shard_router &redis, const shard_call &call, reply_callback callback,
         void *data);

} // namespace websocket::nginx
