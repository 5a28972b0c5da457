// A note that moves from one list to another is in neither for a moment. Then
// header::moving has it, so that repair() finds it.
#include "broker/notes.hpp"
#include "broker/blocks.hpp"
#include "broker/fault_point.hpp"

namespace websocket::broker::detail {

namespace {

index &first_of(const zone &z, std::uint32_t slot) noexcept
{
    return slot == no_slot ? z.head->orphans : z.slots[slot].notes;
}

void unlink(zone &z, index at) noexcept
{
    const note_record &note = z.note(at);

    store_ordered(note.previous != 0 ? z.note(note.previous).next
                                     : first_of(z, note.slot),
                  note.next);
    WEBSOCKET_FAULT_POINT("note.unlinked");

    if (note.next != 0) {
        z.note(note.next).previous = note.previous;
    }
}

void repair_list(zone &z, std::uint32_t slot) noexcept
{
    index previous = 0;

    for (index at = first_of(z, slot); at != 0; at = z.note(at).next) {
        note_record &note = z.note(at);

        mark_chain(z, at);
        mark_chain(z, note.state);
        note.slot = slot;
        note.previous = previous;
        z.head->note_blocks += static_cast<index>(note_blocks(z, note));
        previous = at;
    }
}

} // namespace

std::size_t note_blocks(const zone &z, const note_record &note) noexcept
{
    const std::size_t blocks = blocks_for(sizeof(note_record), note.size);

    return note.state == 0
               ? blocks
               : blocks + blocks_for(sizeof(state_record),
                                     z.get<state_record>(note.state).size);
}

void link_note(zone &z, index at, std::uint32_t slot) noexcept
{
    note_record &note = z.note(at);
    index &first = first_of(z, slot);

    store_ordered(note.next, first);
    note.previous = 0;
    note.slot = slot;

    if (first != 0) {
        z.note(first).previous = at;
    }

    WEBSOCKET_FAULT_POINT("note.written");
    store_ordered(first, at);
    WEBSOCKET_FAULT_POINT("note.linked");
}

void free_note(zone &z, index at) noexcept
{
    const note_record &note = z.note(at);
    const index state = note.state;
    const std::size_t all = note_blocks(z, note);
    const std::size_t blocks = blocks_for(sizeof(note_record), note.size);

    unlink(z, at);
    z.head->note_blocks -= static_cast<index>(all);
    free_blocks(z, at, blocks);

    if (state != 0) {
        free_blocks(z, state, all - blocks);
    }
}

void move_note(zone &z, index at, std::uint32_t to) noexcept
{
    store_ordered(z.head->moving, at);
    WEBSOCKET_FAULT_POINT("note.moving");
    unlink(z, at);
    link_note(z, at, to);
    store_ordered(z.head->moving, 0);
    WEBSOCKET_FAULT_POINT("note.moved");
}

void repair_notes(zone &z) noexcept
{
    z.head->note_blocks = 0;

    for (std::uint32_t slot = 0; slot < z.head->slot_count; slot++) {
        repair_list(z, slot);
    }

    repair_list(z, no_slot);

    if (const index at = z.head->moving; at != 0) {
        if (!marked(z, at)) {
            mark_chain(z, at);
            mark_chain(z, z.note(at).state);
            z.head->note_blocks +=
                static_cast<index>(note_blocks(z, z.note(at)));
            link_note(z, at, no_slot);
        }

        WEBSOCKET_FAULT_POINT("note.repaired");
        store_ordered(z.head->moving, 0);
    }
}

} // namespace websocket::broker::detail
