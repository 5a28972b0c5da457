// Notes: what a process leaves to the others.
#include "broker/blocks.hpp"
#include "broker/broker.hpp"
#include "broker/entries.hpp"
#include "broker/fault_point.hpp"
#include "broker/lock_guard.hpp"
#include "broker/notes.hpp"

#include <algorithm>

namespace websocket::broker {

using namespace detail;

namespace {

bool owned(const zone &z, unsigned slot) noexcept
{
    return slot < z.head->slot_count && z.slots[slot].pid != 0;
}

// Writes a record and the bytes after it into a new chain. 0: no memory.
template <class record>
index write_chain(zone &z, const record &first, std::string_view bytes,
                  std::uint64_t now) noexcept
{
    const std::size_t blocks = blocks_for(sizeof(record), bytes.size());

    if (z.head->note_blocks + blocks > z.head->block_count / 2 ||
        !reclaim_blocks(z, blocks, now)) {
        z.head->refused++;
        return 0;
    }

    const index at = take_blocks(z, blocks);

    ::new (z.block(at)) record(first);
    write_bytes(z, at, sizeof(record), std::as_bytes(std::span(bytes)));
    z.head->note_blocks += static_cast<index>(blocks);
    return at;
}

std::string_view copy_out(const zone &z, index at, std::size_t record,
                          std::span<char> to) noexcept
{
    read_bytes(z, at, record, std::as_writable_bytes(to));
    return {to.data(), to.size()};
}

// Others may be able to use a note for so long.
constexpr std::uint64_t patience = 10'000;

// Of one hold of the lock.
constexpr unsigned max_looked_at = 256;

// 0: there is none.
index find_orphan(const zone &z, std::span<const std::uint32_t> kinds,
                  std::uint64_t now) noexcept
{
    index at = z.head->orphans;

    for (unsigned i = 0; at != 0 && i != max_looked_at; i++) {
        const note_record &note = z.note(at);

        if (std::ranges::find(kinds, note.kind) != kinds.end() ||
            now - note.orphaned_at >= patience) {
            return at;
        }

        at = note.next;
    }

    return 0;
}

} // namespace

note broker::add_note(unsigned slot, std::uint32_t kind, std::string_view text,
                      std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);

    if (!owned(zone_, slot)) {
        return {};
    }

    note_record record;
    record.kind = kind;
    record.size = static_cast<std::uint32_t>(text.size());

    const index at = write_chain(zone_, record, text, now);

    if (at != 0) {
        link_note(zone_, at, slot);
    }

    return {at};
}

bool broker::set_note_state(note which, std::string_view state,
                            std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);
    note_record &record = zone_.note(which.index);
    const index before = record.state;
    const state_record first{static_cast<std::uint32_t>(state.size())};
    const index at = state.empty() ? 0 : write_chain(zone_, first, state, now);

    if (at == 0 && !state.empty()) {
        return false;
    }

    WEBSOCKET_FAULT_POINT("note.state");
    store_ordered(record.state, at);
    WEBSOCKET_FAULT_POINT("note.changed");

    if (before != 0) {
        const std::size_t blocks = blocks_for(
            sizeof(state_record), zone_.get<state_record>(before).size);

        zone_.head->note_blocks -= static_cast<index>(blocks);
        free_blocks(zone_, before, blocks);
    }

    return true;
}

void broker::count_note(note which, std::uint64_t sequence) noexcept
{
    store_ordered(zone_.note(which.index).sequence, sequence);
}

void broker::end_note(note which, std::uint16_t code) noexcept
{
    store_ordered(zone_.note(which.index).code, code);
}

void broker::remove_note(note which) noexcept
{
    locked_zone hold(mutex_, zone_);

    free_note(zone_, which.index);
}

void broker::abandon_note(note which, std::uint64_t now) noexcept
{
    locked_zone hold(mutex_, zone_);
    note_record &record = zone_.note(which.index);

    record.orphaned_at = now;
    store_ordered(record.adoptions, std::uint16_t{0});
    move_note(zone_, which.index, no_slot);
}

std::optional<found_note>
broker::adopt_note(unsigned slot, std::span<const std::uint32_t> kinds,
                   std::span<char> buffer, std::uint64_t now) noexcept
{
    if (load_relaxed(zone_.head->orphans) == 0) {
        return {};
    }

    locked_zone hold(mutex_, zone_);
    const index at = find_orphan(zone_, kinds, now);

    if (at == 0 || !owned(zone_, slot)) {
        return {};
    }

    note_record &record = zone_.note(at);
    const std::size_t state_size =
        record.state == 0 ? 0 : zone_.get<state_record>(record.state).size;

    found_note found{.handle = {at},
                     .kind = record.kind,
                     .sequence = record.sequence,
                     .code = record.code,
                     .text = {},
                     .state = {}};

    if (record.size + state_size > buffer.size()) {
        found.needed = record.size + state_size;
        return found;
    }

    found.text =
        copy_out(zone_, at, sizeof(note_record), buffer.first(record.size));

    if (record.state != 0) {
        found.state = copy_out(zone_, record.state, sizeof(state_record),
                               buffer.subspan(record.size, state_size));
    }

    found.adoptions = static_cast<std::uint16_t>(record.adoptions + 1);
    store_ordered(record.adoptions, found.adoptions);
    move_note(zone_, at, slot);
    return found;
}

} // namespace websocket::broker
