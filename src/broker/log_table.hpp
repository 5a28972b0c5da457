// The logs: found by name, made, and removed when nobody uses them.
#pragma once

#include "broker/blocks.hpp"
#include "broker/history_rules.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

#include <string_view>

namespace websocket::broker::detail {

// What a log is looked for by. The hash is made without the lock.
struct log_name {
    log_name(const zone &z, std::string_view name) noexcept
        : bytes{std::as_bytes(std::span(name))},
          hash{static_cast<std::uint32_t>(name_hash(z.head->key, bytes))}
    {}

    std::span<const std::byte> bytes;
    std::uint32_t hash;
};

// The log of that name; 0: there is none.
index find_log(const zone &z, const log_name &name) noexcept;

// The same, but makes it if there is room. It is in no list of unused ones
// until settle() puts it there.
index get_or_create_log(zone &z, const log_name &name,
                        std::uint64_t now) noexcept;

// How many blocks a log with a name of so many bytes has.
constexpr std::size_t log_blocks(std::size_t name_size) noexcept
{
    return 1 + blocks_for(sizeof(log_extension), name_size);
}

// Copies the name's bytes to `to`, as many as there is room for.
std::span<std::byte> copy_name(const zone &z, index at,
                               std::span<std::byte> to) noexcept;

// The epoch that the log's messages have for all outside of the zone.
inline std::uint64_t public_epoch(const log_record &log) noexcept
{
    return log.external_epoch != 0 ? log.external_epoch : log.epoch;
}

// The id of the log's last message.
inline message_id last_message(const log_record &log) noexcept
{
    return {public_epoch(log), log.last_sequence};
}

// The clients of the log in all hosts. Also without the lock.
std::uint32_t all_clients(const log_record &log) noexcept;

// Whether the log has all there is on the zone's link. Also without the lock.
inline bool is_synced(const zone &z, const log_record &log) noexcept
{
    const std::uint32_t link = load_relaxed(z.head->link_generation);

    return link != 0 && load_relaxed(log.synced_link) == link;
}

// What the history would have if nothing in it was too old.
std::uint64_t history_count(const log_record &log) noexcept;

// Whether the log has no entry.
inline bool is_empty(const log_record &log) noexcept
{
    return log.first_message == 0 && log.first_transient == 0;
}

// Puts a log that nobody uses (any more, or again) at the end of the list of
// unused ones; takes one that is used out of it.
void update_unused_list(zone &z, index at, std::uint64_t now) noexcept;

// Puts it there without a look at what uses it; for repair().
void list_as_unused(zone &z, index at) noexcept;

// Removes the log that has been unused for longest; there must be one.
void remove_unused(zone &z) noexcept;

inline limits limits_of(const log_record &log) noexcept
{
    return {log.history_messages, log.history_milliseconds};
}

// Changes how much history there is; what is too much goes with the next
// trim().
void limit_history(log_record &log, const limits &kept) noexcept;

// The same, by what is asked: see broker::ask_history. One who joins is
// remembered; else only if nobody is yet.
void ask_history(zone &z, index at, const history_request &asked,
                 bool joins) noexcept;

} // namespace websocket::broker::detail
