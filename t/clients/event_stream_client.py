"""Clients of event streams (server-sent events) over HTTP/1.1.

The parser follows
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import base64
import json
import urllib.parse

from worker_picking import open_to

TYPE = "text/event-stream"
COMMENT = object()


class Event:
    """One event. `id` is that of this event alone, or None."""

    def __init__(self, block):
        self.kind, self.id, self.retry, self.fields = "message", None, None, {}
        data = []
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self.kind = value
            elif name == "id":
                self.id = value
            elif name == "retry":
                self.retry = int(value)
            elif name == "data":
                data.append(value)
            elif name:
                self.fields[name] = value
        self.data = "\n".join(data) if data else None

    @property
    def json(self):
        return json.loads(self.data)

    @property
    def bytes(self):
        return base64.b64decode(self.data, validate=True)

    def __repr__(self):
        return f"Event({self.kind}, {self.id}, {self.data!r})"


def stream_request(path, *fields):
    """The GET of a page's EventSource."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Accept: {TYPE}",
             *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class EventStream:
    """A stream that was accepted. Each read fails at its deadline."""

    def __init__(self, raw):
        self.raw = raw
        self.comments = 0
        self.last_id = None

    def read_block(self, timeout=None):
        """The next lines up to an empty one: an event or a comment."""
        def take():
            end = self.raw.buffer.find(b"\n\n")
            return None if end < 0 else self.raw._take(end + 2)[:-2]
        return self.raw._wait_for(take, "event", timeout)

    def read_comment(self, timeout=None):
        """Reads a comment, which must be next."""
        block = self.read_block(timeout)
        assert block.startswith(b":"), block
        return block

    def read(self, kind=None, timeout=None):
        """The next event that has data. Comments are counted."""
        while True:
            block = self.read_block(timeout)
            if block.startswith(b":"):
                self.comments += 1
                continue
            event = Event(block)
            if event.id is not None:
                self.last_id = event.id
            if event.data is not None:
                assert kind in (None, event.kind), event
                return event

    def read_data(self, count=1, timeout=None):
        """The data of the next `count` messages."""
        return [self.read("message", timeout).data for _ in range(count)]

    def expect_end(self, timeout=None):
        self.raw.expect_eof(timeout)

    def leave(self):
        self.raw.disconnect()


def open_stream(server, path, *fields, tls=False, pid=None):
    """Requests a stream, which must be accepted; `retry` must come first."""
    raw = server.open(tls) if pid is None else open_to(server, pid)
    raw.send(stream_request(path, *fields))
    response = raw.read_response(bodiless=True)
    assert response.status == 200, response
    assert response.header("Content-Type") == TYPE
    stream = EventStream(raw)
    stream.response = response
    first = Event(stream.read_block())
    assert first.retry is not None and first.data is None, first
    stream.retry = first.retry
    return stream


def join_room(server, path, *fields, **options):
    """A stream of `room`, with its welcome."""
    stream = open_stream(server, path, *fields, **options)
    stream.welcome = stream.read("welcome").json
    return stream


def join_rooms(server, path, rooms, *fields, **options):
    """A stream of `rooms`, with its welcome and the answer."""
    names = ",".join(urllib.parse.quote(name, safe="") for name in rooms)
    separator = "&" if "?" in path else "?"
    stream = open_stream(
        server, f"{path}{separator}rooms={urllib.parse.quote(names)}", *fields,
        **options)
    stream.welcome = stream.read("welcome").json
    stream.subscribed = stream.read("subscribed").json
    return stream


def refusal(server, path, *fields, tls=False):
    """The response to a request for a stream that is refused."""
    return server.request(stream_request(path, *fields), tls=tls)
