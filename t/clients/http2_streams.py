"""Event streams over HTTP/2: several on one connection, with its flow
control."""

import struct

from event_stream_client import TYPE, Event
from http2_client import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS,
                          PREFACE, SETTINGS, WINDOW_UPDATE, http2_frame,
                          literal)

RST_STREAM = 3
INITIAL_WINDOW_SIZE = 4
MAX_WINDOW = 2**31 - 1
FIRST_WINDOW = 65535


class Http2Stream:
    """One request, and what has arrived for it."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.headers, self.body = None, b""
        self.ended, self.was_reset = False, None
        self.last_id = None

    def read_block(self):
        while b"\n\n" not in self.body:
            assert not self.ended, f"the stream ended: {self.body!r}"
            self.connection.read_frame()
        block, self.body = self.body.split(b"\n\n", 1)
        return block

    def read(self, kind=None):
        """The next event that has data."""
        while True:
            block = self.read_block()
            event = Event(block)
            if event.id is not None:
                self.last_id = event.id
            if not block.startswith(b":") and event.data is not None:
                assert kind in (None, event.kind), event
                return event

    def read_data(self, count=1):
        return [self.read("message").data for _ in range(count)]

    def expect_end(self):
        """The server must end the stream, not reset it."""
        while not self.ended:
            self.connection.read_frame()
        assert self.was_reset is None, self.was_reset

    def reset(self):
        self.connection.raw.send(http2_frame(
            RST_STREAM, 0, self.number, struct.pack("!I", 8)))

    def open_window(self, size):
        self.connection.raw.send(http2_frame(
            WINDOW_UPDATE, 0, self.number, struct.pack("!I", size)))


class Http2Connection:
    """A connection whose streams may get `window` bytes, each until it opens
    its window."""

    def __init__(self, server, port=None, tls=False, window=MAX_WINDOW):
        self.raw = server.open(tls=tls, port=port)
        self.streams = {}
        settings = struct.pack("!HI", INITIAL_WINDOW_SIZE, window)
        self.raw.send(
            PREFACE + http2_frame(SETTINGS, 0, 0, settings)
            + http2_frame(WINDOW_UPDATE, 0, 0,
                          struct.pack("!I", MAX_WINDOW - FIRST_WINDOW)))

    def ask(self, path, *fields, method="GET", body=None):
        """Sends a request; returns its stream."""
        stream = Http2Stream(self, 2 * len(self.streams) + 1)
        self.streams[stream.number] = stream
        fields = [(":method", method), (":scheme", "http"), (":path", path),
                  (":authority", "localhost"), *fields]
        end = END_STREAM if body is None else 0
        self.raw.send(http2_frame(
            HEADERS, END_HEADERS | end, stream.number,
            b"".join(literal(*field) for field in fields)))
        if body is not None:
            self.raw.send(http2_frame(DATA, END_STREAM, stream.number, body))
        return stream

    def join(self, path, *fields):
        """An event stream of `room`, with its welcome."""
        stream = self.ask(path, ("accept", TYPE), *fields)
        assert Event(stream.read_block()).retry is not None
        stream.welcome = stream.read("welcome").json
        return stream

    def read_frame(self, timeout=None):
        head = self.raw.read_bytes(9, timeout)
        payload = self.raw.read_bytes(int.from_bytes(head[:3], "big"))
        kind, flags, number = struct.unpack("!BBI", head[3:])
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            self.raw.send(http2_frame(SETTINGS, ACK, 0))
        elif kind == HEADERS:
            stream.headers = payload
        elif kind == DATA:
            stream.body += payload
        elif kind == RST_STREAM:
            stream.was_reset = struct.unpack("!I", payload)[0]
            stream.ended = True
        elif kind == GOAWAY:
            self.last_stream = struct.unpack("!I", payload[:4])[0]
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.ended = True

