"""Clients of `rooms` that read slowly, and what one room does to others."""

import json

import pytest

import wire
from publish_client import Publisher
from room_client import read, read_type
from rooms_client import ask, connect, joined, subscribe
from tuned_client import TIGHT_BUFFER, TIGHT_LISTEN, open_tuned

LOCATIONS = """
location /rooms {
    websocket rooms;
    websocket_rooms long.* history=300;
    websocket_rooms open.* publish=open;
    websocket_send_queue %s;
}
location /publish { websocket_publish room $arg_k; }
"""
CLOSE, DROP = "64k", "64k drop"


def fill(server, rooms, messages, size):
    for room in rooms:
        publisher = Publisher(server, f"/publish?k={room}")
        for number in range(messages):
            publisher.post(f"{number} ".ljust(size, "x"))


def read_until_complete(client, counts):
    """Reads messages until each room has its number of them, in order."""
    received = {room: [] for room in counts}
    while any(len(received[room]) < count for room, count in counts.items()):
        found = read(client)
        assert found["type"] == "message", found
        received[found["room"]].append(int(found["data"].split()[0]))
    for room, count in counts.items():
        assert received[room] == list(range(count)), room


@pytest.mark.parametrize("queue", [CLOSE, DROP])
def test_many_histories_do_not_fill_the_send_queue(nginx, queue):
    """Each has one message that is large for the queue."""
    server = nginx(LOCATIONS % queue, listen=TIGHT_LISTEN)
    rooms = [f"long.{number}" for number in range(128)]
    fill(server, rooms, 2, 16000)
    client = connect(server, client=open_tuned(server,
                                               kernel_buffer=TIGHT_BUFFER))
    answer = ask(client, subscribe=rooms, since=dict.fromkeys(rooms, "0"))
    assert all(room["recovered"] for room in answer["rooms"].values())
    read_until_complete(client, dict.fromkeys(rooms, 2))
    client.expect_alive()


@pytest.mark.parametrize("queue", [CLOSE, DROP])
def test_long_history_does_not_hold_up_others(nginx, queue):
    server = nginx(LOCATIONS % queue)
    fill(server, ["long.a"], 300, 4000)
    fill(server, ["long.b", "long.c"], 1, 10)
    client = connect(server)
    rooms = ["long.a", "long.b", "long.c"]
    subscribe(client, *rooms, since=dict.fromkeys(rooms, "0"))
    order = [read_type(client, "message")["room"] for _ in range(302)]
    assert order.count("long.a") == 300
    assert order.index("long.b") < 150 and order.index("long.c") < 150


def test_flood_to_an_open_room_loses_nothing(nginx):
    """Its publisher is not in the room, and is read as fast as this worker
    delivers."""
    server = nginx(LOCATIONS % CLOSE, http="websocket_shared_memory 1m;")
    receiver, publisher = joined(server, "open.a"), connect(server)
    count = 5000
    text = "x" * 500
    publisher.send(b"".join(
        wire.text(json.dumps({"publish": "open.a", "data": text}))
        for _ in range(count)))
    ids = []
    while len(ids) < count:
        found = read(receiver)
        assert found["type"] == "message", (found, len(ids))
        ids.append(int(found["id"].split("-")[1]))
    assert ids == list(range(ids[0], ids[0] + count))
