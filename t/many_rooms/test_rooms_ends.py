"""Clients of `rooms`, rooms, workers and configurations that end at any
time."""

import json
import signal
import socket
import struct

import pytest

import room_client
import wire
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import read
from rooms_client import ask, connect, joined, send, subscribe
from worker_probe import only_worker, stopped

LOCATIONS = """
location /rooms {
    websocket rooms;
    websocket_rooms * history=100 presence=on;
}
location /room { websocket room $arg_k history=100 presence=on; }
location /publish { websocket_publish room $arg_k; }
"""
NAMES = [f"room.{number}" for number in range(20)]
SUBSCRIBE = wire.text(json.dumps({"subscribe": NAMES, "ref": "first"}))


def objects(*several):
    return b"".join(wire.text(json.dumps(each)) for each in several)


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
    client.socket.close()


def clients_in(server, room):
    return Publisher(server, f"/publish?k={room}").get_state()[0]


ENDS = {
    "fin": lambda client: client.socket.shutdown(socket.SHUT_WR),
    "reset": reset,
    "close": lambda client: client.send(wire.close(1000)),
    "unsubscribe": lambda client: client.send(objects(
        {"unsubscribe": NAMES[::2]})),
    "again": lambda client: client.send(
        objects({"unsubscribe": NAMES}) + SUBSCRIBE),
    "wrong": lambda client: client.send(b"\xff\xff\xff"),
}


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_client_that_ends_while_it_joins(nginx, end, busy):
    """If the worker is busy, rooms join once it has delivered what was
    published before."""
    server = nginx(LOCATIONS)
    publisher = room_client.join(server, f"/room?k={NAMES[0]}")
    client = connect(server)
    with stopped(only_worker(server)):
        if busy:
            publisher.send(objects(*({"data": f"{n}"} for n in range(60))))
        client.send(SUBSCRIBE)
        ENDS[end](client)
    others = joined(server, *NAMES)
    remaining = {"unsubscribe": 10, "again": 20}.get(end, 0)
    wait_until(lambda: sum(clients_in(server, name) for name in NAMES)
               == 21 + remaining, seconds(5), "the end of its subscriptions")
    for name in NAMES:
        send(others, publish=name, data="text", ref=1)
    if remaining == 20:
        send(client, ping=1, ref="last")
        found = read(client)
        while found != {"type": "pong", "ref": "last"}:
            found = read(client)
    others.disconnect()


def read_message(client):
    """The next message, past presence events."""
    while (found := read(client))["type"] != "message":
        pass
    return found


def test_deleted_room_closes_its_subscribers(nginx):
    server = nginx(LOCATIONS)
    client, other = joined(server, "a", "b"), joined(server, "c")
    publisher = Publisher(server, "/publish?k=a")
    assert publisher.ask("DELETE").status in (200, 204)
    while (frame := client.read_frame()).opcode != 8:
        pass
    client.send(wire.close(frame.close_code))
    wait_until(lambda: clients_in(server, "b") == 0, seconds(5), "its end")
    assert subscribe(other, "a", "b")["a"]["clients"] == 1


def test_reload_keeps_ids_and_histories(nginx):
    server = nginx(LOCATIONS)
    client = joined(server, "a", "b")
    first = ask(client, publish="a", data="1", ref=1)
    while first["type"] != "published":
        first = read(client)
    server.reload()
    Publisher(server, "/publish?k=a").post("2")
    later = connect(server)
    rooms = subscribe(later, "a", since={"a": first["id"]})
    assert rooms["a"]["recovered"] is True
    assert read_message(later)["data"] == "2"
    while (frame := client.read_frame(seconds(10))).opcode != 8:
        pass
    assert frame.payload[:2] == b"\x03\xe9"


@pytest.mark.parametrize("stop", [signal.SIGQUIT, signal.SIGTERM])
def test_worker_that_ends_with_many_rooms(nginx, stop):
    server = nginx(LOCATIONS, http="websocket_drain 0;"
                   if stop == signal.SIGQUIT else "")
    for _ in range(10):
        client = joined(server, *NAMES)
    client.send(SUBSCRIBE)
    server.stop(stop)


def test_single_process(nginx):
    server = nginx(LOCATIONS, master=False)
    client = joined(server, *NAMES)
    send(client, publish=NAMES[0], data="text")
    assert read_message(client)["data"] == "text"
    client.send(SUBSCRIBE)
