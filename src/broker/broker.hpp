// Messages between the workers of one nginx: named logs in a block of shared
// memory, which every worker appends to and copies its news out of.
//
// A *log* is found by its name. A worker that wants to hear of a log has a
// *subscription* to it, with a cursor of its own; what is appended is the
// same, in the same order, for all of them. A message goes when every
// subscription has passed it and history does not want it any more; when
// room is short the oldest go first, whoever wants them, and who had not read
// them is told that he lost some.
//
// Each process has one object of class broker, which is its view of the
// memory; the mutex that all processes share is given from outside, and every
// function but those marked takes it once or several times, never for longer
// than its own work asks. None is to be called from several threads at a time.
// No function throws, allocates from the system, reads a clock or does I/O.
//
// A process may be killed anywhere, with the mutex held too: once that is
// freed by force (nginx's master does it), whoever takes it next repairs what
// the dead one left.
//
// Wake-ups. append() says which slots have to be woken: those whose process
// may be asleep. A process that is woken calls next_news() and reads until
// there is none; from then on it counts as asleep. The wake-ups that a killed
// process was about to send are owed by claim() and reclaim_dead().
//
// Times are milliseconds of one clock for all processes, since 1970.
#pragma once

#include "broker/history_rules.hpp"
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
    // The mutex must outlive the object. Before anything else: create or
    // attach.
    explicit broker(mutex &shared) noexcept : mutex_{shared} {}

    // The bytes that create needs at least with so many slots, for any work
    // to be possible.
    static std::size_t min_size(std::size_t slots) noexcept;

    // Makes a broker with 1 to most_slots slots in memory that no other
    // process looks at yet; attaches to it. `seed` is a number that clients
    // cannot guess: it keeps them from choosing names that collide. False,
    // with nothing done: too small, too large (over 8 GiB), or a wrong
    // number of slots. Without the lock.
    [[nodiscard]] bool create(std::span<std::byte> memory, std::size_t slots,
                              std::uint64_t seed) noexcept;

    // Limits the bytes of memory that the entries of one log take, for all
    // processes until the next call of any. 0, as from the start, and as much
    // as there is: no limit. A log loses its own oldest entries, whoever wants
    // them, before an append that would exceed the limit, and in the sweep.
    // Those who had not read them are told that they lost some. An entry that
    // alone is larger is refused. Logs whose names begin with ':' have no
    // limit. Without the lock.
    void limit_logs(std::size_t bytes) noexcept;

    // Whether a message of that size may be appended at all. Without the lock.
    bool fits(std::size_t size) const noexcept;

    // Attaches to what create made in the same memory, by this process or by
    // another one. False, with nothing done: it is not there, or has another
    // layout or size. Without the lock.
    [[nodiscard]] bool attach(std::span<std::byte> memory) noexcept;

    /*
     * Slots: one for each process.
     */

    // Takes a slot for the process `pid`, whose slot in nginx's table of
    // processes is `process_slot`. Before that reclaims the slots of dead
    // processes, as reclaim_dead does, and whatever has the same
    // process_slot. The caller wakes the slots in `wake`.
    claim_result claim(std::int32_t pid, std::int32_t process_slot,
                       process_monitor &watch, std::uint64_t now) noexcept;

    // Gives the slot back with all its subscriptions and clients.
    void release(unsigned slot, std::uint64_t now) noexcept;

    // Gives back the slots of processes that are not alive. Returns the slots
    // that are to be woken because a dead process may not have done so. To be
    // called now and then, and when a process is known to have died.
    slot_set reclaim_dead(process_monitor &watch, std::uint64_t now) noexcept;

    /*
     * Subscriptions and clients.
     */

    // Finds or makes the log and subscribes the slot to what is appended from
    // now on. `owner` is for the process itself, see news. History is asked
    // for as by ask_history. A process may subscribe more than once.
    subscribed subscribe(unsigned slot, std::string_view name, void *owner,
                         const history_request &history,
                         std::uint64_t now) noexcept;

    // Ends it, its clients with it. Nothing happens if it is gone already.
    void unsubscribe(subscription handle, std::uint64_t now) noexcept;

    // New limits for the log, whatever else was asked for.
    void set_limits(subscription handle, const limits &history,
                    std::uint64_t now) noexcept;

    // Adds the source to those that have asked the log for a history. Its
    // limits become the largest that the rules have for any of them: they may
    // grow, and shrink only by a later configuration. Returns the log's limits.
    limits ask_history(subscription handle, const history_request &asked,
                       std::uint64_t now) noexcept;

    // Counts one client more, unless the log has `max` in all processes of
    // all hosts already (0: any number is right): full. If done, `position`
    // becomes that of the log's last entry at this moment.
    outcome join(subscription handle, std::uint32_t max,
                 std::uint64_t *position = nullptr) noexcept;

    // Counts one client less, if there is one.
    void leave(subscription handle) noexcept;

    // The clients of the log in all processes of all hosts. Without the lock.
    std::uint32_t clients(subscription handle) const noexcept;

    /*
     * Messages.
     */

    // Puts an entry at the end of the log. What nobody is subscribed to and
    // no history wants is not stored, but takes its number.
    append_result append(subscription handle, const publication &what,
                         std::uint64_t now) noexcept;

    // The same by name; makes the log, with this history, if there is none. In
    // a log that is there the source is not remembered: who only publishes
    // changes its limits no further than to those of a later configuration.
    append_result append(std::string_view name, const publication &what,
                         const history_request &history,
                         std::uint64_t now) noexcept;

    // A subscription of the slot that has something to read, each once, the
    // longest waiting first. None: nothing is left, and the next append for
    // this slot has it woken. A subscription that was taken here and has been
    // read in part only comes up again.
    unread_subscription next_unread(unsigned slot) noexcept;

    // Copies out whole entries in order, as many as fit and as one hold of the
    // mutex is to copy, and moves the cursor after them. One that is larger
    // than that is copied alone, in several holds.
    read_result read(subscription handle, const read_buffers &to,
                     std::uint64_t now) noexcept;

    // Copies out messages of the log's history (no transient ones): those
    // behind the sequence `after` that the subscription has passed itself, so
    // that whatever it reads afterwards goes on from there. More: to be
    // called again with `after` the last one read. Lost: messages behind
    // `after` are not there any more. Moves nothing. Copies as much as read()
    // does; where the history is long the first message is found in few steps.
    read_result read_history(subscription handle, std::uint64_t after,
                             const read_buffers &to,
                             std::uint64_t now) noexcept;

    // The last message of the log.
    message_id last_id(subscription handle) noexcept;

    // The last message that the subscription has passed.
    message_id passed_id(subscription handle) noexcept;

    /*
     * Logs of several hosts: their messages are numbered by somebody else,
     * who has them from all hosts, and one process of each host, its leader,
     * relays them into the log that is here.
     */

    // The number of the link to whoever numbers the messages, another one for
    // each; 0, as from the start: there is no link. Without the lock.
    void set_link_generation(std::uint32_t generation) noexcept;
    std::uint32_t link_generation() const noexcept;

    // Puts a message that has got its id elsewhere at the end of the log,
    // which this does not make: gone. Known: the log has been aligned to that
    // epoch and has that message, or a later one. Out of order: it stands in
    // another epoch, or messages are missing before this one. Either way
    // nothing is done; the id in the result is that of the log's last message.
    //
    // Transient entries go behind what there is, whatever their id says.
    //
    // What there is no room for takes its number all the same, so that the
    // next one follows, and all who are subscribed are told that they lost
    // some: no_room then comes with slots to be woken.
    append_result append_external(std::string_view name,
                                  const publication &what, message_id id,
                                  std::uint64_t now) noexcept;

    // Says what the log's last message is, so that the next one relayed is
    // the one behind it. If that is in another epoch (never 0: out of order)
    // or before the message which the log has as its last, its entries are
    // removed: they have ids that are not right any more, and who had not
    // read them is told that he lost some. If it is further on, they stay, and
    // the history does not reach back over what is missing. `lost`: all who
    // are subscribed are told that they lost some here, once, behind what
    // they have yet to read. The slots in `wake` are to be woken as with
    // append. Gone: there is no such log, this makes none.
    append_result reset_position(std::string_view name, message_id last,
                                 bool lost, std::uint64_t now) noexcept;

    // The log has all there is on that link. It stays linked until the zone's
    // link is another one. Gone: there is no such log.
    outcome mark_synced(std::string_view name,
                        std::uint32_t generation) noexcept;

    // In which of his lives whoever numbers the log's messages has found that
    // its last one is his too; 0, as from the start: not known. What he has
    // forgotten between two lives is found by it. Gone: there is no such log.
    outcome mark_run(std::string_view name, std::uint32_t run) noexcept;

    // Whether the log is linked now. Without the lock.
    bool synced(subscription handle) const noexcept;

    // How many clients the log has in other hosts, for all who ask for its
    // clients. Forgotten with the log. Gone: there is no such log.
    outcome set_remote_clients(std::string_view name,
                               std::uint32_t clients) noexcept;

    // Makes the slot the leader, unless another one is it. True: it leads,
    // now or already. A slot that is given back leads no more; that of a dead
    // process does until it is reclaimed.
    bool lead(unsigned slot) noexcept;

    // Leads no more. Nothing happens if it is not the leader.
    void resign(unsigned slot) noexcept;

    // The slot that leads, if there is one.
    std::optional<unsigned> leader() noexcept;

    /*
     * The whole.
     */

    // What is known of a log, which this does not make.
    description describe(std::string_view name, std::uint64_t now) noexcept;

    // One step of a way through all logs: tells of as many as there is room
    // for, and looks at no more than `budget` (1 at least) of them and of the
    // places where they are found. Logs that are there from the first step to
    // the last are told of once; those made or removed meanwhile, perhaps.
    scan_result scan(scan_cursor &at, const scan_buffers &to,
                     std::size_t budget) noexcept;

    // One step of the sweep that removes what is too old for its history, and
    // logs that nobody has used for unused_log_age. The budget bounds the
    // work: about so many logs and messages are looked at. True when a round
    // over all logs has come to its end. Each hold of the lock does a part.
    bool expire(std::uint64_t now, std::size_t budget) noexcept;

    usage measure() noexcept;

    // For tests: what one hold of the mutex does at most, entries and blocks;
    // at least 1 of each. Of this object alone.
    void limit_holds(std::size_t entries, std::size_t blocks) noexcept
    {
        zone_.hold = {entries, blocks};
    }

private:
    // Tests check all of the memory: t/unit/broker/integrity_check.hpp
    friend std::string_view check_integrity(broker &checked) noexcept;

    mutex &mutex_;
    detail::zone zone_;
};

} // namespace websocket::broker
