// What the scripts do.
#include "broker/redis_scripts.hpp"

namespace websocket::broker {

namespace {

// Numbers go through Lua's doubles: exact below 2^53, and written without an
// exponent. A host's own clients stay for a day where no host is left to take
// them out.

constexpr std::string_view publish_text = R"lua(
local function text(n) return string.format('%.0f', n) end
local t = redis.call('TIME')
local now = text(t[1] * 1000 + math.floor(t[2] / 1000))
local e = redis.call('HGET', KEYS[1], 'e')
if not e then
    e = now
    redis.call('HSET', KEYS[1], 'e', e, 'q', 0)
    redis.call('DEL', KEYS[2])
end
local clients = 0
if ARGV[9] == '1' then
    local all = redis.call('HGETALL', KEYS[3])
    for i = 1, #all, 2 do
        if all[i] ~= ARGV[11] then clients = clients + all[i + 1] end
    end
end
if ARGV[8] == '1' and tonumber(redis.call('GET', KEYS[4]) or '0') >=
        tonumber(ARGV[10]) then
    local known = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1000)
    for _, x in ipairs(known) do
        if x[2][8] == ARGV[4] then return {x[1], clients} end
    end
    return {e .. '-0', clients}
end
redis.call('SET', KEYS[4], ARGV[10], 'PX', 3600000)
local id = e .. '-' .. text(redis.call('HINCRBY', KEYS[1], 'q', 1))
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[6], id, 'k', ARGV[2],
           'f', ARGV[3], 't', now, 'u', ARGV[4], 'd', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PUBLISH', ARGV[1], 'm ' .. id .. ' ' .. ARGV[2] .. ' ' ..
           ARGV[3] .. ' ' .. now .. '\n' .. ARGV[5])
return {id, clients}
)lua";

constexpr std::string_view tell_text = R"lua(
if ARGV[3] ~= '' then
    if tonumber(ARGV[3]) > 0 then
        redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
        redis.call('SADD', KEYS[2], ARGV[4])
        redis.call('PEXPIRE', KEYS[1], 86400000)
        redis.call('PEXPIRE', KEYS[2], 86400000)
    else
        redis.call('HDEL', KEYS[1], ARGV[2])
        redis.call('SREM', KEYS[2], ARGV[4])
    end
    redis.call('PUBLISH', ARGV[1], 'c ' .. ARGV[2] .. ' ' .. ARGV[3] ..
               ' ' .. ARGV[5] .. '\n')
end
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[6]) end
local clients = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if all[i] ~= ARGV[2] then clients = clients + all[i + 1] end
end
return clients
)lua";

constexpr std::string_view sync_text = R"lua(
local function text(n) return string.format('%.0f', n) end
local m = redis.call('HMGET', KEYS[1], 'e', 'q')
local e, q = m[1], m[2]
if not e or (e == ARGV[5] and tonumber(q) < tonumber(ARGV[6])) then
    local t = redis.call('TIME')
    e = text(t[1] * 1000 + math.floor(t[2] / 1000))
    q = '0'
    redis.call('HSET', KEYS[1], 'e', e, 'q', q)
    redis.call('DEL', KEYS[2])
end
if (redis.call('HGET', KEYS[3], ARGV[2]) or '0') ~= ARGV[3] then
    if tonumber(ARGV[3]) > 0 then
        redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
        redis.call('SADD', KEYS[4], ARGV[4])
    else
        redis.call('HDEL', KEYS[3], ARGV[2])
        redis.call('SREM', KEYS[4], ARGV[4])
    end
    redis.call('PUBLISH', ARGV[1], 'c ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' 0\n')
end
redis.call('PEXPIRE', KEYS[1], ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
redis.call('PEXPIRE', KEYS[3], 86400000)
redis.call('PEXPIRE', KEYS[4], 86400000)
local from = 0
if e == ARGV[5] then from = tonumber(ARGV[6]) end
if q - from > tonumber(ARGV[7]) then from = q - ARGV[7] end
local entries, bytes = {}, 0
if tonumber(q) > from then
    local found = redis.call('XRANGE', KEYS[2], e .. '-' .. text(from + 1),
                             '+', 'COUNT', 100)
    for i, x in ipairs(found) do
        bytes = bytes + #(x[2][10] or '')
        if i > 1 and bytes > tonumber(ARGV[9]) then break end
        entries[i] = x
    end
end
return {e, q, text(from), entries, redis.call('HGETALL', KEYS[3])}
)lua";

constexpr std::string_view describe_text = R"lua(
local function text(n) return string.format('%.0f', n) end
local m = redis.call('HMGET', KEYS[1], 'e', 'q')
local clients, messages, id = 0, 0, ''
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
    if all[i] ~= ARGV[3] then clients = clients + all[i + 1] end
end
if m[1] then
    id = m[1] .. '-' .. m[2]
    messages = math.min(redis.call('XLEN', KEYS[2]), tonumber(ARGV[2]))
end
if messages > 0 and ARGV[1] ~= '0' then
    local t = redis.call('TIME')
    local oldest = t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[1]
    local young = 0
    for _, x in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-',
                                  'COUNT', text(messages))) do
        if tonumber(x[2][6]) < oldest then break end
        young = young + 1
    end
    messages = young
end
return {id, messages, clients}
)lua";

constexpr std::string_view renew_text = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(n) return string.format('%.0f', n) end
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], text(now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local own = redis.call('GET', KEYS[2]) == ARGV[1]
if own then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
redis.call('PUBLISH', KEYS[3], 'b')
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf',
                         '(' .. text(now), 'LIMIT', 0, 1)
return {known and '1' or '0', own and '1' or '0', ended[1] or ''}
)lua";

constexpr std::string_view bury_text = R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) >= now then return 0 end
local names = redis.call('SPOP', KEYS[2], ARGV[3])
for _, name in ipairs(names) do
    redis.call('HDEL', ARGV[2] .. 'c:' .. name, ARGV[1])
    redis.call('PUBLISH', ARGV[2] .. 'n:' .. name, 'c ' .. ARGV[1] .. ' 0 1\n')
end
if #names == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return #names
)lua";

constexpr std::string_view leave_text = R"lua(
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    redis.call('HDEL', ARGV[2] .. 'c:' .. name, ARGV[1])
    redis.call('PUBLISH', ARGV[2] .. 'n:' .. name, 'c ' .. ARGV[1] .. ' 0 0\n')
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
return 1
)lua";

constexpr std::array<std::string_view, redis_script_count> texts{
    publish_text, tell_text, sync_text, describe_text,
    renew_text,   bury_text, leave_text};

} // namespace

std::string_view text_of(redis_script wanted) noexcept
{
    return texts[static_cast<std::size_t>(wanted)];
}

} // namespace websocket::broker
