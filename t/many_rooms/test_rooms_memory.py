"""The memory of subscriptions: little for each, and none when they end."""

import json
import resource
import socket

import pytest

import wire
from raw_client import TIMEOUT
from rooms_client import ask, connect
from worker_probe import assert_no_growth, memory, memory_is_exact

LOCATIONS = """
location /rooms {
    websocket rooms;
    websocket_rooms * ;
    websocket_max_clients 100000;
}
"""

CLIENTS = 1000
ROOMS = 50
MAX_BYTES = 96  # for each subscription


def names(count=ROOMS):
    return [f"room-{number}" for number in range(count)]


def test_subscription_takes_little_memory(nginx):
    server = nginx(LOCATIONS)
    pid, = server.worker_pids()
    clients = [connect(server) for _ in range(CLIENTS)]
    request = wire.text(json.dumps({"subscribe": names()}))

    def subscribe(some):
        for client in some:
            client.send(request)
        for client in some:
            assert len(json.loads(client.read_frame().payload)["rooms"]) == (
                ROOMS)

    subscribe(clients[:50])  # creates the rooms
    before = memory(pid, "Anonymous")
    subscribe(clients[50:])
    grown = memory(pid, "Anonymous") - before
    per_subscription = grown / ((CLIENTS - 50) * ROOMS)
    print(f"{per_subscription:.1f} bytes per subscription")
    if memory_is_exact():
        assert per_subscription <= MAX_BYTES
    for client in clients:
        client.disconnect()


class BlockingClient:
    """A client of `rooms` that costs the test little."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port),
                                               TIMEOUT)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(wire.upgrade_request("/rooms"))
        assert self.file.readline().startswith(b"HTTP/1.1 101")
        while self.file.readline() != b"\r\n":
            pass
        assert self.read()["type"] == "welcome"

    def read(self):
        """Reads one object."""
        first, size = self.file.read(2)
        assert first == 0x81 and size < 127
        if size == 126:
            size = int.from_bytes(self.file.read(2), "big")
        return json.loads(self.file.read(size))

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.mark.alone
def test_ten_thousand_clients_in_fifty_rooms(nginx):
    """Beside their sessions they take less than 64 MB, all at once."""
    count = 10_000
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < count + 500:
        pytest.skip(f"{limit} descriptors are too few")
    server = nginx(LOCATIONS, connections=count + 100)
    pid, = server.worker_pids()
    request = wire.text(json.dumps({"subscribe": names()}))
    clients = [BlockingClient(server) for _ in range(count)]
    before = memory(pid, "Anonymous")
    for begin in range(0, count, 100):
        some = clients[begin:begin + 100]
        for client in some:
            client.socket.sendall(request)
        for client in some:
            assert len(client.read()["rooms"]) == ROOMS
    grown = memory(pid, "Anonymous") - before
    print(f"{grown / 1e6:.1f} MB for {count * ROOMS} subscriptions")
    for client in clients:
        client.close()
    if memory_is_exact():
        assert grown <= 64e6


def test_rooms_that_come_and_go_leave_no_memory(nginx):
    server = nginx(LOCATIONS)
    pid, = server.worker_pids()
    client = connect(server)

    def come_and_go():
        for number in range(50):
            some = [f"{number}-{each}" for each in range(100)]
            assert len(ask(client, subscribe=some)["rooms"]) == 100
            assert ask(client, unsubscribe=some)["rooms"] == some
        return memory(pid, "Anonymous")

    assert_no_growth([come_and_go() for _ in range(4)], 256 * 1024)
