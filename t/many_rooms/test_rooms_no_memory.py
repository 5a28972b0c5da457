"""Subscribed clients whose worker finds no memory."""

import json

import pytest

import plugin_builder
import room_client
import wire
from nginx_server import seconds, wait_until
from preload import preloaded
from rooms_client import joined, send
from worker_probe import only_worker

ROOM = "a-room-with-a-name-that-needs-memory"
USER = "someone-else-who-has-a-long-name"
LOCATIONS = f"""
location /rooms {{
    websocket rooms;
    websocket_rooms {ROOM}* history=9 presence=on;
    websocket_rooms user.$arg_user history=9 publish=open;
}}
"""
MAX_CALLS = 2000
AND_LATER = 1 << 63

REQUESTS = {
    "subscribe": {"subscribe": [f"{ROOM}.1", f"{ROOM}.2", "x"], "ref": 1},
    "since": {"subscribe": [f"{ROOM}.1"], "since": {f"{ROOM}.1": "0"}},
    "unsubscribe": {"unsubscribe": [ROOM, "x"]},
    "publish": {"publish": ROOM, "data": "text", "ref": [2]},
    "open": {"publish": f"user.{USER}", "data": "text"},
}


@pytest.fixture
def countdown(run_folder):
    """Makes the call of malloc fail whose number is set."""
    with preloaded(run_folder, "malloc_countdown") as preload, \
            preload.environment():
        yield preload


@pytest.fixture(params=[0, AND_LATER], ids=["once", "and-later"])
def later(request):
    return request.param


def wait_until_asleep(pid):
    def asleep():
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"
    wait_until(asleep, seconds(5), "idle")


def failing_calls(countdown, server, later, request, client):
    """Sends the request while the call with the yielded number fails, and then
    all later ones if `later`. Ends when there is no such call."""
    pid = only_worker(server)
    for call in range(1, MAX_CALLS):
        current = client()
        countdown.number = later | call
        current.send(request)
        current.wait_until_read()
        wait_until_asleep(pid)
        reached = countdown.number == later
        countdown.number = 0
        yield current
        current.disconnect()
        assert only_worker(server) == pid
        if not reached:
            assert call > 2
            return
    raise AssertionError("calls without end")


def answers_of(client):
    """The objects up to the answer to a ping; None: the client is closed."""
    send(client, ping=1, ref="last")
    received = []
    while not received or received[-1].get("ref") != "last":
        try:
            frame = client.read_frame()
        except (AssertionError, OSError):
            return None
        if frame.opcode != 1:
            return None
        received.append(json.loads(frame.payload))
    return received[:-1]


@pytest.mark.parametrize("name", REQUESTS)
def test_request_that_finds_no_memory_ends_no_worker(countdown, nginx, name,
                                                     later):
    """The client gets an answer, or is closed."""
    server = nginx(LOCATIONS)
    server.allow_errors("no memory|Cannot allocate memory|exception in")
    request = wire.text(json.dumps(REQUESTS[name]))
    answers = None
    for client in failing_calls(
            countdown, server, later, request,
            lambda: joined(server, ROOM, path=f"/rooms?user={USER}")):
        answers = answers_of(client)
        if answers is not None and name == "unsubscribe":
            # Nothing of the room follows it
            assert answers[-1]["type"] == "unsubscribed", answers
            send(client, subscribe=[ROOM])
            found = room_client.read_type(client, "subscribed")
            assert found["refused"] == {}
    assert answers
    joined(server, ROOM)


def test_subscription_that_finds_no_memory_keeps_no_resource(countdown, nginx,
                                                             later):
    plugin = plugin_builder.build_file("subscribing.cpp")
    server = nginx("location /alike { websocket alike $arg_k; }",
                   http=f"websocket_plugin {plugin};")
    server.allow_errors("no memory|Cannot allocate memory|exception in")
    other = server.connect("/alike?k=home")
    request = wire.text(f"subscribe {ROOM}")
    for client in failing_calls(countdown, server, later, request,
                                lambda: server.connect("/alike?k=home")):
        client.disconnect()

        def only_home_is_left():
            other.text("existing")
            return other.read_frame().payload == b"existing 1"
        wait_until(only_home_is_left, seconds(5), "the end of the resource")
