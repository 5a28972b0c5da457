// The lists of notes: one for each slot, and that of the orphans.
#pragma once

#include "broker/zone.hpp"

#include <limits>

namespace websocket::broker::detail {

// The owner of the orphans.
constexpr std::uint32_t no_slot = std::numeric_limits<std::uint32_t>::max();

// The size of a note in blocks, with its state.
std::size_t note_blocks(const zone &z, const note_record &note) noexcept;

// Makes a written note the first of the slot's list.
void link_note(zone &z, index at, std::uint32_t slot) noexcept;

// Takes the note out of its list and frees it.
void free_note(zone &z, index at) noexcept;

// Moves a note to the list of a slot, or of the orphans.
void move_note(zone &z, index at, std::uint32_t to) noexcept;

// For repair(): marks all notes, and rebuilds what is derived.
void repair_notes(zone &z) noexcept;

} // namespace websocket::broker::detail
