// Adds the keys and arguments that all scripts of a shard have.
#include "nginx/backplane/shard_call.hpp"

#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"
#include "redis/user_scripts.hpp"

#include <array>
#include <vector>

namespace websocket::nginx {

static_assert(kind_user_joined == redis::joined_kind &&
              kind_user_left == redis::left_kind);

// The names of handlers contain no ":" and no "@".
std::string user_scope(std::string_view name)
{
    std::string scope(name);
    const std::size_t separator = scope.find(':');

    if (separator != scope.npos) {
        scope[separator] = '@';
    }

    return scope;
}

bool is_present(std::string_view name, std::string_view user)
{
    const broker::counted_member found =
        worker_bus::broker().count_member(user_scope(name), user);

    return found.clients != 0 || found.lingers;
}

bool set_users(shard_router &redis, std::string_view name,
               std::span<const changed_user> users, std::string_view clients,
               bool quiet, reply_callback callback, void *data)
{
    const unsigned shard = redis::shard_of(name);
    const std::string_view uid = worker_bus::zone().host.uid();
    const std::array<std::string, 7> keys{redis::clients_key(name),
                                          redis::host_resources_key(shard, uid),
                                          redis::hosts_key(shard),
                                          redis::lease_key(shard, uid),
                                          redis::users_key(name),
                                          redis::host_users_key(shard, uid),
                                          redis::removed_users_key(shard, uid)};
    std::vector<std::string> numbers;
    std::vector<std::string_view> arguments{clients, name, quiet ? "1" : "0"};

    numbers.reserve(users.size());

    for (const changed_user &each : users) {
        numbers.push_back(std::to_string(each.client));
        arguments.insert(arguments.end(),
                         {each.user, is_present(name, each.user) ? "1" : "0",
                          numbers.back()});
    }

    return run(redis, {redis::script::set_users, shard, keys, arguments},
               callback, data);
}

bool run(shard_router &redis, const shard_call &call, reply_callback callback,
         void *data)
{
    const broker::log_cursor cursor = worker_bus::broker().cursor(call.shard);
    const std::string channel = redis.channel(call.shard);
    const std::string epoch = std::to_string(cursor.last.epoch);
    const std::string sequence = std::to_string(cursor.last.sequence);
    const std::string cursor_run = std::to_string(cursor.run);
    const std::string present_run =
        std::to_string(redis.run_id_hash(call.shard));
    const std::array<std::string, 2> keys{redis::log_position_key(call.shard),
                                          redis::log_key(call.shard)};
    const std::array<std::string_view, 6> arguments{
        channel,    epoch,       sequence,
        cursor_run, present_run, worker_bus::zone().host.uid()};

    return redis.run(call.shard,
                     {call.script, call.keys, call.arguments, keys, arguments},
                     callback, data);
}

} // namespace websocket::nginx
