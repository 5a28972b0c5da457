"""Clients of the handler `rooms`, with the subprotocol rooms.v1.json."""

import json

from room_client import read, read_type
from worker_picking import connect_to

JSON = "rooms.v1.json"


def connect(server, path="/rooms", pid=None, **options):
    """Connects a client and reads its welcome into `client.welcome`."""
    options.setdefault("subprotocols", [JSON])
    client = (server.connect(path, **options) if pid is None
              else connect_to(server, pid, path, **options))
    client.welcome = read_type(client, "welcome")
    return client


def send(client, **members):
    """Sends one object."""
    client.text(json.dumps(members))


def ask(client, **members):
    """Sends one object and reads the next one."""
    send(client, **members)
    return read(client)


def subscribe(client, *names, **members):
    """Subscribes to rooms, none of which refuses. Returns those rooms."""
    answer = ask(client, subscribe=list(names), **members)
    assert answer["type"] == "subscribed", answer
    assert answer["refused"] == {}, answer
    assert sorted(answer["rooms"]) == sorted(names), answer
    return answer["rooms"]


def joined(server, *names, **options):
    """A client that is subscribed to these rooms."""
    client = connect(server, **options)
    subscribe(client, *names)
    return client


def data_of(client, room, count=1):
    """The data of the next `count` messages, which must be of this room."""
    messages = [read_type(client, "message") for _ in range(count)]
    assert {message["room"] for message in messages} <= {room}, messages
    return [message["data"] for message in messages]
