// Messages between the workers of one nginx: named logs in shared memory. Each
// worker appends to them and copies unread messages out.
//
// A *log* is found by its name. A *subscription* is a worker's reader of a log,
// with its own cursor. All subscriptions see the same entries in the same
// order. A message is removed when every subscription has passed it and the
// history does not keep it. When memory is short, the oldest messages are
// removed first, read or not; subscriptions that had not read them see a gap.
//
// Each process has one object of class broker, its view of the memory. The
// mutex that all processes share is given from outside. Every function takes it
// once or several times, unless marked "without the lock". Each hold does a
// bounded amount of work. An object is for one thread at a time. No function
// throws, allocates from the system, reads a clock or does I/O.
//
// A process may be killed at any instruction, also with the mutex held. Once
// the mutex is freed by force, which nginx's master does, the next owner
// repairs the memory.
//
// Wake-ups. append() returns the slots whose processes may be asleep. A process
// that is woken calls next_unread() and reads until nothing is left; from then
// on it counts as asleep. claim() and reclaim_dead() return the slots that a
// killed process had yet to wake.
//
// Times are milliseconds since 1970, from one clock for all processes.
#pragma once

#include "broker/history_rules.hpp"
#include "broker/member_types.hpp"
#include "broker/types.hpp"
#include "broker/zone.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::broker {

class broker {
public:
    // The mutex must outlive the object. Call create or attach before anything
    // else.
    explicit broker(mutex &shared) noexcept : mutex_{shared} {}

    // The smallest memory, in bytes, that create accepts for so many slots.
    static std::size_t min_size(std::size_t slots) noexcept;

    // Creates a broker with 1 to max_slots slots in memory that no other
    // process uses yet, and attaches to it. `seed` must be unpredictable for
    // clients: it keys the hash of names, so that nobody can choose names that
    // collide. Returns false and does nothing if the memory is too small or
    // over 8 GiB, or the number of slots is out of range. Without the lock.
    [[nodiscard]] bool create(std::span<std::byte> memory, std::size_t slots,
                              std::uint64_t seed) noexcept;

    // Limits the bytes that the entries of one log may take, for all processes,
    // until the next call. 0, the initial value, or more than the memory: no
    // limit.
    //
    // A log over the limit loses its oldest entries, read or not, before an
    // append and in the sweep. Subscriptions that had not read them see a gap.
    // An entry that is larger than the limit is refused. Logs whose names begin
    // with ':' have no limit. Without the lock.
    void limit_logs(std::size_t bytes) noexcept;

    // Whether a message of that size may be appended at all. Without the lock.
    bool fits(std::size_t size) const noexcept;

    // Attaches to a broker that this or another process created in the same
    // memory. Returns false and does nothing if there is none, or one of
    // another layout or size. Without the lock.
    [[nodiscard]] bool attach(std::span<std::byte> memory) noexcept;

    /*
     * Slots: one for each process.
     */

    // Claims a slot for the process `pid`, whose index in nginx's table of
    // processes is `process_slot`. First reclaims the slots of dead processes,
    // as reclaim_dead does, and any slot with the same process_slot. The caller
    // wakes the slots in `wake`.
    claim_result claim(std::int32_t pid, std::int32_t process_slot,
                       process_monitor &watch, std::uint64_t now) noexcept;

    // Releases the slot with all its subscriptions and clients.
    void release(unsigned slot, std::uint64_t now) noexcept;

    // Reclaims the slots of processes that are not alive. Returns the slots to
    // wake, because a dead process may have died before it did so. Call it
    // periodically, and when a process is known to have died.
    slot_set reclaim_dead(process_monitor &watch, std::uint64_t now) noexcept;

    /*
     * Subscriptions and clients.
     */

    // Gets or creates the log and subscribes the slot to what is appended from
    // now on. `owner` is returned by next_unread(). History is requested as
    // with ask_history. A process may subscribe more than once.
    subscribed subscribe(unsigned slot, std::string_view name, void *owner,
                         const history_request &history,
                         std::uint64_t now) noexcept;

    // Ends the subscription and its clients. Does nothing if it is gone.
    void unsubscribe(subscription handle, std::uint64_t now) noexcept;

    // Sets the limits of the log, regardless of other requests.
    void set_limits(subscription handle, const limits &history,
                    std::uint64_t now) noexcept;

    // Adds the source to those that have requested a history of the log. The
    // limits become the largest that the rules have for any of them. They may
    // grow; only a later configuration shrinks them. Returns the limits of the
    // log.
    limits ask_history(subscription handle, const history_request &asked,
                       std::uint64_t now) noexcept;

    // Counts one more client. Returns full if the log has `max` clients already
    // in all processes of all hosts; 0 means no maximum. If done, sets
    // `position` to that of the log's last entry.
    outcome join(subscription handle, std::uint32_t max,
                 std::uint64_t *position = nullptr) noexcept;

    // Counts one client less, if there is one.
    void leave(subscription handle) noexcept;

    // The clients of the log in all processes of all hosts. Without the lock.
    std::uint32_t clients(subscription handle) const noexcept;

    /*
     * Messages.
     */

    // Appends an entry to the log. A message without subscribers that the
    // history does not keep is not stored, but takes its number.
    append_result append(subscription handle, const publication &what,
                         std::uint64_t now) noexcept;

    // The same by name; creates the log with this history if it does not exist.
    // In an existing log the source is not remembered: a publisher changes the
    // limits only to those of a later configuration.
    append_result append(std::string_view name, const publication &what,
                         const history_request &history,
                         std::uint64_t now) noexcept;

    // The subscription of the slot that has been unread for longest. Returns
    // each once. None: nothing is left, and the next append for this slot wakes
    // it. A subscription that is read in part only is returned again.
    unread_subscription next_unread(unsigned slot) noexcept;

    // Copies out whole entries in order and moves the cursor after them. Copies
    // as many as fit and as one hold allows. An entry that is larger than a
    // hold is copied alone, in several holds.
    read_result read(subscription handle, const read_buffers &to,
                     std::uint64_t now) noexcept;

    // Copies out messages of the log's history, without transient entries:
    // those after the sequence `after` that the subscription has passed. So
    // read() continues where the history ends. `more`: call again with `after`
    // set to the last one read. `lost`: messages after `after` have been
    // removed. Moves no cursor. Copies as much as read() does. The first
    // message is found in O(log n) steps.
    read_result read_history(subscription handle, std::uint64_t after,
                             const read_buffers &to,
                             std::uint64_t now) noexcept;

    // The last message of the log.
    message_id last_id(subscription handle) noexcept;

    // The last message that the subscription has passed.
    message_id passed_id(subscription handle) noexcept;

    /*
     * External logs: a sequencer outside of this host numbers their messages.
     * One process of each host, the leader, appends them to the host's log. A
     * process that has lost the lead changes nothing: the result is
     * not_leading.
     */

    // The generation of the link to the sequencer: a new number for each link.
    // 0, the initial value: there is no link. Reading takes no lock.
    outcome set_link_generation(std::uint32_t generation) noexcept;
    std::uint32_t link_generation() const noexcept;

    // Appends a message that already has an id. Does not create the log: gone.
    // Returns duplicate if the log is in that epoch and has the message or a
    // later one. Returns out_of_order if the log is in another epoch, or
    // messages before this one are missing. In both cases nothing is done, and
    // the id in the result is that of the log's last message.
    //
    // Transient entries are appended whatever their id is.
    //
    // If there is no memory for a message, its number is taken all the same, so
    // that the next one follows. All subscriptions then see a gap: the result
    // is no_memory, with slots to wake.
    append_result append_external(std::string_view name,
                                  const publication &what, message_id id,
                                  std::uint64_t now) noexcept;

    // Sets the id of the log's last message, so that append_external accepts
    // the one after it. An epoch of 0 is out_of_order. If the log does not
    // exist, it is not created: gone.
    //
    // If `last` is in another epoch, or before the log's last message, all
    // entries are removed, because their ids are wrong. Subscriptions that had
    // not read them see a gap. If `last` is further on, the entries stay, and
    // the history does not reach back over the missing messages.
    //
    // `lost`: all subscriptions see one gap after their unread entries. Wake
    // the slots in `wake` as with append.
    append_result reset_position(std::string_view name, message_id last,
                                 bool lost, std::uint64_t now) noexcept;

    // Marks the log as synchronized with the sequencer over that link. It stays
    // so until the link changes. Gone: there is no such log.
    outcome mark_synced(std::string_view name,
                        std::uint32_t generation) noexcept;

    // Records the run of the sequencer that last confirmed the log's last
    // message; 0, the initial value, is unknown. A run reveals what a restarted
    // sequencer has lost. Gone: there is no such log.
    outcome mark_run(std::string_view name, std::uint32_t run) noexcept;

    // Whether the log is synchronized over the present link. Without the lock.
    bool synced(subscription handle) const noexcept;

    // Sets the cursor with that index, below max_cursors. If the process dies
    // meanwhile, the cursor is the earlier one, the new one, or none.
    outcome store_cursor(std::size_t at, const log_cursor &cursor) noexcept;
    log_cursor cursor(std::size_t at) noexcept;

    // Sets the number of clients that the log has on other hosts. It is lost
    // with the log. Gone: there is no such log.
    outcome set_remote_clients(std::string_view name,
                               std::uint32_t clients) noexcept;

    // Makes the slot the leader unless another one leads. True: it leads. A
    // released slot leads no more. The slot of a dead or stalled process leads
    // until it is reclaimed, or until lead_timeout has passed since the last
    // call of lead or keep_lead for it.
    bool lead(unsigned slot, std::uint64_t now) noexcept;

    // Confirms that the leader is alive. False: the process does not lead.
    bool keep_lead(std::uint64_t now) noexcept;

    // Whether the process still has the lead that it took last. Without the
    // lock.
    bool leads() const noexcept;

    // Ends the lead of the slot. Does nothing if it does not lead.
    void resign(unsigned slot) noexcept;

    // The leading slot, if there is one.
    std::optional<unsigned> leader() noexcept;

    /*
     * Notes: what a process leaves to the others if it ends, in any way. They
     * have at most half of the memory. Only the process that has a note uses
     * its handle.
     */

    // Adds a note of the slot.
    note add_note(unsigned slot, std::uint32_t kind, std::string_view text,
                  std::uint64_t now) noexcept;

    // Replaces the state, which is empty at first. False: no memory, nothing
    // has changed.
    bool set_note_state(note which, std::string_view state,
                        std::uint64_t now) noexcept;

    // Without the lock.
    void count_note(note which, std::uint64_t sequence) noexcept;
    void end_note(note which, std::uint16_t code) noexcept;

    void remove_note(note which) noexcept;

    // Leaves a note to all processes, as if this one had ended.
    void abandon_note(note which, std::uint64_t now) noexcept;

    // Gives the slot a note of a process that has ended, and copies its text
    // and state: one of these kinds or, as nobody else may be able to use it,
    // one that has waited for ten seconds. Nothing: there is none. If no
    // process has left notes, that takes no lock.
    std::optional<found_note> adopt_note(unsigned slot,
                                         std::span<const std::uint32_t> kinds,
                                         std::span<char> buffer,
                                         std::uint64_t now) noexcept;

    /*
     * Members: which users have clients in which scope, and on which slots. A
     * scope is a name of at most max_name_size bytes. It takes memory only
     * while it has members. Scopes and members have at most a quarter of the
     * memory; of what does not fit, `refused` in usage counts each attempt.
     *
     * A user without clients can *linger*: until end_member, a client of any
     * slot returns without having been absent. If the process of the last
     * client ends, the user lingers too, until another one takes the member.
     */

    // Counts one more client of the user on the slot. With a grace, in
    // milliseconds, users of the scope linger from now on. The grace of a scope
    // is the largest since it has members.
    added_member
    add_member(unsigned slot, std::string_view scope, std::string_view user,
               std::uint64_t now,
               std::optional<std::uint32_t> grace = std::nullopt) noexcept;

    // Counts one client less. If that was the user's last one on all slots, the
    // user lingers on this slot, which calls end_member. Without `linger` and a
    // grace of the scope the user is gone at once.
    removed_member remove_member(unsigned slot, std::string_view scope,
                                 std::string_view user, bool linger) noexcept;

    // Ends the lingering on this slot. True: the user is gone. False: a client
    // has returned since then, here or elsewhere. If the user lingers again on
    // another slot, only that one can end it.
    bool end_member(unsigned slot, std::string_view scope,
                    std::string_view user) noexcept;

    // The same, and appends a transient entry to the log, if that exists, in
    // the hold in which the user ends: entries about users are in the order of
    // what has happened. If the process is killed meanwhile, the entry may be
    // appended once more when the user is ended by another one.
    ended_member end_member(unsigned slot, std::string_view scope,
                            std::string_view user, std::string_view log,
                            const publication &what,
                            std::uint64_t now) noexcept;

    // Gives the slot a user of a process that has ended, who lingers there from
    // now on as after remove_member: call end_member, at once or later. If the
    // slot's process ends before, another one takes the same member. So none is
    // lost, and end_member is true once. Nothing: there is none. If there is
    // none, that takes no lock.
    std::optional<lost_member>
    take_lost_member(unsigned slot, std::span<char, max_name_size> scope,
                     std::span<char, max_user_size> user) noexcept;

    counted_member count_member(std::string_view scope,
                                std::string_view user) noexcept;

    // The number of users with clients in the scope.
    std::uint32_t count_users(std::string_view scope) noexcept;
    counted_scope count_scope(std::string_view scope) noexcept;

    // Lists users, also those who linger, in the order of their bytes: those
    // after `after`, as many as fit. An empty text is before all users.
    listed_members list_members(std::string_view scope, std::string_view after,
                                const member_page &to) noexcept;

    /*
     * The whole.
     */

    // Describes a log, which is not created.
    description describe(std::string_view name, std::uint64_t now) noexcept;
    std::size_t count_subscriptions(std::string_view name) noexcept;

    // One step of a scan of all logs. Returns as many as fit, and visits at
    // most `budget` logs and buckets; the budget is at least 1. A log that
    // exists from the first step to the last is returned once. Logs created or
    // removed meanwhile may be returned or not.
    scan_result scan(scan_cursor &at, const scan_buffers &to,
                     std::size_t budget) noexcept;

    // One step of the sweep that removes messages older than their history
    // allows, and logs unused for unused_log_ttl. Visits about `budget` logs
    // and messages, a part in each hold. True: a round over all logs is
    // complete.
    bool expire(std::uint64_t now, std::size_t budget) noexcept;

    usage measure() noexcept;

    // For tests: the most that one hold of this object does, in entries and
    // blocks; at least 1 of each.
    void limit_holds(std::size_t entries, std::size_t blocks) noexcept
    {
        zone_.hold = {entries, blocks};
    }

private:
    // For tests: t/unit/broker/integrity_check.hpp
    friend std::string_view check_integrity(broker &checked) noexcept;

    mutex &mutex_;
    detail::zone zone_;
};

} // namespace websocket::broker
