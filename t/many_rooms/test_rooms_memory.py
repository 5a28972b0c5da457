"""The memory of subscriptions: little for each, and none when they end."""

import json

import wire
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
