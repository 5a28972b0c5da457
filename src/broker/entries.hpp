// The entries: put at the end of their log, removed when nobody wants them or
// when room is needed.
#pragma once

#include "broker/zone.hpp"

namespace websocket::broker::detail {

// How many entries an operation removes at most beyond those it has to, so
// that it does not hold the lock for long.
constexpr std::size_t few = 16;

// Puts an entry whose record and payload are written at the end of its log.
void link_entry(zone &z, index at) noexcept;

// The derived part of it, for repair().
void list_entry(zone &z, index at) noexcept;

// Whether the log's first entry is one of those its history is to keep.
// Needs an entry.
bool history_wants_first(const zone &z, const log_record &log,
                         std::uint64_t now) noexcept;

// Whether an entry is, by age, to be kept.
bool young_enough(const log_record &log, const entry_record &entry,
                  std::uint64_t now) noexcept;

// Removes what all have passed and history does not want, `budget` entries at
// most; returns how many.
std::size_t trim(zone &z, index log, std::uint64_t now,
                 std::size_t budget) noexcept;

// Removes the log's oldest entries, `budget` of them at most, whoever wants
// them. Those who had not read them will see that they lost some. True: the
// log has none left.
bool clear(zone &z, index log, std::size_t budget) noexcept;

// Has everybody who is subscribed to the log see that something is missing
// behind what it has. To be announced.
void make_hole(log_record &log) noexcept;

// Sees to it that so many blocks are free: removes unused logs, then the
// oldest entries. False: they never will be.
bool make_room(zone &z, std::size_t blocks, std::uint64_t now) noexcept;

} // namespace websocket::broker::detail
