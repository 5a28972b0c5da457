// Finds and creates logs by name, and removes unused ones.
#pragma once

#include "broker/blocks.hpp"
#include "broker/history_rules.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

#include <string_view>

namespace websocket::broker::detail {

// The key for finding a log. The hash is computed without the lock.
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

// The same, but creates it if there is memory. A new log is not in the list of
// unused ones until update_unused_list() puts it there.
index get_or_create_log(zone &z, const log_name &name,
                        std::uint64_t now) noexcept;

// The number of blocks of a log whose name has so many bytes.
constexpr std::size_t log_blocks(std::size_t name_size) noexcept
{
    return 1 + blocks_for(sizeof(log_extension), name_size);
}

// Copies the name to `to`, as many bytes as fit.
std::span<std::byte> copy_name(const zone &z, index at,
                               std::span<std::byte> to) noexcept;

// The epoch of the log's messages as all outside of the zone see it.
inline std::uint64_t public_epoch(const log_record &log) noexcept
{
    return log.external_epoch != 0 ? log.external_epoch : log.epoch;
}

// The id of the log's last message.
inline message_id last_message(const log_record &log) noexcept
{
    return {public_epoch(log), log.last_sequence};
}

// The clients of the log on all hosts. Also without the lock.
std::uint32_t all_clients(const log_record &log) noexcept;

// Whether the log is synchronized over the present link. Also without the lock.
inline bool is_synced(const zone &z, const log_record &log) noexcept
{
    const std::uint32_t link = load_relaxed(z.head->link_generation);

    return link != 0 && load_relaxed(log.synced_link) == link;
}

// The number of messages in the history, regardless of their age.
std::uint64_t history_count(const log_record &log) noexcept;

inline bool is_empty(const log_record &log) noexcept
{
    return log.first_message == 0 && log.first_transient == 0;
}

// Puts an unused log at the end of the list of unused ones; takes a used one
// out of it.
void update_unused_list(zone &z, index at, std::uint64_t now) noexcept;

// Puts the log there without checking that it is unused; for repair().
void list_as_unused(zone &z, index at) noexcept;

// Removes the log that has been unused for longest. The list must not be empty.
void remove_unused(zone &z) noexcept;

inline limits limits_of(const log_record &log) noexcept
{
    return {log.history_messages, log.history_milliseconds};
}

// Sets the limits of the history. The next trim() removes what exceeds them.
void limit_history(log_record &log, const limits &kept) noexcept;

// The same by request: see broker::ask_history. The source of a subscriber
// (`joins`) is remembered; that of others only if the log has none yet.
void ask_history(zone &z, index at, const history_request &asked,
                 bool joins) noexcept;

} // namespace websocket::broker::detail
