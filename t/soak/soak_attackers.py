"""Those of a soak who follow no room: senders of what is wrong, and publishers
over HTTP."""

import json

import wire
from soak_checker import Fault
from soak_clients import ASKED, DRAINED, LOST, TIMED_OUT, Peer
from soak_connection import Link


class BadFrames(Peer):
    """Sends what no client may: is told so, and ended."""

    kind = "bad frames"
    codes = {DRAINED, 1000, 1002, 1007, 1009, TIMED_OUT, ASKED, LOST, None}
    comes_back = False

    def target(self):
        return self.dice.choice(["/echo", "/echo-takeover", *self.soak.rooms])

    def welcomed(self):
        dice = self.dice
        self.codes = self.codes | set(range(1000, 5000))
        for _ in range(dice.randint(1, 4)):
            self.link.send(dice.choice([
                lambda: dice.randbytes(dice.randint(1, 300)),
                lambda: wire.frame(dice.choice([3, 7, 11, 15]), b"x"),
                lambda: wire.text("unmasked", mask=None),
                lambda: wire.text(b"\xff\xfe text"),
                lambda: wire.frame(wire.TEXT, b"x", rsv=dice.randint(1, 7)),
                lambda: wire.header(wire.TEXT, 1 << 62, length_bytes=8),
                lambda: wire.close(dice.choice([0, 999, 1005, 6000])),
                lambda: wire.frame(wire.CLOSE, b"x"),
                lambda: wire.frame(wire.PING, b"x" * 200),
                lambda: wire.frame(wire.CONTINUATION, b"x"),
                lambda: wire.text("half", fin=False) * 2,
            ])())
        self.soak.counts["bad frames"] += 1
        self.soak.later(dice.uniform(0, 1), self.give_up)

    def give_up(self):
        """It may have been the beginning of a frame."""
        if not self.gone:
            self.ended_by_us = True
            self.link.half_close()
            self.soak.later(3, self.end)


class BadHandshake(Peer):
    """Sends a handshake that is none, or does not end."""

    kind = "bad handshake"
    comes_back = False

    def connect(self, room=None):
        self.gone = False
        self.worker = None
        self.link = Link(self.soak.selector, self.soak.address(False), self)
        dice = self.dice
        good = bytearray(wire.upgrade_request())
        for _ in range(dice.randint(1, 5)):
            good[dice.randrange(len(good))] = dice.randrange(256)
        self.link.send(dice.choice([
            good, good[:dice.randrange(len(good))], dice.randbytes(100),
            wire.upgrade_request(key="short"), wire.upgrade_request(key=None),
            wire.upgrade_request(websocket_version="12"),
            wire.upgrade_request(method="POST"),
            wire.upgrade_request(origin="http://elsewhere.example"),
            wire.upgrade_request(self.soak.rooms[0] + "&since=nonsense"),
            wire.upgrade_request(headers=[("Content-Length", "10")]),
        ]))
        self.soak.counts["bad handshakes"] += 1
        self.soak.later(dice.uniform(0, 2), self.end)

    def received(self, link):
        """Whatever the answer is: a request may have become HTTP/0.9."""

    def ended(self, link, broken):
        self.end()


class Publisher(Peer):
    """One request over HTTP."""

    kind = "publisher"
    comes_back = False

    def connect(self, room=None):
        self.gone = False
        self.worker = None
        self.place = self.dice.choice(self.soak.rooms)
        self.data = self.soak.words(self.dice.choice([20, 300, 3000]))
        self.method = self.dice.choices(["POST", "GET", "DELETE"],
                                        [50, 5, 0.5])[0]
        self.link = Link(self.soak.selector, self.soak.address(False), self)
        path = self.place.replace("/", "/publish-", 1)
        if self.method == "DELETE":
            path += f"&code={ASKED}"
        body = self.data if self.method == "POST" else b""
        self.link.send(
            f"{self.method} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            .encode() + body)

    def received(self, link):
        """All comes before the end."""

    def ended(self, link, broken):
        head, _, body = link.received.partition(b"\r\n\r\n")
        if not head and self.soak.was_killed(None, link.opened):
            self.soak.counts["requests lost with a worker"] += 1
        elif head.startswith((b"HTTP/1.1 503", b"HTTP/1.1 507")):
            self.soak.counts[f"publishers told {head[9:12].decode()}"] += 1
        elif not head.startswith(b"HTTP/1.1 200"):
            raise Fault(f"publisher: {bytes(link.received[:200])!r}")
        elif self.method == "POST":
            self.soak.ledger.record(self.place, json.loads(body)["id"],
                                    self.data)
            self.soak.counts["published over HTTP"] += 1
        self.end()
