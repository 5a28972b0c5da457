// Checks derived values. They must follow from the records, which were checked
// before.
#include "integrity_checker.hpp"

#include "broker/blocks.hpp"
#include "broker/entries.hpp"
#include "broker/log_table.hpp"
#include "broker/notes.hpp"

#include <string_view>

namespace websocket::broker::detail {

std::string_view integrity_checker::check_lists(index log_at) noexcept
{
    const log_record &log = z_.log(log_at);

    if ((log.unused != 0) != (log.subscriptions == 0 && is_empty(log))) {
        return "a log is wrongly marked as used or unused";
    }

    found_.unused += log.unused;
    blocks_listed_ = 0;

    std::string_view fault = check_messages(log_at);

    if (fault.empty()) {
        fault = check_transients(log_at);
    }

    if (fault.empty() && blocks_listed_ != log.entry_blocks) {
        fault = "a log's count of blocks is wrong";
    }

    return fault.empty() ? check_order(log) : fault;
}

std::string_view integrity_checker::check_messages(index log_at) noexcept
{
    const log_record &log = z_.log(log_at);
    std::uint32_t count = 0;
    std::uint64_t run = 0; // no message is missing from this sequence on
    index last = 0;

    for (index at = log.first_message; at != 0; at = z_.entry(at).next_in_log) {
        const entry_record &entry = z_.entry(at);

        if (!known(at) || entry.log != log_at || entry.transient ||
            entry.previous_message != last ||
            (last != 0 && z_.entry(last).position >= entry.position)) {
            return "a log's list of messages is wrong";
        }

        if (last == 0 || z_.entry(last).sequence + 1 != entry.sequence) {
            run = entry.sequence;
        }

        if (!leads_back(entry, run)) {
            return "a message has a wrong link back";
        }

        blocks_listed_ += blocks_for(sizeof(entry_record), entry.size);
        count++;
        last = at;
    }

    if (log.last_message != last || log.message_count != count) {
        return "a log's last message or count is wrong";
    }

    found_.listed += count;
    return {};
}

// Links to removed entries are not followed, because their contents are
// undefined.
bool integrity_checker::leads_back(const entry_record &message,
                                   std::uint64_t run) const noexcept
{
    const index at = message.earlier_message;
    const std::uint64_t earlier = earlier_sequence(message.sequence);

    if (earlier < z_.entry(z_.log(message.log).first_message).sequence) {
        return true;
    }

    if (earlier < run) {
        return at == 0;
    }

    return known(at) && z_.entry(at).log == message.log &&
           !z_.entry(at).transient && z_.entry(at).sequence == earlier;
}

std::string_view integrity_checker::check_transients(index log_at) noexcept
{
    const log_record &log = z_.log(log_at);
    index last = 0;

    for (index at = log.first_transient; at != 0;
         at = z_.entry(at).next_in_log) {
        if (!known(at) || z_.entry(at).log != log_at ||
            !z_.entry(at).transient ||
            (last != 0 && z_.entry(last).position >= z_.entry(at).position)) {
            return "a log's list of transient entries is wrong";
        }

        blocks_listed_ += blocks_for(sizeof(entry_record), z_.entry(at).size);
        found_.listed++;
        last = at;
    }

    if (log.last_transient != last) {
        return "a log's list of transient entries ends wrongly";
    }

    return {};
}

std::string_view integrity_checker::check_order(const log_record &log) noexcept
{
    entries_in_order all(z_, log.first_message, log.first_transient);
    std::uint64_t position = 0;
    std::uint64_t sequence = 0;

    for (index at = all.first(); at != 0; at = all.first()) {
        const entry_record &entry = z_.entry(at);

        if (entry.position <= position ||
            entry.sequence < sequence + (entry.transient ? 0 : 1)) {
            return "an entry is not in order";
        }

        position = entry.position;
        sequence = entry.sequence;
        all.pass_first();
    }

    if (position > log.last_position || sequence > log.last_sequence) {
        return "a log's last position or sequence is wrong";
    }

    return {};
}

std::string_view integrity_checker::check_readers(index log_at) noexcept
{
    for (index at = z_.log(log_at).subscriptions; at != 0;
         at = z_.subscription(at).next_in_log) {
        if (const std::string_view fault = check_reader(z_.subscription(at));
            !fault.empty()) {
            return fault;
        }
    }

    return {};
}

// The first entry of a list after the position.
index integrity_checker::first_after(index entry,
                                     std::uint64_t cursor) const noexcept
{
    while (entry != 0 && z_.entry(entry).position <= cursor) {
        entry = z_.entry(entry).next_in_log;
    }

    return entry;
}

// A reader continues at the first entry after its cursor. From there on, no
// entry is missing unless a gap was recorded.
std::string_view
integrity_checker::check_reader(const subscription_record &reader) noexcept
{
    const log_record &log = z_.log(reader.log);
    const index message = first_after(log.first_message, reader.cursor);
    const index transient = first_after(log.first_transient, reader.cursor);
    entries_in_order unread(z_, message, transient);
    index at = unread.first();

    if (reader.unread_message != message ||
        reader.unread_transient != transient) {
        return "a subscription continues at the wrong entry";
    }

    if (at == 0) {
        return {};
    }

    std::uint64_t position = z_.entry(at).position;

    for (; at != 0; at = unread.first()) {
        const entry_record &entry = z_.entry(at);

        if (entry.position != position && !entry.after_gap) {
            return "an entry is missing among the unread ones";
        }
        position = entry.position + 1;
        unread.pass_first();
    }

    if (position != log.last_position + 1 &&
        log.last_gap != log.last_position) {
        return "an entry is missing after the unread ones";
    }

    return {};
}

std::string_view integrity_checker::check_unread() noexcept
{
    index queued = 0;

    for (std::uint32_t i = 0; i < z_.head->slot_count; i++) {
        index last = 0;

        for (index at = z_.slots[i].queue_first; at != 0;
             at = z_.subscription(at).next_queued) {
            const subscription_record &found = z_.subscription(at);

            if (!known(at) || queued++ == found_.queued || found.queued != 1 ||
                found.slot != i || found.previous_queued != last) {
                return "a slot's list of unread subscriptions is wrong";
            }
            last = at;
        }

        if (z_.slots[i].queue_last != last) {
            return "a slot's list of unread subscriptions ends wrongly";
        }
    }

    if (queued != found_.queued) {
        return "a queued subscription is in no list";
    }

    return {};
}

std::string_view integrity_checker::check_unused() noexcept
{
    index older = 0;
    index listed = 0;

    for (index at = z_.head->unused_first; at != 0;
         at = z_.log(at).newer_unused) {
        const log_record &log = z_.log(at);

        if (!known(at) || listed++ == found_.unused || log.unused != 1 ||
            log.older_unused != older) {
            return "the list of unused logs is wrong";
        }
        older = at;
    }

    if (z_.head->unused_last != older || listed != found_.unused) {
        return "the list of unused logs ends wrongly";
    }

    return {};
}

std::string_view integrity_checker::check_reserved() noexcept
{
    for (std::uint32_t i = 0; i < z_.head->slot_count; i++) {
        const slot_record &slot = z_.slots[i];

        if (slot.reserved == 0) {
            continue;
        }

        if (slot.pid == 0) {
            return "blocks are reserved for a free slot";
        }

        if (!take_chain(slot.reserved, slot.reserved_count)) {
            return "a slot's chain of reserved blocks is wrong";
        }
    }

    return {};
}

std::string_view integrity_checker::check_free() noexcept
{
    index count = 0;

    for (index chain = z_.head->free; chain != 0;
         chain = z_.free_chain(chain).below) {
        for (index at = chain; at != 0; at = z_.next[at]) {
            if (!take(at)) {
                return "a free block is in use or listed twice";
            }
            count++;
        }
    }

    if (count != z_.head->free_count) {
        return "the count of free blocks is wrong";
    }

    return {};
}

std::string_view integrity_checker::check_totals() noexcept
{
    if (found_.blocks != z_.head->block_count) {
        return "a block is neither in use nor free";
    }

    if (z_.head->leader != 0 &&
        static_cast<std::uint32_t>(z_.head->leader) - 1 >=
            z_.head->slot_count) {
        return "the leader has no slot";
    }

    if (found_.logs != z_.head->logs ||
        found_.subscriptions != z_.head->subscriptions ||
        found_.entries != z_.head->entries || found_.entries != found_.listed) {
        return "the counts of the header are wrong";
    }

    return {};
}

std::string_view integrity_checker::check_note_list(index first,
                                                    std::uint32_t slot) noexcept
{
    index previous = 0;

    for (index at = first; at != 0; at = z_.note(at).next) {
        if (at > z_.head->block_count) {
            return "a linked note is not a block";
        }

        const note_record &note = z_.note(at);

        if (!take_chain(at, blocks_for(sizeof(note_record), note.size)) ||
            (note.state != 0 &&
             !take_chain(note.state,
                         blocks_for(sizeof(state_record),
                                    z_.get<state_record>(note.state).size)))) {
            return "a note's chain of blocks is wrong";
        }

        if (note.slot != slot || note.previous != previous) {
            return "a note is in a wrong list, or has a wrong link back";
        }

        note_blocks_ += note_blocks(z_, note);
        previous = at;
    }

    return {};
}

std::string_view integrity_checker::check_notes() noexcept
{
    for (std::uint32_t i = 0; i < z_.head->slot_count; i++) {
        if (z_.slots[i].pid == 0 && z_.slots[i].notes != 0) {
            return "a free slot has notes";
        }

        if (const std::string_view fault =
                check_note_list(z_.slots[i].notes, i);
            !fault.empty()) {
            return fault;
        }
    }

    if (const std::string_view fault =
            check_note_list(z_.head->orphans, no_slot);
        !fault.empty()) {
        return fault;
    }

    return z_.head->moving != 0 ? "a note is still moving"
           : note_blocks_ != z_.head->note_blocks
               ? "the blocks of notes are counted wrong"
               : "";
}

} // namespace websocket::broker::detail
