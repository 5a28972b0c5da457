// The scripts, in Lua.
#include "redis/scripts.hpp"

namespace websocket::redis {

namespace {

// Numbers pass through Lua's doubles: exact below 2^53. text() formats them
// without an exponent, as redis.call() does. Client counts of a host expire
// after a day if no other host is left to remove them.

// The beginning of all scripts.
//
// position() returns the epoch and last sequence of a resource or of a log, and
// the sequence up to which a host has the same entries. `host` has the epoch,
// last sequence and run of the host; `current` is the present run.
//
// Redis has lost entries if a host has a later epoch, or more entries than
// there were when its run ended. Other hosts may have them too, so all entries
// are renumbered in a new epoch.
//
// The keys of a resource without messages and clients are removed. Its epoch
// continues if continues() says that the host has missed nothing.
//
// If Redis has also lost the host's epoch or run, both have the same entries up
// to the point at which they diverged: the end of the last run of an epoch that
// is not later.
constexpr std::string_view common_text = R"lua(
local day, hour = 86400000, 3600000
local function text(n) return string.format('%.0f', n) end
local function now()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function position(key, stream, host, current, continues)
    local m = redis.call('HMGET', key, 'e', 'q', 'r', 'b', 'h', 'l', 't')
    local e, q, run = m[1], m[2], m[3] or '0'
    if e == host[1] and run == host[3] and run == current and
        tonumber(host[2]) <= tonumber(q) then
        return e, q, tonumber(host[2]), m
    end
    if not e then
        e = host[2] == '0' and host[1] ~= '0' and continues and continues() and
            host[1] or text(now())
        redis.call('HSET', key, 'e', e, 'q', 0, 'r', current, 'p', '')
        redis.call('DEL', stream)
        return e, 0, 0, m
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
    local past = redis.call('HGET', key, 'p') or ''
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
    return e, q, math.min(has, same), m
end
)lua";

// The beginning of the scripts that use a shard's log. post() appends an entry
// to it and publishes it. The oldest entries are removed beyond 2 MiB, each
// counted with 64 bytes more than its size. keep() renews the expiry of a
// resource if that was done more than half an hour ago, or grows.
constexpr std::string_view shard_text = R"lua(
local pos, log, channel, run, me = KEYS[1], KEYS[2], ARGV[1], ARGV[5], ARGV[6]
local cursor, max_bytes = {ARGV[2], ARGV[3], ARGV[4]}, 2097152
local function intact()
    local e, _, same = position(pos, log, cursor, run)
    return e == cursor[1] and same == tonumber(cursor[2])
end
local function trim(bytes)
    local removed, left, at, some = 0, redis.call('XLEN', log), '-', 1
    while bytes > max_bytes and removed < 100 and removed < left - 1 do
        local oldest = redis.call('XRANGE', log, at, '+', 'COUNT', some + 1)
        for i = 1, #oldest - 1 do
            if bytes <= max_bytes then break end
            bytes, removed = bytes - #oldest[i][2][2] - 64, removed + 1
        end
        at, some = oldest[#oldest][1], some * 2
    end
    redis.call('XTRIM', log, 'MAXLEN', left - removed)
    return bytes
end
local function post(entry)
    local e, q, _, m = position(pos, log, cursor, run)
    local last, bytes = text(q + 1), (m[4] or 0) + #entry + 64
    local id = e .. '-' .. last
    redis.call('XADD', log, id, 'e', entry)
    if bytes > max_bytes + 65536 then bytes = trim(bytes) end
    redis.call('HSET', pos, 'q', last, 'b', bytes)
    if q % 32 == 0 then
        redis.call('PEXPIRE', pos, day)
        redis.call('PEXPIRE', log, day)
    end
    redis.call(publish_command, channel, id .. ' ' .. entry)
    return id
end
local function keep(key, stream, m, messages, lifetime, time)
    local kept = math.max(messages, m[5] or 0)
    local left = math.max(lifetime, m[6] or 0)
    if kept ~= tonumber(m[5]) or left ~= tonumber(m[6]) or m[2] == '0' or
        time - (m[7] or 0) > hour / 2 then
        redis.call('HSET', key, 'h', kept, 'l', left, 't', time)
        redis.call('PEXPIRE', key, left)
        redis.call('PEXPIRE', stream, left)
    end
end
)lua";

// The clients of a resource on other hosts.
constexpr std::string_view count_text = R"lua(
local function count(key, host)
    local clients, all = 0, redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        if all[i] ~= host then clients = clients + all[i + 1] end
    end
    return clients
end
)lua";

// Sets and posts the clients of a host.
constexpr std::string_view clients_text = R"lua(
local function post_clients(key, host, clients, name, lost, resources, hosts,
                            lease)
    if tonumber(clients) > 0 then
        redis.call('HSET', key, host, clients)
        redis.call('SADD', resources, name)
        redis.call('PEXPIRE', key, day)
        redis.call('PEXPIRE', resources, day)
        redis.call('SADD', hosts, host)
        redis.call('PEXPIRE', hosts, day)
        redis.call('SET', lease, '', 'PX', 10000, 'NX')
    else
        redis.call('HDEL', key, host)
        redis.call('SREM', resources, name)
    end
    post('c ' .. #name .. ' ' .. run .. ' ' .. host .. ' ' .. clients .. ' ' .. lost ..
         '\n' .. name)
end
)lua";

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
local kept = math.max(ARGV[11], m[5] or 0)
redis.call('HSET', key, 'q', last)
time = text(time)
if kept > 0 then
    redis.call('XADD', history, 'MAXLEN', kept, id, 'k', ARGV[9],
               'f', ARGV[10], 't', time, 'd', payload)
end
keep(key, history, m, kept, ARGV[12], time)
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
    if clients == '0' and redis.call('EXISTS', key) == 0 and
        redis.call('HGET', KEYS[7], 'q') == '0' then
        redis.call('DEL', KEYS[7])
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
keep(key, history, m, ARGV[12], ARGV[13], now())
redis.call('PEXPIRE', clients, day)
if q - from > tonumber(ARGV[12]) then from = q - ARGV[12] end
local entries, bytes = {}, 0
if tonumber(q) > from then
    local at, some, full = from + 1, 1, false
    while at <= tonumber(q) and #entries < 100 and not full do
        local found = redis.call('XRANGE', history, e .. '-' .. text(at),
                                 '+', 'COUNT', some)
        if #found == 0 then break end
        for _, x in ipairs(found) do
            bytes = bytes + #(x[2][8] or '')
            full = #entries > 0 and bytes > tonumber(ARGV[14])
            if full then break end
            entries[#entries + 1] = x
            at = string.match(x[1], '%-(%d+)') + 1
        end
        some = some * 2
    end
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
    local found = redis.call('XRANGE', log, e .. '-' .. text(from + 1), '+',
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
local owner = redis.call('GET', KEYS[1])
if not owner then
    redis.call('SET', KEYS[1], ARGV[1])
    owner = ARGV[1]
end
owner = owner == ARGV[1]
if owner then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {owner and '1' or '0', text(now()), ARGV[3]}
)lua";

// A full Redis accepts PEXPIRE. If it fails while the slot moves, a later
// renewal repeats it.
constexpr std::string_view lease_text = R"lua(
local hosts, lease = KEYS[3], KEYS[4]
if redis.call('PEXPIRE', lease, ARGV[7]) == 0 then
    redis.call('SET', lease, '', 'PX', ARGV[7])
    redis.call('SADD', hosts, me)
end
for _, key in ipairs({pos, log, hosts, KEYS[5]}) do
    redis.call('PEXPIRE', key, day)
end
local tag = string.sub(pos, 1, -4)
for i = 8, #ARGV, 2 do
    redis.pcall('PEXPIRE', tag .. 'm:' .. ARGV[i], ARGV[i + 1])
    redis.pcall('PEXPIRE', tag .. 's:' .. ARGV[i], ARGV[i + 1])
    redis.pcall('PEXPIRE', tag .. 'c:' .. ARGV[i], day)
end
local ended = ''
for _, host in ipairs(redis.call('SRANDMEMBER', hosts, 3)) do
    local other = string.sub(lease, 1, -#me - 1) .. host
    if redis.pcall('EXISTS', other) == 0 then ended = host end
end
local e, q = position(pos, log, cursor, run)
return {e .. '-' .. text(q), ended}
)lua";

constexpr std::string_view purge_host_text = R"lua(
local hosts, host = KEYS[3], ARGV[7]
if redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
local names = redis.call('SRANDMEMBER', KEYS[5], ARGV[9])
for _, name in ipairs(names) do
    redis.call('HDEL', ARGV[8] .. 'c:' .. name, host)
    post('c ' .. #name .. ' ' .. run .. ' ' .. host .. ' 0 1\n' .. name)
    redis.call('SREM', KEYS[5], name)
end
if #names == 0 then redis.call('SREM', hosts, host) end
return #names
)lua";

constexpr std::string_view unregister_host_text = R"lua(
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[5], 1000)) do
    redis.call('HDEL', ARGV[7] .. 'c:' .. name, me)
    post('c ' .. #name .. ' ' .. run .. ' ' .. me .. ' 0 0\n' .. name)
    redis.call('SREM', KEYS[5], name)
end
if redis.call('EXISTS', KEYS[5]) == 0 then
    redis.call('DEL', KEYS[4])
    redis.call('SREM', KEYS[3], me)
end
return 1
)lua";

constexpr std::string_view release_id_prefix_text = R"lua(
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
)lua";

// The parts of each script, in the order of the enumeration.
using parts = std::array<std::string_view, 4>;

constexpr std::array<parts, script_count> sources{
    {{shard_text, count_text, publish_text},
     {shard_text, count_text, clients_text, notify_text},
     {shard_text, clients_text, sync_text},
     {shard_text, fetch_text},
     {count_text, describe_text},
     {renew_text},
     {shard_text, lease_text},
     {shard_text, purge_host_text},
     {shard_text, unregister_host_text},
     {release_id_prefix_text}}};

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
