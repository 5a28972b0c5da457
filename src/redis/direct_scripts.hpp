// The scripts for messages to single clients and users, in Lua.
#pragma once

#include <string_view>

namespace websocket::redis {

// Appends an entry to the inbox of a host, and wakes its leader. False: the
// inbox has 4 MiB of entries, each counted with 64 bytes more than its size.
// An inbox that nobody reads expires after a minute.
inline constexpr std::string_view inbox_text = R"lua(
local function post_to(tag, host, entry, checked)
    local inbox, bytes = tag .. 'in:' .. host, tag .. 'ib:' .. host
    local used, size = tonumber(redis.call('GET', bytes) or 0), #entry + 64
    if used > 0 and used + size > 4194304 then return false end
    if checked then return true end
    redis.call('XADD', inbox, '*', 'e', entry)
    redis.call('SET', bytes, text(used + size), 'PX', 60000)
    redis.call('PEXPIRE', inbox, 60000)
    redis.call(publish_command, inbox, '')
    return true
end
)lua";

// Returns whether an inbox is full, or `2` if Redis has lost the list of hosts
// and not all of them need be in it again, and the hosts that get the entry.
// A list that is missing was lost if this host has been in it.
inline constexpr std::string_view send_direct_text = R"lua(
local all, me, prefix, entry, tag = redis.call('HGETALL', KEYS[1]), ARGV[1],
    ARGV[2], ARGV[3], ARGV[4]
local hosts, full = {}, 0
for i = 1, #all, 2 do
    if all[i] ~= me and (prefix == '' or prefix == all[i + 1]) then
        hosts[#hosts + 1] = all[i]
    end
end
local lost = redis.call('EXISTS', KEYS[1] .. ':lost') == 1 or
    (#all == 0 and ARGV[6] == '1')
if lost and (prefix == '' and ARGV[5] == '1' or #hosts == 0) then
    return {'2'}
end
if ARGV[5] == '1' then
    for _, host in ipairs(hosts) do
        if not post_to(tag, host, entry, true) then return {'1'} end
    end
end
local reply = {'0'}
for _, host in ipairs(hosts) do
    if post_to(tag, host, entry) then
        reply[#reply + 1] = host
    else
        reply[1] = '1'
    end
end
if lost and prefix == '' then reply[1] = '2' end
return reply
)lua";

// Repeated calls with the same arguments remove nothing more. The stream stays
// when it is empty, so that no id is given twice.
inline constexpr std::string_view read_inbox_text = R"lua(
local inbox, bytes, known, tag, done = KEYS[1], KEYS[2], KEYS[3], ARGV[1],
    tonumber(ARGV[3])
local freed = 0
for i = 4, 2 + 2 * done, 2 do
    freed = freed + redis.call('XDEL', inbox, ARGV[i]) * (ARGV[i + 1] + 64)
end
for i = 4 + 2 * done, #ARGV, 2 do
    if redis.call('HEXISTS', known, ARGV[i]) == 1 then
        post_to(tag, ARGV[i], ARGV[i + 1])
    end
end
local entries, size, at, some, full = {}, 0, '-', 1, false
while not full do
    local found = redis.call('XRANGE', inbox, at, '+', 'COUNT', some)
    for _, x in ipairs(found) do
        size = size + #x[2][2]
        full = #entries == 128 or (#entries > 0 and size > tonumber(ARGV[2]))
        if full then break end
        entries[#entries + 1] = {x[1], x[2][2]}
        local time, number = string.match(x[1], '(%d+)-(%d+)')
        at = time .. '-' .. text(number + 1)
    end
    if #found < some then break end
    some = some * 4
end
if #entries == 0 then
    redis.call('DEL', bytes)
elseif freed > 0 and redis.call('EXISTS', bytes) == 1 then
    redis.call('DECRBY', bytes, freed)
end
return entries
)lua";

// Also removes hosts that nobody else would remove.
inline constexpr std::string_view find_hosts_text = R"lua(
local inboxes, hosts, found = KEYS[1], KEYS[2], {}
for i, host in ipairs(ARGV) do
    if redis.call('EXISTS', KEYS[i + 2]) == 0 then
        if redis.call('SISMEMBER', hosts, host) == 0 then
            redis.call('HDEL', inboxes, host)
        end
    elseif redis.call('HEXISTS', inboxes, host) == 1 then
        found[#found + 1] = host
    end
end
return found
)lua";

} // namespace websocket::redis
