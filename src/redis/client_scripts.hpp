// The scripts for clients of HTTP backends, in Lua.
#pragma once

#include <string_view>

namespace websocket::redis {

// A client that Redis does not have any more is lost, unless another host has
// taken it.
inline constexpr std::string_view keep_clients_text = R"lua(
local clients, kinds, hosts, lease, taken = unpack(KEYS)
local me, kind, forgotten = ARGV[1], ARGV[2], tonumber(ARGV[4])
local gone = {''}
for i = 5, 4 + forgotten do redis.call('HDEL', clients, ARGV[i]) end
if #ARGV == 4 + forgotten then return gone end
local was_taken = redis.call('EXISTS', taken) == 1
for i = 5 + forgotten, #ARGV, 2 do
    local id = ARGV[i]
    if was_taken and redis.call('SISMEMBER', taken, id) == 1 then
        gone[#gone + 1] = id
    else
        redis.call('HSET', clients, id, ARGV[i + 1])
    end
end
redis.call('SADD', kinds, kind)
redis.call('SADD', hosts, me)
if redis.call('SET', lease, '', 'PX', ARGV[3], 'NX') then gone[1] = 'new' end
for _, key in ipairs({clients, kinds, hosts}) do
    redis.call('PEXPIRE', key, day)
end
return gone
)lua";

inline constexpr std::string_view check_clients_text = R"lua(
local missing = {}
for _, id in ipairs(ARGV) do
    if redis.call('HEXISTS', KEYS[1], id) == 0 then
        missing[#missing + 1] = id
    end
end
return missing
)lua";

// A full Redis accepts PEXPIRE.
inline constexpr std::string_view renew_clients_text = R"lua(
local lease, kinds, hosts, me = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local before = redis.call('PEXPIRE', lease, ARGV[2])
if before == 0 then redis.call('SET', lease, '', 'PX', ARGV[2]) end
redis.call('PEXPIRE', hosts, day)
if redis.call('PEXPIRE', kinds, day) == 1 then
    for _, kind in ipairs(redis.call('SMEMBERS', kinds)) do
        redis.call('PEXPIRE', ARGV[3] .. 'a:' .. kind .. ':' .. me, day)
    end
    if redis.call('SISMEMBER', hosts, me) == 0 then
        redis.pcall('SADD', hosts, me)
    end
end
return before
)lua";

// Entries of a later version do not hide those of another host. Of many, not
// all are read.
inline constexpr std::string_view find_clients_text = R"lua(
local hosts, tag, me = KEYS[1], ARGV[1], ARGV[2]
local function readable(list)
    local kept = {}
    for i = 2, #list, 2 do
        if string.sub(list[i], 1, 2) == '1 ' then
            kept[#kept + 1] = list[i - 1]
            kept[#kept + 1] = list[i]
        end
    end
    return kept
end
local function clients_of(host, at)
    for i = 5, #ARGV do
        local key, pages = tag .. 'a:' .. ARGV[i] .. ':' .. host, 0
        repeat
            local found = redis.call('HSCAN', key, at, 'COUNT', 64)
            local clients = readable(found[2])
            at = found[1]
            if #clients > 0 then return {host, ARGV[i], at, clients} end
            pages = pages + (#found[2] > 0 and 1 or 0)
        until at == '0' or pages == 20
        at = '0'
    end
end
local function is_empty(host)
    for _, kind in ipairs(redis.call('SMEMBERS', tag .. 'ak:' .. host)) do
        if redis.call('EXISTS', tag .. 'a:' .. kind .. ':' .. host) == 1 then
            return false
        end
    end
    return true
end
local some = {ARGV[3]}
if ARGV[3] == '' then
    some = redis.call('SRANDMEMBER', hosts, 3)
    table.insert(some, 1, redis.call('SRANDMEMBER', hosts) or nil)
end
for _, host in ipairs(some) do
    if host ~= me and redis.call('EXISTS', tag .. 'al:' .. host) == 0 then
        local found = clients_of(host, ARGV[4])
        if found then return found end
        if is_empty(host) then
            redis.call('SREM', hosts, host)
            redis.call('DEL', tag .. 'ak:' .. host)
        end
    end
end
return {}
)lua";

// A repeated call gets the same reply.
inline constexpr std::string_view take_clients_text = R"lua(
local theirs, mine, their_lease, taken, kinds, hosts = unpack(KEYS)
local dead, has = redis.call('EXISTS', their_lease) == 0, {}
for i = 3, #ARGV do
    local id = ARGV[i]
    local client = dead and redis.call('HGET', theirs, id)
    if client then
        redis.call('SADD', taken, id)
        redis.call('HSET', mine, id, client)
        redis.call('HDEL', theirs, id)
        has[#has + 1] = id
    elseif redis.call('HEXISTS', mine, id) == 1 then
        has[#has + 1] = id
    end
end
if #has > 0 then
    redis.call('SADD', kinds, ARGV[2])
    redis.call('SADD', hosts, ARGV[1])
    for _, key in ipairs({mine, kinds, hosts, taken}) do
        redis.call('PEXPIRE', key, day)
    end
end
return has
)lua";

} // namespace websocket::redis
