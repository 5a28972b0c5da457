"""The reconnecting of Room. room_js_harness.js describes the
scripts."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, server_fixture
from room_js_harness import run_script_fixture


# Connecting again

def test_delays_double_up_to_their_bound(run_script):
    assert run_script("""
        const delays = [];
        make({ first_delay: 100, longest_delay: 1000 }).addEventListener(
            "state", ({ detail }) => detail.state === "waiting"
                && delays.push(detail.delay));
        for (let i = 0; i < 6; i++) {
            server().lose();
            next();
        }
        return delays;""") == [50, 100, 200, 400, 500, 500]


def test_delay_is_any_part_of_its_bound(run_script):
    assert run_script("""
        const delays = [];
        for (const dice of [0, 0.25, 0.999]) {
            replace(Math, "random", () => dice);
            make({ first_delay: 1000 }).addEventListener("state",
                ({ detail }) => detail.state === "waiting"
                    && delays.push(detail.delay));
            server().lose();
        }
        return delays;""") == [0, 250, 999]


def test_waiting_event_has_time_and_reason(run_script):
    assert run_script("""
        let recorded;
        make({ first_delay: 1000 }).addEventListener("state",
            ({ detail }) => { recorded = detail; });
        const before = Date.now();
        server().lose(1006, "");
        const { at: due, ...failed } = recorded;
        const soon = due - before >= 500 && due - Date.now() <= 500;
        next();
        server().welcome("5-0").lose(1013, "slow");
        return [soon, failed, recorded.was_open, recorded.code, recorded.reason];""") == [
            True, {"state": "waiting", "delay": 500, "code": 1006,
                   "reason": "", "was_open": False}, True, 1013, "slow"]


def test_server_going_away_is_retried_at_once_for_a_time(run_script):
    assert run_script("""
        const delays = [];
        make({ first_delay: 1000 }).addEventListener("state", ({ detail }) =>
            detail.state === "waiting" && delays.push(detail.delay));
        for (let i = 0; i < 3; i++) {
            server().welcome("5-0").lose(1001);
            next();
        }
        server().welcome("5-0");
        at(5000);
        server().lose(1001);
        at(0);
        server().lose(1006);
        return delays;""") == [0, 1000, 2000, 0, 1000]


def test_stable_connection_resets_the_delays(run_script):
    assert run_script("""
        const delays = [];
        make({ first_delay: 1000, settled_after: 3000 }).addEventListener(
            "state", ({ detail }) => detail.state === "waiting"
                && delays.push(detail.delay));
        for (const held of [0, 2999, 3000]) {
            server().welcome("5-0");
            at(held);
            server().lose();
            next();
        }
        return delays;""") == [500, 1000, 500]


def test_offline_browser_waits_for_its_network(run_script):
    assert run_script("""
        replace(navigator, "onLine", false);
        const room = make();
        server().lose();
        at(1e6);
        const before = [events(), sockets.length, timers.size];
        replace(navigator, "onLine", true);
        dispatchEvent(new Event("online"));
        return [...before, events(), sockets.length];""") == [
            ["waiting"], 1, 0, ["connecting"], 2]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:80",
                                  "a.localhost"])
def test_own_machine_needs_no_network(run_script, host):
    assert run_script(f"""
        replace(navigator, "onLine", false);
        make({{}}, "ws://{host}/room/r");
        server().lose();
        next();
        return sockets.length;""") == 2


def test_returning_network_or_page_ends_the_delay(run_script):
    assert run_script("""
        make();
        server().lose();
        dispatchEvent(new Event("online"));
        server().lose();
        document.dispatchEvent(new Event("visibilitychange"));
        server().lose();
        replace(document, "visibilityState", "hidden");
        document.dispatchEvent(new Event("visibilitychange"));
        const before = sockets.length;
        server().lose();
        return [before, timers.size];""") == [3, 1]


def test_retry_ends_the_delay_and_nothing_else(run_script):
    assert run_script("""
        const room = make();
        room.retry();
        server().lose();
        room.retry();
        server().welcome("5-0");
        room.retry();
        return [sockets.length, events()];""") == [
            2, ["waiting", "connecting", "open", "welcome",
                "caught up 0 true"]]


def test_attempt_without_a_welcome_times_out(run_script):
    assert run_script("""
        make({ welcome_within: 1000 });
        at(999);
        const before = events();
        at(1);
        const [first] = sockets;
        const given_up = events();
        next();
        first.welcome("5-0");
        return [before, given_up, first.closed, sockets.length, events()];
        """) == [[], ["waiting"], True, 2, ["connecting"]]


@pytest.mark.parametrize("code, ends", [(1000, True), (1001, False),
                                        (1008, False), (4000, False)])
def test_final_codes_end_the_room(run_script, code, ends):
    assert run_script(f"""
        const room = make();
        server().welcome("5-0").lose({code}, "bye");
        at(1000);
        room.retry();
        return [sockets.length, room.state];""") == (
            [1, "closed"] if ends else [2, "connecting"])


# Whether the connection is alive

def test_silent_connection_is_pinged_and_dropped(run_script):
    assert run_script("""
        const room = make({ ping_after: 1000, pong_within: 300 });
        let recorded;
        room.addEventListener("state", ({ detail }) => { recorded = detail; });
        const first = server().welcome("5-7").message("5-8");
        at(999);
        const before = first.sent.length;
        at(1);
        const asked = [...first.sent];
        at(299);
        const waits = room.state;
        at(1);
        const { code, reason, was_open } = recorded;
        next();
        return [before, asked, waits, first.closed, code, reason, was_open,
                server().since, events().slice(4)];""") == [
            0, [{"ping": 1}], "open", True, 1006, "no answer to a ping", True,
            "5-8", ["waiting", "connecting"]]


@pytest.mark.parametrize("answer", [
    'deliver("pong")', 'message("5-1")', 'deliver("gap")', 'frame("?")'])
def test_any_message_answers_the_ping(run_script, answer):
    assert run_script(f"""
        const room = make({{ ping_after: 1000, pong_within: 300 }});
        const pings = [];
        server().welcome("5-0");
        for (let i = 0; i < 5; i++) {{
            at(1299);
            server().{answer};
            pings.push(server().sent.length);
        }}
        return [pings, sockets.length, room.state];""") == [
            [1, 2, 3, 4, 5], 1, "open"]


def test_active_connection_is_not_pinged(run_script):
    assert run_script("""
        make({ ping_after: 1000, pong_within: 300 });
        server().welcome("5-0");
        for (let i = 1; i < 20; i++) {
            at(900);
            server().message(`5-${i}`);
        }
        return [server().sent, timers.size];""") == [[], 1]


def test_pong_is_no_event(run_script):
    assert run_script("""
        make({ ping_after: 1000, pong_within: 300 });
        server().welcome("5-0");
        at(1000);
        server().deliver("pong").deliver("pong", { ref: 1 });
        return events().slice(3);""") == []


@pytest.mark.parametrize("late, state", [(0, "waiting"), (301, "open")])
def test_frozen_page_pings_again(run_script, late, state):
    """Its timer runs late, when the pong may already be waiting to be read."""
    assert run_script(f"""
        const room = make({{ ping_after: 1000, pong_within: 300,
                             first_delay: 1e6, longest_delay: 1e6 }});
        server().welcome("5-0");
        at(1000);
        const [[id, {{ call, time }}]] = timers;
        timers.delete(id);
        at(300 + {late});
        call();
        const after = room.state;
        at(300);
        return [after, room.state, server().sent.length];""") == [
            state, "waiting", 1 if late == 0 else 2]


def test_returning_page_pings_at_once(run_script):
    assert run_script("""
        const room = make({ ping_after: 1000, pong_within: 300 });
        dispatchEvent(new Event("online"));
        server().welcome("5-0");
        at(500);
        dispatchEvent(new Event("online"));
        document.dispatchEvent(new Event("visibilitychange"));
        const asked = server().sent.length;
        at(300);
        return [asked, room.state];""") == [1, "waiting"]


def test_no_pings_if_disabled(run_script):
    assert run_script("""
        make({ ping_after: Infinity });
        server().welcome("5-0");
        at(1e9);
        return [server().sent, timers.size];""") == [[], 0]
