// All operations during which a process may die.
#pragma once

#include "crash_member_operations.hpp"
#include "crash_scenario.hpp"

#include <array>

namespace broker_tests {

inline message_id after(message_id last)
{
    return {last.epoch, last.sequence + 1};
}

inline std::vector<operation> log_operations()
{
    static const std::string long_text(700, 'l');
    static const std::string long_name(400, 'n');
    static constexpr limits two{.messages = 2, .milliseconds = 50};

    return {
        {"append by handle",
         [](scenario &s) {
             s.core.append(s.room_v, message_of(long_text), s.now);
         }},
        {"append without subscriptions",
         [](scenario &s) {
             s.core.append("unused", message_of("x"), {}, s.now);
         }},
        {"append to a new log",
         [](scenario &s) {
             s.core.append("new", message_of("x"), two, s.now);
         }},
        {"append a transient entry",
         [](scenario &s) {
             s.core.append(s.room_v, transient_of("x"), s.now);
         }},
        {"append a large message",
         [](scenario &s) {
             s.core.append(s.own_v, message_of(std::string(16'000, 'm')),
                           s.now);
         }},
        {"append a too large message",
         [](scenario &s) {
             s.core.append(s.own_v, message_of(std::string(17'000, 'm')),
                           s.now);
         }},
        {"append to a log over its limit",
         [](scenario &s) {
             s.core.limit_logs(1024);
             s.core.append(s.room_v, message_of(long_text), s.now);
             s.core.limit_logs(0);
         }},
        {"append an external message",
         [](scenario &s) {
             s.core.append_external("room", message_of("x"), after(s.room_last),
                                    s.now);
         }},
        {"append an external transient entry",
         [](scenario &s) {
             s.core.append_external("room", transient_of("x"), {}, s.now);
         }},
        {"append a too large external message",
         [](scenario &s) {
             s.core.append_external("room",
                                    message_of(std::string(17'000, 'm')),
                                    after(s.room_last), s.now);
         }},
        {"append an external message without subscriptions",
         [](scenario &s) {
             s.core.reset_position("unused", {outer, 3}, true, s.now);
             s.core.append_external("unused", message_of("x"), {outer, 4},
                                    s.now);
         }},
        {"set the first position",
         [](scenario &s) {
             s.core.reset_position("victim's", {outer, 2}, true, s.now);
         }},
        {"set a later position",
         [](scenario &s) {
             s.core.reset_position("room", {outer, s.room_last.sequence + 5},
                                   true, s.now);
         }},
        {"set an earlier position",
         [](scenario &s) {
             s.core.reset_position("room", {outer, 1}, false, s.now);
         }},
        {"set another epoch",
         [](scenario &s) {
             s.core.reset_position("room", {outer + 1, 2000}, false, s.now);
             s.core.append_external("room", message_of("anew"),
                                    {outer + 1, 2001}, s.now);
         }},
        {"set another epoch with a loss",
         [](scenario &s) {
             s.core.reset_position("room", {outer + 1, 2000}, true, s.now);
             s.core.append_external("room", message_of("anew"),
                                    {outer + 1, 2001}, s.now);
         }},
        {"mark as synced", [](scenario &s) { s.core.mark_synced("room", 1); }},
        {"store a cursor",
         [](scenario &s) {
             s.core.store_cursor(1, {{outer, 9}, 5});
         }},
        {"store a cursor of another run",
         [](scenario &s) {
             s.core.store_cursor(1, {{outer, 9}, 5});
             s.core.store_cursor(1, {{outer, 3}, 6});
         }},
        {"count remote clients",
         [](scenario &s) { s.core.set_remote_clients("victim's", 9); }},
        {"lead",
         [](scenario &s) { static_cast<void>(s.core.lead(s.slot_v, s.now)); }},
        {"resign",
         [](scenario &s) {
             s.core.lead(s.slot_v, s.now);
             s.core.resign(s.slot_v);
         }},
        {"release the leader's slot",
         [](scenario &s) {
             s.core.lead(s.slot_v, s.now);
             s.core.release(s.slot_v, s.now);
         }},
        {"subscribe",
         [](scenario &s) {
             s.core.subscribe(s.slot_v, "room", nullptr, two, s.now);
         }},
        {"subscribe to a new log",
         [](scenario &s) {
             s.core.subscribe(s.slot_v, long_name, nullptr, {}, s.now);
         }},
        {"unsubscribe",
         [](scenario &s) { s.core.unsubscribe(s.room_v, s.now); }},
        {"unsubscribe the only subscription",
         [](scenario &s) {
             s.core.set_limits(s.own_v, {}, s.now);
             s.core.unsubscribe(s.own_v, s.now);
         }},
        {"set limits",
         [](scenario &s) { s.core.set_limits(s.room_v, two, s.now); }},
        {"ask for a history",
         [](scenario &s) {
             static constexpr std::array<history_rules::rule, 2> wanted{
                 {{1, two}, {2, {.messages = 4}}}};
             static const history_rules rules(wanted);

             s.core.ask_history(s.room_v, {{}, &rules, 1, 1}, s.now);
             s.core.ask_history(s.room_v, {{}, &rules, 2, 2}, s.now);
         }},
        {"join",
         [](scenario &s) { static_cast<void>(s.core.join(s.room_v, 0)); }},
        {"leave", [](scenario &s) { s.core.leave(s.room_v); }},
        {"read",
         [](scenario &s) {
             read_memory storage(64, 8192);
             s.core.read(s.room_v, storage.buffers(), s.now);
         }},
        {"read in part",
         [](scenario &s) {
             read_memory storage(2, 8192);
             s.core.read(s.own_v, storage.buffers(), s.now);
         }},
        {"read until nothing is unread",
         [](scenario &s) {
             read_memory storage(3, 8192);
             while (const unread_subscription next =
                        s.core.next_unread(s.slot_v)) {
                 s.core.read(next.handle, storage.buffers(), s.now);
             }
         }},
        {"read history",
         [](scenario &s) {
             read_memory storage(64, 8192);
             s.core.read_history(s.room_v, 0, storage.buffers(), s.now);
         }},
        {"describe", [](scenario &s) { s.core.describe("room", s.now); }},
        {"expire",
         [](scenario &s) {
             while (!s.core.expire(s.now + 1, 3)) {}
         }},
        {"add a note",
         [](scenario &s) {
             s.core.add_note(s.slot_v, 1, std::string(300, 'n'), s.now);
         }},
        {"change the state of a note",
         [](scenario &s) {
             s.core.set_note_state(s.note_v, std::string(300, 's'), s.now);
         }},
        {"end the state of a note",
         [](scenario &s) { s.core.set_note_state(s.note_v, {}, s.now); }},
        {"remove a note", [](scenario &s) { s.core.remove_note(s.note_r); }},
        {"abandon a note",
         [](scenario &s) { s.core.abandon_note(s.note_r, s.now); }},
        {"adopt a note",
         [](scenario &s) {
             std::array<char, 1024> buffer;
             constexpr std::array<std::uint32_t, 1> kinds{9};
             s.core.reclaim_dead(s.processes, s.now);
             s.core.adopt_note(s.slot_v, kinds, buffer, s.now);
         }},
        {"claim",
         [](scenario &s) { s.core.claim(successor, 9, s.processes, s.now); }},
        {"release", [](scenario &s) { s.core.release(s.slot_v, s.now); }},
        {"reclaim",
         [](scenario &s) { s.core.reclaim_dead(s.processes, s.now); }},
    };
}

inline std::vector<operation> operations()
{
    std::vector<operation> all = log_operations();

    for (operation &each : member_operations()) {
        all.push_back(std::move(each));
    }

    return all;
}

} // namespace broker_tests
