// What the scripts do.
#include "broker/redis_scripts.hpp"

namespace websocket::broker {

namespace {

// Numbers go through Lua's doubles: exact below 2^53, and written without an
// exponent. A host's own clients stay for a day where no host is left to take
// them out.

constexpr std::string_view publish_text = R"lua(
local function text(n) return string.format('%.0f', n) end
local clients = 0
if ARGV[7] == '1' then
    local all = redis.call('HGETALL', KEYS[3])
    for i = 1, #all, 2 do
        if all[i] ~= ARGV[9] then clients = clients + all[i + 1] end
    end
end
local known = redis.call('HGET', KEYS[4], ARGV[8])
if known then return {known, clients} end
local t = redis.call('TIME')
local now = text(t[1] * 1000 + math.floor(t[2] / 1000))
local m = redis.call('HMGET', KEYS[1], 'e', 'q')
local e = m[1]
if not e or (e == ARGV[10] and tonumber(m[2]) < tonumber(ARGV[11])) then
    e = now
    redis.call('HSET', KEYS[1], 'e', e, 'q', 0)
    redis.call('DEL', KEYS[2])
end
local id = e .. '-' .. text(redis.call('HINCRBY', KEYS[1], 'q', 1))
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[5], id, 'k', ARGV[2],
           'f', ARGV[3], 't', now, 'd', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('HSET', KEYS[4], ARGV[8], id)
redis.call('HDEL', KEYS[4], text(ARGV[8] - 8192))
redis.call('PEXPIRE', KEYS[4], 600000)
redis.call('PUBLISH', ARGV[1], 'm ' .. id .. ' ' .. ARGV[2] .. ' ' ..
           ARGV[3] .. ' ' .. now .. '\n' .. ARGV[4])
return {id, clients}
)lua";

constexpr std::string_view tell_text = R"lua(
if ARGV[3] ~= '' then
    if tonumber(ARGV[3]) > 0 then
        redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
        redis.call('SADD', KEYS[2], ARGV[4])
        redis.call('PEXPIRE', KEYS[1], 86400000)
        redis.call('PEXPIRE', KEYS[2], 86400000)
        local t = redis.call('TIME')
        redis.call('ZADD', KEYS[3], 'NX', string.format('%.0f',
                   t[1] * 1000 + math.floor(t[2] / 1000) + 10000), ARGV[2])
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
        local t = redis.call('TIME')
        redis.call('ZADD', KEYS[5], 'NX', text(t[1] * 1000 +
                   math.floor(t[2] / 1000) + 10000), ARGV[2])
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
        bytes = bytes + #(x[2][8] or '')
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
