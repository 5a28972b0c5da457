"""Presence by user: a user joins a room with the first client and leaves it a
grace after the last one."""

import json
import os
import signal

import pytest

import rooms_client
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import join, read, read_type, send_text
from worker_picking import REUSEPORT, wait_for_other_worker

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user;
                   websocket room $arg_k presence=on presence_grace=2s; }
location = /at-once { websocket_user $websocket_arg_user;
                      websocket room $arg_k presence=on presence_grace=0; }
location = /long { websocket_user $websocket_arg_user;
                   websocket room $arg_k presence=on presence_grace=1h; }
location = /quiet { websocket_user $websocket_arg_user;
                    websocket room $arg_k; }
location = /rooms { websocket_user $websocket_arg_user; websocket rooms;
                    websocket_rooms * presence=on presence_grace=2s; }
location = /list { websocket_publish room $arg_k; }
"""
GRACE = 2


@pytest.fixture(scope="module")
def server(module_nginx):
    """Two workers."""
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT)


@pytest.fixture
def short_lived(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    return server


def event(kind, user, client, clients):
    return {"type": kind, "user": user, "client": client, "clients": clients}


def id_of(client):
    return client.welcome["client"]


def observers_on(server, key):
    """A client without a user on each worker, in the order of pids."""
    observers = [join(server, f"/room?k={key}", pid)
                 for pid in sorted(server.worker_pids())]
    first, second = observers
    assert read(first) == {"type": "joined", "client": id_of(second),
                           "clients": 2}
    return observers


def tab(server, user, key, worker=None, path="/room"):
    """A client of a user, on that worker."""
    pid = None if worker is None else sorted(server.worker_pids())[worker]
    return join(server, f"{path}?k={key}&user={user}", pid)


def leave(client):
    """Closes, past unread events."""
    client.close(1000)
    while client.read_frame().close_code != 1000:
        pass
    client.disconnect()


def expect(observers, expected):
    for observer in observers:
        assert read(observer, seconds(GRACE + 4)) == expected


def expect_nothing_so_far(server, observers, key):
    """A user who comes and goes now is the next whose events are seen. The
    grace of all who left before has passed then."""
    guest = tab(server, "guest", key)
    for observer in observers:
        seen = read(observer)
        assert (seen["type"], seen["user"]) == ("joined", "guest"), seen
    leave(guest)
    for observer in observers:
        seen = read(observer, seconds(GRACE + 4))
        assert (seen["type"], seen["user"]) == ("left", "guest"), seen


def users_of(server, key):
    publisher = Publisher(server, f"/list?k={key}&presence=1")
    try:
        return json.loads(publisher.ask("GET").body)["users"]
    finally:
        publisher.client.disconnect()


def test_two_tabs_on_two_workers_join_once_and_leave_once(server):
    observers = observers_on(server, "tabs")
    first = tab(server, "42", "tabs", 0)
    expect(observers, event("joined", "42", id_of(first), 3))
    second = tab(server, "42", "tabs", 1)
    assert second.welcome["clients"] == 4
    leave(first)
    expect_nothing_so_far(server, observers, "tabs")
    leave(second)
    expect(observers, event("left", "42", id_of(second), 2))
    for observer in observers:
        observer.expect_alive()


def test_user_who_returns_within_the_grace_has_not_left(server):
    observers = observers_on(server, "flap")
    client = tab(server, "42", "flap", 0)
    expect(observers, event("joined", "42", id_of(client), 3))
    for worker in (1, 0, 0, 1, 1):
        leave(client)
        wait_until(lambda: users_of(server, "flap") ==
                   [{"user": "42", "clients": 0}], seconds(2), "the end")
        client = tab(server, "42", "flap", worker)
    assert users_of(server, "flap") == [{"user": "42", "clients": 1}]
    expect_nothing_so_far(server, observers, "flap")
    leave(client)
    expect(observers, event("left", "42", id_of(client), 2))
    assert users_of(server, "flap") == []


def test_grace_begins_with_the_last_client(server):
    observers = observers_on(server, "again")
    client = tab(server, "42", "again", 0)
    expect(observers, event("joined", "42", id_of(client), 3))
    for _ in range(3):
        leave(client)
        client = tab(server, "42", "again", 0)
    second = tab(server, "43", "again", 0)
    expect(observers, event("joined", "43", id_of(second), 4))
    leave(second)
    leave(client)
    expect(observers, event("left", "43", id_of(second), 2))
    expect(observers, event("left", "42", id_of(client), 2))


def test_without_grace_a_user_leaves_at_once(server):
    observer = tab(server, "", "zero", path="/at-once")
    for clients in (2, 2):
        client = tab(server, "42", "zero", path="/at-once")
        assert read(observer) == event("joined", "42", id_of(client), clients)
        leave(client)
        assert read(observer) == event("left", "42", id_of(client), 1)


def test_largest_grace_of_a_room_counts(server):
    observers = observers_on(server, "long")
    for path in ("/long", "/at-once"):
        client = tab(server, "42", "long", 0, path)
        if path == "/long":
            expect(observers, event("joined", "42", id_of(client), 3))
        leave(client)
    wait_until(lambda: users_of(server, "long") ==
               [{"user": "42", "clients": 0}], seconds(2), "the last client")
    back = tab(server, "42", "long", 1, "/at-once")
    send_text(back, "still here")
    for observer in observers:
        assert read_type(observer, "message")["user"] == "42"


def test_clients_without_a_user_are_announced_each(server):
    first, second = observers_on(server, "nobody")
    third = tab(server, "", "nobody", 1)
    for observer in (first, second):
        assert read(observer) == {"type": "joined", "client": id_of(third),
                                  "clients": 3}
    leave(third)
    for observer in (first, second):
        assert read(observer) == {"type": "left", "client": id_of(third),
                                  "clients": 2}


def test_rooms_and_room_are_one_presence(server):
    observers = observers_on(server, "both")
    client = rooms_client.joined(server, "both", path="/rooms?user=42")
    expect(observers, event("joined", "42", id_of(client), 3))
    second = tab(server, "42", "both", 1)
    rooms_client.ask(client, unsubscribe=["both"])
    expect_nothing_so_far(server, observers, "both")
    watching = rooms_client.joined(server, "both")
    for observer in observers:
        assert read(observer)["client"] == id_of(watching)
    leave(second)
    expect(observers, event("left", "42", id_of(second), 3))
    assert read(watching) == {"room": "both",
                              **event("left", "42", id_of(second), 3)}
    again = tab(server, "42", "both", 0)
    assert read(watching) == {"room": "both",
                              **event("joined", "42", id_of(again), 4)}
    rooms_client.subscribe(client, "both")
    assert rooms_client.ask(client, presence="both") == {
        "type": "presence", "room": "both", "clients": 5, "more": False,
        "users": [{"user": "42", "clients": 2}]}


def test_client_of_a_location_without_presence_is_a_user(server):
    observers = observers_on(server, "quiet")
    client = tab(server, "42", "quiet", 0, "/quiet")
    expect(observers, event("joined", "42", id_of(client), 3))
    other = tab(server, "43", "quiet", 1)
    expect(observers, event("joined", "43", id_of(other), 4))
    client.expect_alive()


def test_join_event_precedes_messages_of_other_tabs(server):
    observers = observers_on(server, "order")
    for number in range(20):
        tabs = [tab(server, f"u{number}", "order", each) for each in (0, 1)]
        send_text(tabs[1], "words")
        for observer in observers:
            seen = [read(observer)]
            while seen[-1]["type"] != "message":
                seen.append(read(observer))
            names = [each.get("user") for each in seen
                     if each["type"] == "joined"]
            assert f"u{number}" in names
        for each in tabs:
            each.disconnect()


def test_many_users_joining_at_once_cause_few_events(server):
    observer = tab(server, "", "many")
    tabs = [tab(server, f"user-{number}", "many", number % 2)
            for number in range(200)]
    seen = [read(observer)]
    while seen[-1]["clients"] != 201:
        seen.append(read(observer))
    assert {each["type"] for each in seen} == {"joined"}
    named = {each["user"] for each in seen if "user" in each}
    assert len(named) == 200 or None in {each["client"] for each in seen}
    assert len(users_of(server, "many")) == 100  # a page
    for client in tabs:
        client.disconnect()
    last = read(observer, seconds(GRACE + 4))
    while last["clients"] != 1:
        last = read(observer, seconds(4))
    wait_until(lambda: users_of(server, "many") == [], seconds(5), "the end")


def test_killed_worker_takes_along_only_users_without_another_client(
        short_lived):
    server = short_lived
    observer = tab(server, "", "killed", 0)
    victim = sorted(server.worker_pids())[1]
    only = tab(server, "only", "killed", 1)
    both = [tab(server, "both", "killed", worker) for worker in (1, 0)]
    for _ in range(2):
        read_type(observer, "joined")
    os.kill(victim, signal.SIGKILL)
    # No event without a name comes before or after it
    assert read(observer, seconds(GRACE + 4)) == event("left", "only", None, 2)
    wait_for_other_worker(server, victim, 2)
    assert users_of(server, "killed") == [{"user": "both", "clients": 1}]
    back = tab(server, "only", "killed")
    assert read(observer) == event("joined", "only", id_of(back), 3)
    leave(both[1])
    assert read(observer, seconds(GRACE + 4)) == event(
        "left", "both", id_of(both[1]), 2)
    observer.expect_alive()
    only.disconnect()


def test_user_who_returns_after_a_kill_has_not_left(short_lived):
    server = short_lived
    observer = tab(server, "", "back", 0)
    victim = sorted(server.worker_pids())[1]
    lost = tab(server, "42", "back", 1, "/long")
    read_type(observer, "joined")
    os.kill(victim, signal.SIGKILL)
    wait_for_other_worker(server, victim, 2)
    wait_until(lambda: users_of(server, "back") ==
               [{"user": "42", "clients": 0}], seconds(5), "the loss")
    back = tab(server, "42", "back")
    send_text(back, "here")
    # A count that is compared a second after the loss causes no event
    guest = tab(server, "guest", "back", 0)
    assert read_type(observer, "message")["user"] == "42"
    assert read(observer) == event("joined", "guest", id_of(guest), 3)
    lost.disconnect()


def test_clients_without_a_user_that_are_lost_have_an_event(short_lived):
    server = short_lived
    observer = tab(server, "", "lost", 0)
    victim = sorted(server.worker_pids())[1]
    both = [tab(server, "both", "lost", worker) for worker in (1, 0)]
    read_type(observer, "joined")
    nobody = tab(server, "", "lost", 1)
    assert read_type(observer, "joined")["client"] == id_of(nobody)
    os.kill(victim, signal.SIGKILL)
    assert read(observer, seconds(5)) == {"type": "left", "client": None,
                                          "clients": 2}
    for client in (*both, nobody):
        client.disconnect()


def test_users_move_to_new_workers(short_lived):
    server = short_lived
    clients = [tab(server, f"user-{number}", "moved", number % 2, "/long")
               for number in range(4)]
    server.reload()
    observer = tab(server, "", "moved")
    back = [tab(server, f"user-{number}", "moved", path="/long")
            for number in range(4)]
    for client in clients:
        while client.read_frame().close_code != 1001:
            pass
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    wait_until(lambda: users_of(server, "moved") ==
               [{"user": f"user-{number}", "clients": 1}
                for number in range(4)], seconds(5), "the end of the old ones")
    guest = tab(server, "guest", "moved")
    assert read(observer) == event("joined", "guest", id_of(guest), 6)
    for client in back:
        client.disconnect()


@pytest.mark.parametrize("parameters, error", [
    ("presence=on presence_grace=soon", '"presence_grace" takes a time'),
    ("presence=on presence_grace=25h", '"presence_grace" takes a time'),
    ("presence=on presence_grace=", '"presence_grace" takes a time'),
    ("presence_grace=2s", '"presence_grace" requires "presence=on"'),
    ("presence=off presence_grace=2s",
     '"presence_grace" requires "presence=on"'),
])
@pytest.mark.parametrize("directive", [
    "websocket room", "websocket rooms; websocket_rooms *"])
def test_grace_that_is_not_possible_is_refused(nginx, directive, parameters,
                                               error):
    passed, output = nginx.check(f"location /a {{ {directive} {parameters}; }}")
    assert not passed
    assert error in output
