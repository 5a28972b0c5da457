"""Clients of the handler `room`, by the subprotocol room.v1.json or raw."""

import json

import wire
from worker_picking import connect_to

JSON = "room.v1.json"


def join(server, path, pid=None, **options):
    """A JSON client that was welcomed: `client.welcome` is the object."""
    options["subprotocols"] = [JSON]
    client = (server.connect(path, **options) if pid is None
              else connect_to(server, pid, path, **options))
    assert client.response.header("Sec-WebSocket-Protocol") == JSON
    client.welcome = read(client)
    assert client.welcome["type"] == "welcome"
    return client


def read(client, timeout=None):
    """The next object."""
    frame = client.read_frame(timeout)
    assert frame.opcode == wire.TEXT, frame
    assert frame.well_formed, frame
    return json.loads(frame.payload)


def read_type(client, kind, timeout=None):
    """The next object, which is of one type."""
    found = read(client, timeout)
    assert found["type"] == kind, found
    return found


def read_data(client, count=1, timeout=None):
    """What the next so many messages hold."""
    return [read_type(client, "message", timeout)["data"]
            for _ in range(count)]


def send_text(client, data, **members):
    """Publishes text."""
    client.text(json.dumps({"data": data, **members}))


def publish(client, data):
    """Publishes text and returns the message, which the client gets too."""
    send_text(client, data)
    message = read_type(client, "message")
    assert message["data"] == data
    return message


def sequence(name):
    """The number in an id."""
    return int(name.split("-")[1])
