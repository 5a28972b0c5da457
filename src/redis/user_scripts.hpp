// The scripts for the users of resources, in Lua.
#pragma once

#include <string_view>

namespace websocket::redis {

// The kinds of the entries that they post, for users who have joined and left.
inline constexpr int joined_kind = 9;
inline constexpr int left_kind = 10;

// The hosts of a user are a text in which each uid is between two spaces.
inline constexpr std::string_view user_text = R"lua(
local function post_user(kind, name, user, client)
    post('t ' .. #name .. ' ' .. run .. ' ' .. kind .. ' ' .. client .. '\n' ..
         name .. user)
end
local function remove_user(users, user, hosts, host, name, client)
    local at, last = string.find(hosts, ' ' .. host .. ' ', 1, true)
    if not at then return false end
    hosts = string.sub(hosts, 1, at) .. string.sub(hosts, last + 1)
    if hosts == ' ' then
        redis.call('HDEL', users, user)
        post_user(10, name, user, client)
    else
        redis.call('HSET', users, user, hosts)
    end
    return true
end
)lua";

inline constexpr std::string_view set_users_text = R"lua(
local clients, users, rooms, name = KEYS[3], KEYS[7], KEYS[8], ARGV[8]
local added = 0
local quiet = ARGV[9] == '1' and redis.call('HEXISTS', KEYS[9], name) == 0
if ARGV[7] ~= '' then
    post_clients(clients, me, ARGV[7], name, '0', KEYS[4], KEYS[5], KEYS[6])
end
for i = 10, #ARGV, 3 do
    local user, present, client = ARGV[i], ARGV[i + 1] == '1', ARGV[i + 2]
    local hosts = redis.call('HGET', users, user) or ' '
    if not present then
        if remove_user(users, user, hosts, me, name, client) then
            added = added - 1
        end
    elseif not string.find(hosts, ' ' .. me .. ' ', 1, true) then
        redis.call('HSET', users, user, hosts .. me .. ' ')
        added = added + 1
        if hosts == ' ' and not quiet then
            post_user(9, name, user, client)
        end
    end
end
if added ~= 0 then
    if redis.call('HINCRBY', rooms, name, added) <= 0 then
        redis.call('HDEL', rooms, name)
    end
    redis.call('PEXPIRE', users, day)
    redis.call('PEXPIRE', rooms, day)
    redis.call('SADD', KEYS[5], me)
    redis.call('PEXPIRE', KEYS[5], day)
    redis.call('SET', KEYS[6], '', 'PX', 10000, 'NX')
end
return count(clients, me)
)lua";

// Removes a host from a page of the users of one resource. `at` has the cursor
// and the resource of the next page, and `removed` the resources: if the host
// returns within an hour, its users join again.
inline constexpr std::string_view purge_users_text = R"lua(
local function purge_users(host, tag)
    local rooms, at = tag .. 'p:' .. host, tag .. 'pc:' .. host
    local removed = tag .. 'pr:' .. host
    local cursor, name = string.match(redis.call('GET', at) or '',
                                      '^(%d+) (.*)$')
    if not name then
        cursor, name = '0', redis.call('HSCAN', rooms, '0')[2][1]
        if not name then return false end
    end
    local users = tag .. 'u:' .. name
    local page = redis.call('HSCAN', users, cursor, 'COUNT', 200)
    for i = 1, #page[2], 2 do
        remove_user(users, page[2][i], page[2][i + 1], host, name, '0')
    end
    redis.call('HSET', removed, name, '')
    redis.call('PEXPIRE', removed, hour)
    if page[1] == '0' then
        redis.call('HDEL', rooms, name)
        redis.call('DEL', at)
    else
        redis.call('SET', at, page[1] .. ' ' .. name, 'PX', hour)
    end
    return true
end
)lua";

} // namespace websocket::redis
