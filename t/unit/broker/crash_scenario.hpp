// A broker of several processes, and the checks after the death of one of them.
#pragma once

#include "broker_fixture.hpp"
#include "crash_members.hpp"

#include <cstring>

namespace broker_tests {

// The processes of the scenario, by their pids.
constexpr std::int32_t survivor = 1;
constexpr std::int32_t victim = 2;    // dies in an operation
constexpr std::int32_t long_gone = 3; // dead; its slot is not reclaimed yet
constexpr std::int32_t successor = 4;

class scenario {
public:
    enum class memory { roomy, full };

    // The end of the name of a test with this parameter.
    static const char *memory_name(const testing::TestParamInfo<memory> &info)
    {
        return info.param == memory::full ? "full" : "roomy";
    }

    explicit scenario(memory room)
    {
        EXPECT_TRUE(core.create(memory_.bytes(), 4, 42));
        take_slots();
        subscribe_all();
        add_notes();
        crash_members(core, now).add_all(slot_s, slot_v, 2);
        leave_traces();
        if (room == memory::full) {
            fill();
        }
        room_last = core.last_id(room_v);
        EXPECT_EQ(check_integrity(core), "");
        // From now on the process monitor reports it as dead.
        processes.dead = {long_gone};
    }

    // A copy of the memory of another scenario.
    explicit scenario(const scenario &other)
        : now{other.now}, slot_s{other.slot_s}, slot_v{other.slot_v},
          room_s{other.room_s}, own_s{other.own_s}, room_v{other.room_v},
          own_v{other.own_v}, note_s{other.note_s}, note_v{other.note_v},
          note_r{other.note_r}, room_last{other.room_last}
    {
        std::memcpy(memory_.bytes().data(), other.bytes().data(),
                    bytes().size());
        EXPECT_TRUE(core.attach(memory_.bytes()));
        processes.dead = {long_gone};
    }
    scenario &operator=(const scenario &) = delete;

    std::span<std::byte> bytes() const { return memory_.bytes(); }

    // Discards the state that a process keeps outside the shared memory.
    void forget_private_state()
    {
        std::destroy_at(&core);
        std::construct_at(&core, lock);
        EXPECT_TRUE(core.attach(memory_.bytes()));
    }

    // The checks and actions of the survivor after the victim's death.
    void check_after_death()
    {
        EXPECT_EQ(check_integrity(core), "");
        processes.dead = {victim, long_gone};
        const slot_set woken = core.reclaim_dead(processes, now);
        EXPECT_EQ(check_integrity(core), "");
        EXPECT_EQ(core.clients(room_s), 3);
        EXPECT_EQ(core.leader(), std::nullopt);

        // In the external epoch, the log is at the position that was set or
        // after it.
        const message_id last = core.last_id(room_s);
        EXPECT_TRUE(last.epoch != outer + 1 || last.sequence >= 2000);
        check_notes();
        crash_members(core, now).check(slot_s);
        check_history();
        passed_ = core.passed_id(room_s).sequence;
        const std::size_t unread_of_s = drain_survivor();
        EXPECT_TRUE(unread_of_s == 0 || woken.test(slot_s));
        EXPECT_TRUE(room_lost_ ||
                    core.last_id(room_s) == (message_id{epoch_, passed_}));
        epoch_ = core.last_id(room_s).epoch;
        work_on();
        EXPECT_EQ(check_integrity(core), "");
        check_nothing_leaks();
    }

    owned_mutex lock;
    broker core{lock};
    process_table processes;
    std::uint64_t now = 1'700'000'000'000;
    unsigned slot_s = 0;
    unsigned slot_v = 0;
    subscription room_s;
    subscription own_s;
    subscription room_v;
    subscription own_v;
    note note_s;
    note note_v;          // with a state
    note note_r;          // may be removed
    message_id room_last; // before the operation of the victim

private:
    static constexpr limits three{.messages = 3};

    void take_slots()
    {
        slot_s = *core.claim(survivor, survivor, processes, now).slot;
        slot_v = *core.claim(victim, victim, processes, now).slot;
    }

    void join(subscription to, int clients)
    {
        for (int i = 0; i < clients; i++) {
            EXPECT_EQ(core.join(to, 0), outcome::done);
        }
    }

    void subscribe_all()
    {
        const unsigned slot_g =
            *core.claim(long_gone, long_gone, processes, now).slot;

        room_s = core.subscribe(slot_s, "room", &room_s, three, now).handle;
        own_s = core.subscribe(slot_s, "survivor's", &own_s, {}, now).handle;
        room_v = core.subscribe(slot_v, "room", &room_v, three, now).handle;
        own_v = core.subscribe(slot_v, "victim's", &own_v, three, now).handle;
        core.reset_position("room", {outer, 0}, false, now);
        join(room_s, 3);
        join(room_v, 2);
        join(own_v, 1);
        join(core.subscribe(slot_g, "room", nullptr, three, now).handle, 4);
        join(core.subscribe(slot_g, "gone", nullptr, {}, now).handle, 5);
    }

    void add_notes()
    {
        note_v = core.add_note(slot_v, 7, "of the victim", now);
        EXPECT_TRUE(core.set_note_state(note_v, "before", now));
        core.count_note(note_v, 41);
        note_r = core.add_note(slot_v, 6, "may be removed", now);
        EXPECT_TRUE(core.add_note(slot_v, 8, std::string(200, '2'), now));
        note_s = core.add_note(slot_s, 9, "of the survivor", now);
        EXPECT_TRUE(core.add_note(2, 9, "of the one long gone", now));
    }

    // The notes of the dead are found once each.
    void check_notes()
    {
        std::array<char, 1024> buffer;
        std::map<std::string, int> seen;

        while (const auto found =
                   core.adopt_note(slot_s, {}, buffer, now + 10'000)) {
            ASSERT_EQ(found->needed, 0);
            seen[std::string(found->text)]++;
            EXPECT_TRUE(found->text != "of the victim" ||
                        (found->kind == 7 && found->sequence == 41));
            EXPECT_TRUE(found->state.empty() || found->state == "before" ||
                        found->state == std::string(300, 's'));
            core.remove_note(found->handle);
        }

        for (const auto &[text, count] : seen) {
            EXPECT_EQ(count, 1) << text;
        }

        EXPECT_EQ(seen.count("of the one long gone"), 1);
        EXPECT_EQ(seen.count(std::string(200, '2')), 1);
        core.remove_note(note_s);
        EXPECT_EQ(seen.count("of the victim"), 1);
    }

    // Leaves entries of each kind, some of them read; logs that have been
    // unused for short and for long; and history that is too old.
    void leave_traces()
    {
        read_memory storage(64, 8192);
        const std::string text(300, 't');

        core.append("unused for long", message_of("x"), {}, now);
        core.append("aged", message_of("x", now),
                    limits{.messages = 9, .milliseconds = 1000}, now);
        now += unused_log_ttl;
        core.append("unused", message_of("x"), {}, now);
        core.append("unused, too", message_of("x"), {}, now);

        for (int i = 0; i < 4; i++) {
            core.append(room_s, message_of(text, now), now);
            core.append(room_s, transient_of("t"), now);
            core.append(own_v, message_of("to the victim", now), now);
        }
        core.read(room_s, storage.buffers(), now);
        core.append(room_v, message_of("last", now), now);
        core.append(own_s, message_of("to the survivor", now), now);
        // The survivor sleeps with unread messages; the victim runs.
        core.next_unread(slot_v);
    }

    void fill()
    {
        for (int i = 0; core.measure().dropped_unread < 6; i++) {
            core.append(i % 3 == 0 ? own_s : room_v,
                        message_of(std::string(i % 400, 'f'), now), now);
        }
    }

    // A message keeps the epoch in which it arrived.
    void check_epoch(const message &of_room)
    {
        EXPECT_EQ(of_room.id.epoch,
                  text_of(of_room.payload) == "anew" ? outer + 1 : epoch_);
    }

    void check_history()
    {
        read_memory storage(64, 8192);
        const read_result result =
            core.read_history(room_s, 0, storage.buffers(), now);

        for (const message &each : storage.first(result.count)) {
            check_epoch(each);
        }
    }

    // No message is missing unless a loss is reported.
    void check_room(std::span<const message> messages, bool lost)
    {
        room_lost_ = room_lost_ || lost;

        for (const message &each : messages) {
            check_epoch(each);
            EXPECT_TRUE(lost ||
                        each.id.sequence == passed_ + (each.transient ? 0 : 1));
            passed_ = each.id.sequence;
            lost = false;
        }

        if (lost) { // no message follows the loss
            passed_ = core.passed_id(room_s).sequence;
        }
    }

    // Reads all messages. The entries of each log are consecutive unless a loss
    // is reported.
    std::size_t drain_survivor()
    {
        std::map<void *, std::uint64_t> last;
        std::size_t read = 0;
        read_memory storage(5, 8192);

        while (const unread_subscription next = core.next_unread(slot_s)) {
            const read_result result =
                core.read(next.handle, storage.buffers(), now);

            EXPECT_EQ(result.needed, 0);
            EXPECT_TRUE(result.count > 0 || result.lost);
            if (next.handle == room_s) {
                check_room(storage.first(result.count), result.lost);
            }
            for (const message &each : storage.first(result.count)) {
                std::uint64_t &before = last[next.owner];
                EXPECT_TRUE(before == 0 || result.lost ||
                            each.position == before + 1);
                before = each.position;
            }
            read += result.count + (result.lost ? 1 : 0);
        }

        return read;
    }

    // Performs a process's usual operations, as the survivor and as a new one.
    void work_on()
    {
        const claim_result next = core.claim(successor, victim, processes, now);
        ASSERT_TRUE(next.slot.has_value());
        const subscribed room =
            core.subscribe(*next.slot, "room", nullptr, three, now);
        ASSERT_EQ(room.result, outcome::done);
        EXPECT_EQ(core.join(room.handle, 4), outcome::done);
        EXPECT_EQ(core.join(room.handle, 4), outcome::full);

        const std::uint64_t before = core.last_id(room_s).sequence;
        for (std::uint64_t i = 1; i <= 5; i++) {
            const append_result sent = core.append(
                "room", message_of(std::to_string(i), now), {}, now);
            EXPECT_EQ(sent.id.sequence, before + i);
            EXPECT_EQ(sent.clients, 4);
        }

        read_memory storage(10, 8192);
        read_result result = core.read(room.handle, storage.buffers(), now);
        ASSERT_EQ(result.count, 5);
        EXPECT_FALSE(result.lost);
        EXPECT_EQ(text_of(storage.first(5)[4].payload), "5");
        result =
            core.read_history(room.handle, before + 2, storage.buffers(), now);
        EXPECT_EQ(result.count, 3);
        EXPECT_EQ(drain_survivor(), 5);
        lead_on(*next.slot);
        core.leave(room.handle);
        core.release(*next.slot, now);
        EXPECT_EQ(core.clients(room_s), 3);
    }

    // Calls the functions of a leader. The log may be at any position.
    void lead_on(unsigned slot)
    {
        EXPECT_TRUE(core.lead(slot, now));
        EXPECT_FALSE(core.lead(slot_s, now));
        epoch_ = outer + 2;
        passed_ = 10;
        EXPECT_EQ(relay_next(), outcome::out_of_order);
        EXPECT_EQ(
            core.reset_position("room", {epoch_, passed_}, true, now).result,
            outcome::done);
        EXPECT_EQ(relay_next(), outcome::done);
        EXPECT_EQ(drain_survivor(), 2);
        EXPECT_EQ(relay_next(), outcome::done);
        EXPECT_EQ(drain_survivor(), 1);
    }

    outcome relay_next()
    {
        return core
            .append_external("room", message_of("next", now),
                             {epoch_, passed_ + 1}, now)
            .result;
    }

    void check_nothing_leaks()
    {
        core.set_limits(room_s, {}, now);
        crash_members(core, now).remove_all(slot_s);
        core.release(slot_s, now);

        for (const char *name : {"room", "victim's", "gone", "aged", "new"}) {
            const claim_result last =
                core.claim(survivor, survivor, processes, now);
            core.subscribe(last.slot.value_or(0), name, nullptr, {}, now);
            core.release(last.slot.value_or(0), now);
        }
        for (int i = 0; i < 2; i++, now += unused_log_ttl) {
            while (!core.expire(now, 100)) {}
        }
        while (!core.expire(now, 100)) {}
        EXPECT_EQ(core.measure().used, 0);
        EXPECT_EQ(core.measure().logs, 0);
        EXPECT_EQ(check_integrity(core), "");
    }

    shared_memory memory_{broker::min_size(4)};

    // The epoch and the state of the survivor's messages of the room.
    std::uint64_t epoch_ = outer;
    std::uint64_t passed_ = 0;
    bool room_lost_ = false;
};

} // namespace broker_tests
