"""One client that joins and leaves many rooms: events are sent to a
limited number of clients at a time, of all rooms of the worker together."""

import time

from many_clients import need_open_files
from room_client import read
from rooms_client import connect, send

LOCATIONS = """
location = /rooms { websocket rooms; websocket_rooms * presence=on; }
"""
ROOMS = [f"room-{number}" for number in range(128)]
CLIENTS = 300
SECONDS = 2
MAX_RECEIVERS = 50000  # in a second


def ask(client, **request):
    """Sends a request and reads its answer, past events."""
    send(client, **request)
    kind = f"{next(iter(request))}d"
    while read(client)["type"] != kind:
        pass


def read_rounds(client):
    """The number of times at which a room sent events to its clients."""
    send(client, ping=1)
    rooms = []
    while (found := read(client))["type"] != "pong":
        rooms.append(found["room"])
    return 1 + sum(a != b for a, b in zip(rooms, rooms[1:]))


def test_storm_in_many_rooms_is_paced(nginx):
    need_open_files(2 * CLIENTS)
    server = nginx(LOCATIONS)
    clients = [connect(server) for _ in range(CLIENTS)]
    for client in clients:
        ask(client, subscribe=ROOMS)
    stormer = connect(server)
    read_rounds(clients[0])
    begin = time.monotonic()
    while time.monotonic() - begin < SECONDS:
        ask(stormer, subscribe=ROOMS)
        ask(stormer, unsubscribe=ROOMS)
    rounds = read_rounds(clients[0])
    limit = 1.3 * MAX_RECEIVERS * (time.monotonic() - begin) / CLIENTS
    print(f"{rounds} rounds, at most {limit:.0f}")
    assert 1 < rounds < limit
