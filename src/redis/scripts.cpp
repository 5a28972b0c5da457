// The scripts, in Lua.
#include "redis/scripts.hpp"

namespace websocket::redis {

namespace {

// Numbers pass through Lua's doubles: exact below 2^53, and formatted without
// an exponent. Client counts of a host expire after a day if no other host is
// left to remove them.

// The beginning of all scripts.
//
// position() returns the epoch and last sequence of a resource, and the
// sequence up to which a host has the same messages. `host` has the epoch, last
// sequence and run of the host; `current` is the present run.
//
// Redis has lost messages if a host has a later epoch, or more messages than
// there were when its run ended. Other hosts may have them too, so all messages
// are renumbered in a new epoch.
//
// If Redis has also lost the host's epoch or run, both have the same messages
// up to where they diverged: where the last run of an epoch ended that is not
// later.
constexpr std::string_view common_text = R"lua(
local function text(n) return string.format('%.0f', n) end
local function now()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function renumber(stream, epoch)
    for i = 1, redis.call('XLEN', stream) do
        local x = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
        redis.call('XADD', stream, epoch .. string.match(x[1], '%-%d+'),
                   unpack(x[2]))
        redis.call('XDEL', stream, x[1])
    end
end
local function diverged_at(past, epoch)
    for e, q in string.gmatch(past, '(%d+):%d+:(%d+) ') do
        if tonumber(e) <= tonumber(epoch) then return q end
    end
    return 0
end
local function position(key, stream, host, current)
    local m = redis.call('HMGET', key, 'e', 'q', 'r', 'p')
    local e, q, run, past = m[1], m[2], m[3] or '0', m[4] or ''
    if not e then
        e = text(now())
        redis.call('HSET', key, 'e', e, 'q', 0, 'r', current, 'p', '')
        redis.call('DEL', stream)
        return e, 0, 0
    end
    local known = host[1] == e
    local same = q
    if not known or (host[3] ~= '0' and host[3] ~= run) then
        same = string.match(' ' .. past, ' ' .. host[1] .. ':' .. host[3] ..
                            ':(%d+) ')
    end
    local has, diverged = tonumber(host[2]), not same
    local ahead = tonumber(host[1]) > tonumber(e)
    local lost = ahead or known and (diverged or has > tonumber(same))
    local ended = e .. ':' .. run .. ':' .. q .. ' ' .. past
    if current == '0' then current = run end
    if diverged then
        same = diverged_at((current ~= run or run == '0') and ended or past,
                           host[1])
    end
    if lost or current ~= run then
        past = ended
        if lost and diverged then
            past = host[1] .. ':' .. host[3] .. ':' .. same .. ' ' .. past
        end
        if lost then
            e = text(math.max(now(), e + 1, host[1] + 1))
            renumber(stream, e)
        end
        redis.call('HSET', key, 'e', e, 'r', current, 'p',
                   string.sub(past, 1, 512))
    end
    return e, q, math.min(has, same)
end
local function count(key, host)
    local clients, all = 0, redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        if all[i] ~= host then clients = clients + all[i + 1] end
    end
    return clients
end
local function set_clients(clients, key, host, resources, name, hosts)
    if tonumber(clients) > 0 then
        redis.call('HSET', key, host, clients)
        redis.call('SADD', resources, name)
        redis.call('PEXPIRE', key, 86400000)
        redis.call('PEXPIRE', resources, 86400000)
        redis.call('ZADD', hosts, 'NX', text(now() + 10000), host)
    else
        redis.call('HDEL', key, host)
        redis.call('SREM', resources, name)
    end
end
)lua";

constexpr std::string_view publish_text = R"lua(
local clients = ARGV[7] == '1' and count(KEYS[3], ARGV[9]) or 0
local known = redis.call('ZRANGEBYSCORE', KEYS[4], ARGV[8], ARGV[8])[1]
if known then return {string.match(known, '%S+'), clients} end
local e = position(KEYS[1], KEYS[2], {ARGV[10], ARGV[11], ARGV[12]}, ARGV[13])
local time = text(now())
local id = e .. '-' .. text(redis.call('HINCRBY', KEYS[1], 'q', 1))
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[5], id, 'k', ARGV[2],
           'f', ARGV[3], 't', time, 'd', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('ZADD', KEYS[4], ARGV[8], id .. ' ' .. ARGV[8])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(ARGV[8] - 8192))
redis.call('PEXPIRE', KEYS[4], 600000)
redis.call('PUBLISH', ARGV[1], 'm ' .. id .. ' ' .. ARGV[2] .. ' ' ..
           ARGV[3] .. ' ' .. time .. '\n' .. ARGV[4])
return {id, clients}
)lua";

constexpr std::string_view notify_text = R"lua(
if ARGV[3] ~= '' then
    set_clients(ARGV[3], KEYS[1], ARGV[2], KEYS[2], ARGV[4], KEYS[3])
    redis.call('PUBLISH', ARGV[1], 'c ' .. ARGV[2] .. ' ' .. ARGV[3] ..
               ' ' .. ARGV[5] .. '\n')
end
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[6]) end
return count(KEYS[1], ARGV[2])
)lua";

constexpr std::string_view sync_text = R"lua(
local e, q, from = position(KEYS[1], KEYS[2], {ARGV[5], ARGV[6], ARGV[10]},
                            ARGV[11])
if (redis.call('HGET', KEYS[3], ARGV[2]) or '0') ~= ARGV[3] then
    set_clients(ARGV[3], KEYS[3], ARGV[2], KEYS[4], ARGV[4], KEYS[5])
    redis.call('PUBLISH', ARGV[1], 'c ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' 0\n')
end
redis.call('PEXPIRE', KEYS[1], ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
redis.call('PEXPIRE', KEYS[3], 86400000)
redis.call('PEXPIRE', KEYS[4], 86400000)
if q - from > tonumber(ARGV[7]) then from = q - ARGV[7] end
local entries, bytes = {}, 0
if tonumber(q) > from then
    local found = redis.call('XRANGE', KEYS[2], e .. '-' .. text(from + 1),
                             '+', 'COUNT', 100)
    for i, x in ipairs(found) do
        bytes = bytes + #(x[2][8] or '')
        if i > 1 and bytes > tonumber(ARGV[9]) then break end
        entries[i] = x
    end
end
return {e, text(q), text(from), entries, redis.call('HGETALL', KEYS[3])}
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
        local at = m[1] .. '-' .. text(math.floor((low + high) / 2))
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
local time = now()
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], text(time + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('PEXPIRE', KEYS[4], 86400000)
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local owner = redis.call('GET', KEYS[2]) == ARGV[1]
if owner then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
redis.call('PUBLISH', KEYS[3], 'b')
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf',
                         '(' .. text(time), 'LIMIT', 0, 1)
return {known and '1' or '0', owner and '1' or '0', ended[1] or ''}
)lua";

constexpr std::string_view purge_host_text = R"lua(
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) >= now() then return 0 end
local names = redis.call('SPOP', KEYS[2], ARGV[3])
for _, name in ipairs(names) do
    redis.call('HDEL', ARGV[2] .. 'c:' .. name, ARGV[1])
    redis.call('PUBLISH', ARGV[2] .. 'n:' .. name, 'c ' .. ARGV[1] .. ' 0 1\n')
end
if #names == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return #names
)lua";

constexpr std::string_view unregister_host_text = R"lua(
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    redis.call('HDEL', ARGV[2] .. 'c:' .. name, ARGV[1])
    redis.call('PUBLISH', ARGV[2] .. 'n:' .. name, 'c ' .. ARGV[1] .. ' 0 0\n')
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
return 1
)lua";

constexpr std::array<std::string_view, script_count> texts{
    publish_text, notify_text,     sync_text,           describe_text,
    renew_text,   purge_host_text, unregister_host_text};

} // namespace

std::string script_text(script wanted)
{
    return std::string{common_text}.append(
        texts[static_cast<std::size_t>(wanted)]);
}

} // namespace websocket::redis
