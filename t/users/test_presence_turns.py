"""Lists of users count in the turn of their client, so that many of them do not
delay other clients."""

import pytest

import rooms_client
import wire
from strace import SENDING, traced
from worker_probe import only_worker, stopped

pytestmark = pytest.mark.alone

USERS = 200
REQUESTS = 30
LOCATIONS = """
location = /rooms { websocket_user $arg_user; websocket rooms;
                    websocket_rooms * presence=on; }
"""


def read_lists(client):
    lists = 0
    while lists != REQUESTS:
        found = rooms_client.read(client)
        lists += found["type"] == "presence"
    assert len(found["users"]) == USERS + 2


def test_long_lists_of_users_end_the_turn(nginx):
    server = nginx(LOCATIONS, listen="rcvbuf=4m sndbuf=4m")
    for number in range(USERS):
        rooms_client.joined(server, "a", path=f"/rooms?user={number:0250}")
    flooders = [rooms_client.joined(server, "a", path=f"/rooms?user={number}")
                for number in range(2)]
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            for flooder in flooders:
                flooder.send(wire.text('{"presence":"a"}') * REQUESTS,
                             duplex=False)
        for flooder in flooders:
            read_lists(flooder)
    # Of 0.5 ms each
    order = [call.descriptor for call in trace.of(SENDING)
             if call.result > USERS * 250]
    turns = sum(a != b for a, b in zip(order, order[1:]))
    print(f"{turns} turns")
    assert turns > REQUESTS / 4
