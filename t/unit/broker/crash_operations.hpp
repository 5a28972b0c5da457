// Each kind of operation that a process may die in.
#pragma once

#include "crash_scenario.hpp"

#include <array>
#include <functional>

namespace broker_tests {

// What the victim does last.
struct operation {
    const char *name;
    std::function<void(scene &)> run;
};

inline message_id behind(message_id last)
{
    return {last.epoch, last.sequence + 1};
}

inline std::vector<operation> operations()
{
    static const std::string long_text(700, 'l');
    static const std::string long_name(400, 'n');
    static constexpr limits two{.messages = 2, .milliseconds = 50};

    return {
        {"append by handle",
         [](scene &s) {
             s.core.append(s.room_v, message_of(long_text), s.now);
         }},
        {"append to nobody",
         [](scene &s) { s.core.append("unused", message_of("x"), {}, s.now); }},
        {"append to a new log",
         [](scene &s) { s.core.append("new", message_of("x"), two, s.now); }},
        {"append a transient entry",
         [](scene &s) { s.core.append(s.room_v, transient_of("x"), s.now); }},
        {"append much",
         [](scene &s) {
             s.core.append(s.own_v, message_of(std::string(16'000, 'm')),
                           s.now);
         }},
        {"append too much",
         [](scene &s) {
             s.core.append(s.own_v, message_of(std::string(17'000, 'm')),
                           s.now);
         }},
        {"append to a log over its limit",
         [](scene &s) {
             s.core.limit_logs(1024);
             s.core.append(s.room_v, message_of(long_text), s.now);
             s.core.limit_logs(0);
         }},
        {"relay",
         [](scene &s) {
             s.core.append_external("room", message_of("x"),
                                    behind(s.room_last), s.now);
         }},
        {"relay a transient entry",
         [](scene &s) {
             s.core.append_external("room", transient_of("x"), {}, s.now);
         }},
        {"relay too much",
         [](scene &s) {
             s.core.append_external("room",
                                    message_of(std::string(17'000, 'm')),
                                    behind(s.room_last), s.now);
         }},
        {"relay to nobody",
         [](scene &s) {
             s.core.reset_position("unused", {outer, 3}, true, s.now);
             s.core.append_external("unused", message_of("x"), {outer, 4},
                                    s.now);
         }},
        {"align at first",
         [](scene &s) {
             s.core.reset_position("victim's", {outer, 2}, true, s.now);
         }},
        {"align further on",
         [](scene &s) {
             s.core.reset_position("room", {outer, s.room_last.sequence + 5},
                                   true, s.now);
         }},
        {"align back",
         [](scene &s) {
             s.core.reset_position("room", {outer, 1}, false, s.now);
         }},
        {"align to another epoch",
         [](scene &s) {
             s.core.reset_position("room", {outer + 1, 2000}, false, s.now);
             s.core.append_external("room", message_of("anew"),
                                    {outer + 1, 2001}, s.now);
         }},
        {"align to another epoch with a loss",
         [](scene &s) {
             s.core.reset_position("room", {outer + 1, 2000}, true, s.now);
             s.core.append_external("room", message_of("anew"),
                                    {outer + 1, 2001}, s.now);
         }},
        {"mark as linked", [](scene &s) { s.core.mark_synced("room", 1); }},
        {"count remote clients",
         [](scene &s) { s.core.set_remote_clients("victim's", 9); }},
        {"lead", [](scene &s) { static_cast<void>(s.core.lead(s.slot_v)); }},
        {"lead no more",
         [](scene &s) {
             s.core.lead(s.slot_v);
             s.core.resign(s.slot_v);
         }},
        {"release the leader's slot",
         [](scene &s) {
             s.core.lead(s.slot_v);
             s.core.release(s.slot_v, s.now);
         }},
        {"subscribe",
         [](scene &s) {
             s.core.subscribe(s.slot_v, "room", nullptr, two, s.now);
         }},
        {"subscribe to a new log",
         [](scene &s) {
             s.core.subscribe(s.slot_v, long_name, nullptr, {}, s.now);
         }},
        {"unsubscribe", [](scene &s) { s.core.unsubscribe(s.room_v, s.now); }},
        {"unsubscribe alone",
         [](scene &s) {
             s.core.set_limits(s.own_v, {}, s.now);
             s.core.unsubscribe(s.own_v, s.now);
         }},
        {"set limits",
         [](scene &s) { s.core.set_limits(s.room_v, two, s.now); }},
        {"ask for a history",
         [](scene &s) {
             static constexpr std::array<history_rules::rule, 2> wanted{
                 {{1, two}, {2, {.messages = 4}}}};
             static const history_rules rules(wanted);

             s.core.ask_history(s.room_v, {{}, &rules, 1, 1}, s.now);
             s.core.ask_history(s.room_v, {{}, &rules, 2, 2}, s.now);
         }},
        {"join", [](scene &s) { static_cast<void>(s.core.join(s.room_v, 0)); }},
        {"leave", [](scene &s) { s.core.leave(s.room_v); }},
        {"read",
         [](scene &s) {
             reading_room room(64, 8192);
             s.core.read(s.room_v, room.lent(), s.now);
         }},
        {"read in part",
         [](scene &s) {
             reading_room room(2, 8192);
             s.core.read(s.own_v, room.lent(), s.now);
         }},
        {"read news until none",
         [](scene &s) {
             reading_room room(3, 8192);
             while (const unread_subscription next =
                        s.core.next_unread(s.slot_v)) {
                 s.core.read(next.handle, room.lent(), s.now);
             }
         }},
        {"read history",
         [](scene &s) {
             reading_room room(64, 8192);
             s.core.read_history(s.room_v, 0, room.lent(), s.now);
         }},
        {"describe", [](scene &s) { s.core.describe("room", s.now); }},
        {"expire",
         [](scene &s) {
             while (!s.core.expire(s.now + 1, 3)) {}
         }},
        {"claim",
         [](scene &s) { s.core.claim(successor, 9, s.processes, s.now); }},
        {"release", [](scene &s) { s.core.release(s.slot_v, s.now); }},
        {"reclaim", [](scene &s) { s.core.reclaim_dead(s.processes, s.now); }},
    };
}

} // namespace broker_tests
