// The scripts, in Lua.
#include "redis/scripts.hpp"

#include "redis/client_scripts.hpp"
#include "redis/direct_scripts.hpp"
#include "redis/script_parts.hpp"
#include "redis/user_scripts.hpp"

namespace websocket::redis {

namespace {

constexpr std::string_view publish_text = R"lua(
local key, history, worker, name, payload = KEYS[3], KEYS[4], KEYS[6], ARGV[7],
    ARGV[8]
local number, clients = ARGV[14], ARGV[13] == '1' and count(KEYS[5], me) or 0
local slot = number % 256
if ARGV[15] == '1' then
    local known = redis.call('HGET', worker, slot) or ''
    local id = string.match(known, '^' .. number .. ' (%S+)')
    if id then return {id, clients} end
end
local e, q, _, m = position(key, history, {ARGV[17], ARGV[18], ARGV[19]}, run,
                            intact)
local time, last = now(), text(q + 1)
local id = e .. '-' .. last
local kept, bytes, size = math.max(ARGV[11], m[5] or 0), m[4] or 0, 0
time = text(time)
if kept > 0 then
    size = #payload + 64
    redis.call('XADD', history, 'MAXLEN', kept, '0-' .. last, 'k', ARGV[9],
               'f', ARGV[10], 't', time, 'd', payload)
    limit_bytes(key, history, bytes, size, math.max(ARGV[20], m[8] or 0), last)
end
redis.call('HSET', key, 'q', last, 'b', bytes + size)
keep(key, history, m, kept, ARGV[20], ARGV[12], time)
if redis.call('HSET', worker, slot, number .. ' ' .. id) == 1 or
    ARGV[16] == '1' then
    redis.call('PEXPIRE', worker, hour)
end
post('m ' .. #name .. ' ' .. run .. ' ' .. id .. ' ' .. ARGV[9] .. ' ' ..
     ARGV[10] .. ' ' .. time .. '\n' .. name .. payload)
return {id, clients}
)lua";

constexpr std::string_view notify_text = R"lua(
local key, clients, name = KEYS[3], ARGV[7], ARGV[8]
if clients ~= '' then
    post_clients(key, me, clients, name, ARGV[9], KEYS[4], KEYS[5], KEYS[6])
    local m = redis.call('HMGET', KEYS[7], 'q', 'l')
    local left = redis.call('EXISTS', key) == 1 and m[2] or 1000
    if m[1] == '0' and (left == m[2] or
        redis.call('PTTL', KEYS[7]) > left) then
        redis.call('PEXPIRE', KEYS[7], left)
    end
end
if ARGV[10] ~= '' then
    local id = post(ARGV[10])
    if ARGV[11] == '1' then
        redis.call('HSET', KEYS[7], 'x', id .. ' ' .. ARGV[10])
        if redis.call('PTTL', KEYS[7]) < 0 then
            redis.call('PEXPIRE', KEYS[7], hour)
        end
    end
end
return count(key, me)
)lua";

constexpr std::string_view sync_text = R"lua(
local key, history, clients, name = KEYS[3], KEYS[4], KEYS[5], ARGV[8]
local e, q, from, m = position(key, history, {ARGV[9], ARGV[10], ARGV[11]}, run,
                               intact)
local mine, why = redis.call('HGET', clients, me), ARGV[15]
if (mine or '0') ~= ARGV[7] then
    local unknown = why == 'r' or (why == 'c' and not mine)
    post_clients(clients, me, ARGV[7], name, unknown and '1' or '0', KEYS[6],
                 KEYS[7], KEYS[8])
end
keep(key, history, m, ARGV[12], ARGV[16], ARGV[13], now())
redis.call('PEXPIRE', clients, day)
if q - from > tonumber(ARGV[12]) then from = q - ARGV[12] end
local entries, bytes, at, some, full = {}, 0, from + 1, 1, false
while at <= tonumber(q) and #entries < 100 and not full do
    local found = redis.call('XRANGE', history, '0-' .. text(at), '+',
                             'COUNT', some)
    if #entries == 0 then
        from = #found == 0 and q or string.match(found[1][1], '%d+$') - 1
    end
    if #found == 0 then break end
    for _, x in ipairs(found) do
        bytes = bytes + #(x[2][8] or '')
        full = #entries > 0 and bytes > tonumber(ARGV[14])
        if full then break end
        entries[#entries + 1] = x
        at = string.match(x[1], '%d+$') + 1
    end
    some = some * 2
end
local log_epoch, log_end = position(pos, log, cursor, run)
return {e, text(q), text(from), entries, redis.call('HGETALL', clients),
        log_epoch .. '-' .. text(log_end), redis.call('HGET', key, 'x') or ''}
)lua";

constexpr std::string_view fetch_text = R"lua(
local e, q, from = position(pos, log, cursor, run)
if ARGV[8] == '1' or cursor[1] == '0' then from = tonumber(q) end
local entries, bytes = {}, 0
if tonumber(q) > from then
    local found = redis.call('XRANGE', log, '0-' .. text(from + 1), '+',
                             'COUNT', 500)
    for i, x in ipairs(found) do
        bytes = bytes + #x[2][2]
        if i > 1 and bytes > tonumber(ARGV[7]) then break end
        entries[i] = x
    end
end
return {e, text(q), text(from), entries}
)lua";

constexpr std::string_view describe_text = R"lua(
local m = redis.call('HMGET', KEYS[1], 'e', 'q')
local clients, messages, id = count(KEYS[3], ARGV[3]), 0, ''
if m[1] then
    id = m[1] .. '-' .. m[2]
    messages = math.min(redis.call('XLEN', KEYS[2]), tonumber(ARGV[2]))
end
if messages > 0 and ARGV[1] ~= '0' then
    local oldest = now() - ARGV[1]
    local low, high = m[2] - messages + 1, m[2] + 1
    while low < high do
        local at = '0-' .. text(math.floor((low + high) / 2))
        local x = redis.call('XRANGE', KEYS[2], at, at)[1]
        if x and tonumber(x[2][6]) >= oldest then
            high = math.floor((low + high) / 2)
        else
            low = math.floor((low + high) / 2) + 1
        end
    end
    messages = m[2] + 1 - low
end
return {id, messages, clients}
)lua";

constexpr std::string_view renew_text = R"lua(
local owner = redis.call('GET', KEYS[1])
if not owner then
    redis.call('SET', KEYS[1], ARGV[1])
    owner = ARGV[1]
end
owner = owner == ARGV[1]
if owner then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {owner and '1' or '0', text(now()), ARGV[3]}
)lua";

// A full Redis accepts PEXPIRE. One that refuses all writes refuses the script,
// also without a lease. A later renewal repeats what fails while Redis is full,
// or while the slot moves. `soon`: a host has not renewed its lease in time.
// If the list of inboxes was lost, all hosts are in it again after 6 seconds.
constexpr std::string_view lease_text = R"lua(
local hosts, lease, resources = KEYS[3], KEYS[4], KEYS[5]
local follows, tag, wrong = ARGV[7] ~= '0', string.sub(pos, 1, -4), {}
if follows then
    if redis.call('PEXPIRE', lease, ARGV[7]) == 0 then
        redis.call('SET', lease, '', 'PX', ARGV[7])
    end
    if redis.call('SISMEMBER', hosts, me) == 0 then
        redis.pcall('SADD', hosts, me)
    end
    for _, key in ipairs({pos, log, resources, tag .. 'p:' .. me}) do
        redis.call('PEXPIRE', key, day)
    end
elseif redis.call('PTTL', log) == -1 then
    redis.call('PEXPIRE', log, day)
end
redis.call('PEXPIRE', hosts, day)
for i = 10, #ARGV, 3 do
    local name, clients = ARGV[i], ARGV[i + 2]
    redis.pcall('PEXPIRE', tag .. 'm:' .. name, ARGV[i + 1])
    redis.pcall('PEXPIRE', tag .. 'h:' .. name, ARGV[i + 1])
    redis.pcall('PEXPIRE', tag .. 'c:' .. name, day)
    redis.pcall('PEXPIRE', tag .. 'u:' .. name, day)
    local known = redis.pcall('HGET', tag .. 'c:' .. name, me) or '0'
    if clients ~= '' and type(known) == 'string' and known ~= clients then
        wrong[#wrong + 1] = name
    elseif known ~= '0' and redis.call('SISMEMBER', resources, name) == 0 then
        redis.pcall('SADD', resources, name)
    end
end
local ended, soon = '', '0'
for _, host in ipairs(redis.call('SRANDMEMBER', hosts, 3)) do
    local left = redis.pcall('PTTL', string.sub(lease, 1, -#me - 1) .. host)
    if host ~= me and type(left) == 'number' and left < 6000 then
        soon = '1'
        if left == -2 then ended = host end
    end
end
local unread = 0
if KEYS[6] and ARGV[8] == '' then
    redis.call('HDEL', KEYS[6], me)
elseif KEYS[6] then
    if ARGV[9] == '1' and redis.call('EXISTS', KEYS[6]) == 0 then
        redis.pcall('SET', KEYS[6] .. ':lost', '', 'PX', 6000)
    end
    if redis.pcall('HGET', KEYS[6], me) ~= ARGV[8] then
        redis.pcall('HSET', KEYS[6], me, ARGV[8])
    end
    redis.call('PEXPIRE', KEYS[6], day)
    unread = redis.pcall('XLEN', KEYS[7])
    unread = type(unread) == 'number' and unread or 0
end
if not follows then return {'', ended, wrong, soon, 0} end
local e, q = position(pos, log, cursor, run)
return {e .. '-' .. text(q), ended, wrong, soon, unread}
)lua";

constexpr std::string_view purge_host_text = R"lua(
local hosts, host = KEYS[3], ARGV[7]
if redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
if purge_users(host, ARGV[8]) then return 1 end
local names = redis.call('SRANDMEMBER', KEYS[5], ARGV[9])
for _, name in ipairs(names) do
    redis.call('HDEL', ARGV[8] .. 'c:' .. name, host)
    post('c ' .. #name .. ' ' .. run .. ' ' .. host .. ' 0 1\n' .. name)
    redis.call('SREM', KEYS[5], name)
end
if #names == 0 then
    redis.call('SREM', hosts, host)
    if KEYS[6] then
        redis.call('HDEL', KEYS[6], host)
        redis.call('DEL', KEYS[7], KEYS[8])
    end
end
return #names
)lua";

constexpr std::string_view unregister_host_text = R"lua(
if KEYS[6] then
    redis.call('HDEL', KEYS[6], me)
    redis.call('DEL', KEYS[7], KEYS[8])
end
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[5], 1000)) do
    redis.call('HDEL', ARGV[7] .. 'c:' .. name, me)
    post('c ' .. #name .. ' ' .. run .. ' ' .. me .. ' 0 0\n' .. name)
    redis.call('SREM', KEYS[5], name)
end
if redis.call('EXISTS', KEYS[5]) == 0 then
    redis.call('DEL', KEYS[4])
    if redis.call('EXISTS', ARGV[7] .. 'p:' .. me) == 0 then
        redis.call('SREM', KEYS[3], me)
    end
end
return 1
)lua";

constexpr std::string_view release_id_prefix_text = R"lua(
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
)lua";

// The parts of each script, in the order of the enumeration.
using script_parts = std::array<std::string_view, 5>;

constexpr std::array<script_parts, script_count> sources{
    {{shard_text, count_text, publish_text},
     {shard_text, count_text, clients_text, notify_text},
     {shard_text, clients_text, sync_text},
     {shard_text, fetch_text},
     {count_text, describe_text},
     {renew_text},
     {shard_text, lease_text},
     {shard_text, user_text, purge_users_text, purge_host_text},
     {shard_text, unregister_host_text},
     {release_id_prefix_text},
     {keep_clients_text},
     {check_clients_text},
     {renew_clients_text},
     {find_clients_text},
     {take_clients_text},
     {inbox_text, send_direct_text},
     {inbox_text, read_inbox_text},
     {find_hosts_text},
     {shard_text, count_text, clients_text, user_text, set_users_text}}};

} // namespace

std::string script_text(script wanted, bool in_cluster)
{
    std::string text{in_cluster ? "local publish_command = 'SPUBLISH'"
                                : "local publish_command = 'PUBLISH'"};

    text.append(common_text);

    for (const std::string_view part :
         sources[static_cast<std::size_t>(wanted)]) {
        text.append(part);
    }

    return text;
}

} // namespace websocket::redis
