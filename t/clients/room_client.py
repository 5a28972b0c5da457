"""Clients of the handler `room`, with the subprotocol room.v1.json or raw."""

import json

import wire
from worker_picking import connect_to

JSON = "room.v1.json"


def join(server, path, pid=None, **options):
    """Connects a JSON client and reads its welcome into `client.welcome`."""
    options["subprotocols"] = [JSON]
    client = (server.connect(path, **options) if pid is None
              else connect_to(server, pid, path, **options))
    assert client.response.header("Sec-WebSocket-Protocol") == JSON
    client.welcome = read(client)
    assert client.welcome["type"] == "welcome"
    return client


def read(client, timeout=None):
    """Reads the next JSON object."""
    frame = client.read_frame(timeout)
    assert frame.opcode == wire.TEXT, frame
    assert frame.well_formed, frame
    return json.loads(frame.payload)


def read_type(client, kind, timeout=None):
    """Reads the next object and checks its type."""
    found = read(client, timeout)
    assert found["type"] == kind, found
    return found


def read_data(client, count=1, timeout=None):
    """The data of the next `count` messages."""
    return [read_type(client, "message", timeout)["data"]
            for _ in range(count)]


def send_text(client, data, **members):
    """Sends text for publishing, without reading a reply."""
    client.text(json.dumps({"data": data, **members}))


def publish(client, data):
    """Publishes text; returns the message that comes back."""
    send_text(client, data)
    message = read_type(client, "message")
    assert message["data"] == data
    return message


def sequence(name):
    """The sequence of an id."""
    return int(name.split("-")[1])
