"""Clients of a soak outside of rooms: senders of bad frames and handshakes,
and publishers over HTTP."""

import json

import wire
from soak_checker import Fault
from soak_clients import ASKED, DRAINED, LOST, TIMED_OUT, SoakClient
from soak_connection import Connection


class BadFrames(SoakClient):
    """Sends invalid frames, so that the server closes the connection."""

    kind = "bad frames"
    codes = {DRAINED, 1000, 1002, 1007, 1009, TIMED_OUT, ASKED, LOST, None}
    reconnects = False

    def target(self):
        return self.random.choice(["/echo", "/echo-takeover",
                                   *self.soak.rooms])

    def welcomed(self):
        random = self.random
        self.codes = self.codes | set(range(1000, 5000))
        for _ in range(random.randint(1, 4)):
            self.connection.send(random.choice([
                lambda: random.randbytes(random.randint(1, 300)),
                lambda: wire.frame(random.choice([3, 7, 11, 15]), b"x"),
                lambda: wire.text("unmasked", mask=None),
                lambda: wire.text(b"\xff\xfe text"),
                lambda: wire.frame(wire.TEXT, b"x", rsv=random.randint(1, 7)),
                lambda: wire.header(wire.TEXT, 1 << 62, length_bytes=8),
                lambda: wire.close(random.choice([0, 999, 1005, 6000])),
                lambda: wire.frame(wire.CLOSE, b"x"),
                lambda: wire.frame(wire.PING, b"x" * 200),
                lambda: wire.frame(wire.CONTINUATION, b"x"),
                lambda: wire.text("half", fin=False) * 2,
            ])())
        self.soak.counts["bad frames"] += 1
        self.soak.later(random.uniform(0, 1), self.abort)

    def abort(self):
        """Ends the connection. Its bytes may be the beginning of a valid
        frame."""
        if not self.closed:
            self.ended_by_us = True
            self.connection.half_close()
            self.soak.later(3, self.end)


class BadHandshake(SoakClient):
    """Sends an invalid or unfinished handshake."""

    kind = "bad handshake"
    reconnects = False

    def connect(self, room=None):
        self.closed = False
        self.worker = None
        self.connection = Connection(self.soak.selector,
                                     self.soak.address(False), self)
        random = self.random
        good = bytearray(wire.upgrade_request())
        for _ in range(random.randint(1, 5)):
            good[random.randrange(len(good))] = random.randrange(256)
        self.connection.send(random.choice([
            good, good[:random.randrange(len(good))], random.randbytes(100),
            wire.upgrade_request(key="short"), wire.upgrade_request(key=None),
            wire.upgrade_request(websocket_version="12"),
            wire.upgrade_request(method="POST"),
            wire.upgrade_request(origin="http://elsewhere.example"),
            wire.upgrade_request(self.soak.rooms[0] + "&since=nonsense"),
            wire.upgrade_request(headers=[("Content-Length", "10")]),
        ]))
        self.soak.counts["bad handshakes"] += 1
        self.soak.later(random.uniform(0, 2), self.end)

    def received(self, connection):
        """Ignores the response. The server may read the request as HTTP/0.9."""

    def ended(self, connection, broken):
        self.end()


class Publisher(SoakClient):
    """One request over HTTP."""

    kind = "publisher"
    reconnects = False

    def connect(self, room=None):
        self.closed = False
        self.worker = None
        self.room = self.random.choice(self.soak.rooms)
        self.data = self.soak.unique_text(self.random.choice([20, 300, 3000]))
        self.method = self.random.choices(["POST", "GET", "DELETE"],
                                          [50, 5, 0.5])[0]
        self.connection = Connection(self.soak.selector,
                                     self.soak.address(False), self)
        path = self.room.replace("/", "/publish-", 1)
        if self.method == "DELETE":
            path += f"&code={ASKED}"
        body = self.data if self.method == "POST" else b""
        self.connection.send(
            f"{self.method} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            .encode() + body)

    def received(self, connection):
        """Leaves the response in the buffer until the connection ends."""

    def ended(self, connection, broken):
        head, _, body = connection.received.partition(b"\r\n\r\n")
        if not head and self.soak.was_killed(None, connection.opened):
            self.soak.counts["requests lost with a worker"] += 1
        elif head.startswith((b"HTTP/1.1 503", b"HTTP/1.1 507")):
            status = head[9:12].decode()
            self.soak.counts[f"publishers refused with {status}"] += 1
        elif not head.startswith(b"HTTP/1.1 200"):
            raise Fault(f"publisher: {bytes(connection.received[:200])!r}")
        elif self.method == "POST":
            self.soak.checker.record(self.room, json.loads(body)["id"],
                                     self.data)
            self.soak.counts["published over HTTP"] += 1
        self.end()
