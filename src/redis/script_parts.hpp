// The parts that scripts share, in Lua.
#pragma once

#include <string_view>

namespace websocket::redis {

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
// there were when its run ended. Other hosts may have them too, so a new epoch
// begins for all entries: their ids in the stream have no epoch.
//
// The keys of a resource without messages and clients expire after a second: a
// host whose client has just joined announces it within that time. Its epoch
// continues if continues() says that the host has missed nothing: its cursor in
// the log is right, and the log's epoch is older. For that, a new epoch of a
// resource is later than one of a log of the same millisecond, and one that
// begins after a loss is the latest.
//
// If Redis has also lost the host's epoch or run, both have the same entries up
// to the point at which they diverged: the end of the last run of an epoch that
// is not later.
inline constexpr std::string_view common_text = R"lua(
local day, hour = 86400000, 3600000
local function text(n) return string.format('%.0f', n) end
local function now()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function position(key, stream, host, current, continues)
    local m = redis.call('HMGET', key, 'e', 'q', 'r', 'b', 'h', 'l', 't', 'y')
    local e, q, run = m[1], m[2], m[3] or '0'
    if e == host[1] and run == host[3] and run == current and
        tonumber(host[2]) <= tonumber(q) then
        return e, q, tonumber(host[2]), m
    end
    if not e then
        local began = text(now() + (continues and 1 or 0))
        e = host[2] == '0' and continues and continues(host[1]) and host[1] or
            began
        redis.call('HSET', key, 'e', e, 'q', 0, 'r', current, 'p', '')
        redis.call('DEL', stream)
        return e, 0, 0, m
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
        if lost then e = text(math.max(now() + 2, e + 1, host[1] + 1)) end
        redis.call('HSET', key, 'e', e, 'r', current, 'p',
                   string.sub(past, 1, 512))
    end
    return e, q, math.min(has, same), m
end
local function limit_bytes(key, stream, bytes, size, most, last)
    local part, marks = most / 32, {}
    local before = math.floor(bytes / part)
    local after = math.floor((bytes + size) / part)
    if after == before then return end
    for i = math.max(before, after - 64) + 1, after do
        marks[#marks + 1] = 'm' .. i % 64
        marks[#marks + 1] = i .. ' ' .. last
    end
    redis.call('HSET', key, unpack(marks))
    local mark = redis.call('HGET', key, 'm' .. (after - 32) % 64) or ''
    local first = string.match(mark, '^' .. after - 32 .. ' (%d+)')
    if first then redis.call('XTRIM', stream, 'MAXLEN', last - first + 1) end
end
)lua";

// The beginning of the scripts that use a shard's log. post() appends an entry
// to it and publishes it. The oldest entries are removed beyond 2 MiB, each
// counted with 64 bytes more than its size. keep() renews the expiry of a
// resource if that was done more than half an hour ago, or grows.
inline constexpr std::string_view shard_text = R"lua(
local pos, log, channel, run, me = KEYS[1], KEYS[2], ARGV[1], ARGV[5], ARGV[6]
local cursor, max_bytes = {ARGV[2], ARGV[3], ARGV[4]}, 2097152
local function intact(epoch)
    local e, _, same = position(pos, log, cursor, run)
    return e == cursor[1] and same == tonumber(cursor[2]) and
        tonumber(epoch) > tonumber(e)
end
local function post(entry)
    local e, q, _, m = position(pos, log, cursor, run)
    local last, bytes, size = text(q + 1), m[4] or 0, #entry + 64
    local id = e .. '-' .. last
    redis.call('XADD', log, '0-' .. last, 'e', entry)
    limit_bytes(pos, log, bytes, size, max_bytes, last)
    redis.call('HSET', pos, 'q', last, 'b', bytes + size)
    if q % 32 == 0 then
        redis.call('PEXPIRE', pos, day)
        redis.call('PEXPIRE', log, day)
    end
    redis.call(publish_command, channel, id .. ' ' .. entry)
    return id
end
local function keep(key, stream, m, messages, bytes, lifetime, time)
    local kept = math.max(messages, m[5] or 0)
    local left = math.max(lifetime, m[6] or 0)
    local most = math.max(bytes, m[8] or 0)
    if kept ~= tonumber(m[5]) or left ~= tonumber(m[6]) or
        most ~= tonumber(m[8]) or m[2] == '0' or
        time - (m[7] or 0) > hour / 2 then
        redis.call('HSET', key, 'h', kept, 'l', left, 't', time, 'y', most)
        redis.call('PEXPIRE', key, left)
        redis.call('PEXPIRE', stream, left)
    end
end
)lua";

// The clients of a resource on other hosts.
inline constexpr std::string_view count_text = R"lua(
local function count(key, host)
    local clients, all = 0, redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        if all[i] ~= host then clients = clients + all[i + 1] end
    end
    return clients
end
)lua";

// Sets and posts the clients of a host.
inline constexpr std::string_view clients_text = R"lua(
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

} // namespace websocket::redis
