"""Suspending, resuming and closing a room of Room.
room_js_harness.js describes the scripts."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, server_fixture
from room_js_harness import run_script_fixture


@pytest.mark.parametrize("end, state", [("close", "closed"),
                                        ("suspend", "suspended")])
@pytest.mark.parametrize("welcomed", [False, True])
def test_socket_that_reports_its_close_at_once(run_script, end, state,
                                               welcomed):
    """The WebSocket of Node 24 does so. The room is not opened again."""
    assert run_script(f"""
        const room = make();
        const first = server();
        first.close = () => first.lose(1006);
        if ({str(welcomed).lower()}) {{
            first.welcome("5-0");
        }}
        events();
        room.{end}();
        at(1e6);
        return [sockets.length, timers.size, room.state, events()];""") == [
            1, 0, state, [state]]


def test_abandoned_attempt_may_report_its_close_at_once(run_script):
    assert run_script("""
        make({ welcome_within: 1000 });
        const first = server();
        first.close = () => first.lose(1006);
        at(1000);
        const given_up = [events(), timers.size];
        next();
        return [...given_up, sockets.length];""") == [["waiting"], 1, 2]


def test_suspended_room_waits_to_be_resumed(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-3");
        room.suspend();
        room.suspend();
        dispatchEvent(new Event("online"));
        room.retry();
        at(1e6);
        const { closed } = server();
        room.resume();
        room.resume();
        return [closed, sockets.length, server().since, events().slice(3)];
        """) == [True, 2, "5-3", ["suspended", "connecting"]]


def test_resumed_room_resets_its_delays(run_script):
    assert run_script("""
        let delay;
        const room = make({ first_delay: 1000 });
        room.addEventListener("state", ({ detail }) => ({ delay } = detail));
        server().lose();
        next();
        server().lose();
        const grown = delay;
        room.suspend();
        room.resume();
        server().lose();
        return [grown, delay];""") == [1000, 500]


def test_hidden_page_suspends_and_resumes(run_script):
    assert run_script("""
        make();
        server().welcome("5-3");
        dispatchEvent(new Event("pagehide"));
        at(1e6);
        const away = [sockets.length, server().closed];
        dispatchEvent(new Event("pageshow"));
        return [...away, server().since, events().slice(3)];""") == [
            1, True, "5-3", ["suspended", "connecting"]]


def test_returning_page_resumes_its_own_suspension_alone(run_script):
    assert run_script("""
        const suspended = make();
        suspended.suspend();
        const closed = make();
        closed.close();
        const offline = make();
        server().lose();
        dispatchEvent(new Event("pagehide"));
        dispatchEvent(new Event("pageshow"));
        return [suspended, closed, offline].map(({ state }) => state);
        """) == ["suspended", "closed", "connecting"]


def test_room_closed_while_connecting(run_script):
    assert run_script("""
        const room = make();
        const answer = settled(room.publish("x"));
        room.close();
        room.close();
        const [first] = sockets;
        first.welcome("5-0").message("5-1").lose(1006);
        room.resume();
        room.retry();
        dispatchEvent(new Event("online"));
        dispatchEvent(new Event("pagehide"));
        dispatchEvent(new Event("pageshow"));
        at(1e6);
        return [first.closed, sockets.length, timers.size, events(),
                await answer, await settled(room.publish("y"))];""") == [
            True, 1, 0, ["closed"], "not: the room was closed",
            "not: the room is closed"]


def test_closed_room_listens_to_nothing_any_more(run_script):
    assert run_script("""
        const signals = [];
        const listen = EventTarget.prototype.addEventListener;
        for (const target of [globalThis, document]) {
            replace(target, "addEventListener", (name, call, options) => {
                signals.push(options.signal);
                listen.call(target, name, call, options);
            });
        }
        const room = make();
        const before = signals.map(({ aborted }) => aborted);
        room.close();
        return [before, signals.map(({ aborted }) => aborted)];
        """) == [[False] * 4, [True] * 4]


def test_room_closed_while_waiting(run_script):
    assert run_script("""
        const room = make();
        server().lose();
        room.close();
        at(1e6);
        return [sockets.length, room.state];""") == [1, "closed"]


@pytest.mark.parametrize("kind, last", [
    ("state", "open"), ("welcome", "welcome"), ("gap", "gap resume after 5-7"),
    ("message", "message 5-8 missed"), ("caught_up", "caught up 2 false"),
    ("presence", "presence"), ("fault", "fault")])
def test_listener_may_end_the_room(run_script, kind, last):
    result = run_script(f"""
        const room = make({{ since: "5-7" }});
        room.addEventListener("{kind}", () => room.close());
        server().welcome("5-9", {{ recovered: false }});
        server().message("5-8").message("5-9");
        server().deliver("joined", {{ client: 8, clients: 2 }}).frame("?");
        at(1e6);
        return [events(), sockets.length, timers.size];""")
    assert result[0][-2:] == [last, "closed"]
    assert result[1:] == [1, 0]
