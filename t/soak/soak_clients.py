"""The kinds of clients of a soak. Each judges what it gets; `step` lets it do
something, of its own choice."""

import base64
import json

import wire
from room_client import JSON
from soak_checker import Fault, Follower, digest
from soak_connection import Deflate, Link, frames_of

OFFERS = [
    None, "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=10; "
    "client_max_window_bits=12",
    "permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover",
]
DRAINED, TIMED_OUT, LOST, ASKED = 1012, 1001, 1013, 4000


class Peer:
    """One connection with its handshake and its end."""

    kind = "peer"
    path = "/echo"
    subprotocol = None
    codes = {DRAINED}  # of Close frames that it may get
    comes_back = True  # whoever ended it

    def __init__(self, soak):
        self.soak = soak
        self.dice = soak.dice
        self.ended_by_us = False
        self.connect()

    def connect(self, room=None):
        tls = self.dice.random() < 0.3
        self.upgraded = self.told = self.gone = False
        self.worker = None
        self.deflate = None
        self.link = Link(self.soak.selector, self.soak.address(tls), self,
                         self.soak.context if tls else None, room)
        self.link.send(wire.upgrade_request(
            self.target(), protocol=self.subprotocol,
            headers=[("Sec-WebSocket-Extensions", offer) for offer in
                     [self.dice.choice(OFFERS)] if offer]))
        self.soak.counts["connections"] += 1

    def target(self):
        return self.path

    # From the link

    def received(self, link):
        if not self.upgraded and not self._read_response(link):
            return
        for frame in frames_of(link.received, self.deflate):
            if self.told:
                raise Fault(f"{self.kind}: {frame} behind the Close")
            self._take(frame)

    def _read_response(self, link):
        head, found, rest = link.received.partition(b"\r\n\r\n")
        if not found:
            return False
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status == 503:  # the worker leaves, or has no memory for it
            self.soak.counts["503"] += 1
            self.end()
            return False
        if status != 101:
            raise Fault(f"{self.kind}: {lines[0]}")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.worker = int(fields["x-worker"])
        if "sec-websocket-extensions" in fields:
            self.deflate = Deflate(fields["sec-websocket-extensions"])
        link.received = bytearray(rest)
        self.upgraded = True
        self.welcomed()
        return True

    def _take(self, frame):
        if frame.opcode == wire.PING:
            self.link.send(wire.pong(frame.payload))
        elif frame.opcode == wire.CLOSE:
            self.told = True
            self.soak.counts[f"closed with {frame.close_code}"] += 1
            if frame.close_code not in self.codes:
                raise Fault(f"{self.kind}: Close {frame.close_code} "
                            f"{frame.close_reason!r}")
            if not self.ended_by_us:
                self.link.send(wire.close(frame.close_code))
            self.end()
        elif frame.opcode != wire.PONG:
            self.message(frame)

    def ended(self, link, broken):
        """Without a Close frame only with its worker."""
        if not (self.told or self.ended_by_us
                or self.soak.was_killed(self.worker, link.opened)):
            raise Fault(f"{self.kind} of worker {self.worker}: ended without "
                        f"a Close, {broken or 'in order'}, unread: "
                        f"{bytes(link.received[:100])!r}")
        if not self.told:
            self.soak.counts["lost with a worker"] += not self.ended_by_us
        self.end()

    # For the kinds

    def welcomed(self):
        """The handshake is done."""

    def message(self, frame):
        """A message came."""

    def step(self):
        """Does something."""

    def send(self, payload, opcode=wire.TEXT):
        """One message, whole or in pieces, compressed or not."""
        if not self.upgraded:
            return
        rsv = 0
        if self.deflate and self.dice.random() < 0.8:
            payload, rsv = self.deflate.compress(payload), 4
        if self.dice.random() < 0.7:
            self.link.send(wire.frame(opcode, payload, rsv=rsv))
            return
        cut = self.dice.randint(0, len(payload))
        self.link.send(wire.frame(opcode, payload[:cut], rsv=rsv, fin=False)
                       + wire.ping(b"between")
                       + wire.frame(wire.CONTINUATION, payload[cut:]))

    def vanish(self):
        """Leaves, more or less politely."""
        self.ended_by_us = True
        way = self.dice.choice(["reset", "half", "close", "silence", "part"])
        self.soak.counts[f"vanished: {way}"] += 1
        if way == "reset":
            self.link.abort()
            self.end()
        elif way == "half":
            self.link.half_close()
        elif way == "close" and self.upgraded:
            self.codes = self.codes | {1000}
            self.link.send(wire.close(1000))
        elif way == "part":
            self.link.send(wire.header(wire.BINARY, 70000) + bytes(100))
            self.link.abort()
            self.end()
        else:
            self.link.pause()
            self.soak.later(self.dice.uniform(0, 8), self.end)

    def end(self):
        """The connection is over; the soak decides on another."""
        if not self.gone:
            self.gone = True
            self.link.close()
            self.soak.left(self)


class Echo(Peer):
    """Gets back what it sends, in order."""

    kind = "echo"

    def __init__(self, soak):
        self.path = soak.dice.choice(["/echo", "/echo-takeover"])
        super().__init__(soak)

    def connect(self, room=None):
        self.expected = []
        super().connect(room)

    def step(self):
        if not self.upgraded or len(self.expected) > 50:
            return
        for _ in range(self.dice.choice([1, 1, 3, 20])):
            size = self.dice.choice([0, 5, 125, 126, 5000, 66000])
            payload = self.soak.words(size)
            opcode = self.dice.choice([wire.TEXT, wire.BINARY])
            self.expected.append((opcode, digest(payload)))
            self.send(payload, opcode)

    def message(self, frame):
        if not self.expected or self.expected.pop(0) != (
                frame.opcode, digest(frame.payload)):
            raise Fault(f"echo: {frame} is not what was sent")
        self.soak.counts["echoes"] += 1


class RoomPeer(Peer):
    """Of one of the rooms."""

    def __init__(self, soak, room=None):
        self.place = room or soak.dice.choice(soak.rooms)
        super().__init__(soak)

    def target(self):
        return self.place


class Json(RoomPeer):
    """Follows its room by ids, and resumes whenever it comes back."""

    kind = "follower"
    subprotocol = JSON
    codes = {DRAINED, ASKED}

    def __init__(self, soak, room=None):
        self.sent = {}
        self.follower = None
        super().__init__(soak, room)

    def connect(self, room=None):
        if self.follower is None:
            self.follower = Follower(self.soak.ledger, self.place)
        self.sent = {}
        self.ended_by_us = False
        super().connect(room)

    def target(self):
        return f"{self.place}&since={self.follower.since}"

    def step(self):
        if self.upgraded and len(self.sent) < 20:
            reference = self.soak.number()
            data = self.soak.words(self.dice.choice([20, 200, 2000]))
            self.sent[reference] = data
            if self.dice.random() < 0.1:
                self.send(data, wire.BINARY)
                del self.sent[reference]
                return
            self.send(json.dumps({"data": data.decode(),
                                  "ref": reference}).encode())

    def welcomed(self):
        self.drops = self.soak.drops

    def check_gap(self):
        """Messages must have been dropped since the last gap, or since the
        last time that somebody looked before this connection was made."""
        if self.place in self.soak.lossless:
            before, self.drops = self.drops, self.soak.look_at_drops()
            if before == self.drops:
                raise Fault(f"{self.place}: a gap, and nothing was dropped")

    def message(self, frame):
        told = json.loads(frame.payload)
        kind = told["type"]
        if kind == "message":
            data = (told["data"].encode() if "data" in told
                    else base64.b64decode(told["base64"]))
            self.follower.message(told["id"], data)
        elif kind == "welcome":
            self.follower.welcomed(told["recovered"])
        elif kind == "gap":
            self.follower.gap()
            self.check_gap()
        elif kind == "published":
            self.soak.ledger.record(self.place, told["id"],
                                    self.sent.pop(told["ref"]))
        elif kind == "error":
            self.sent.pop(told.get("ref"), None)
            self.soak.counts["not published"] += 1
        elif kind not in ("joined", "left"):
            raise Fault(f"follower: {told}")


class Raw(RoomPeer):
    """Gets payloads without ids, and can only tell their order."""

    kind = "raw"
    codes = {DRAINED, ASKED, LOST}

    def __init__(self, soak, room=None):
        self.run = []
        super().__init__(soak, room)

    def connect(self, room=None):
        self.run = []
        super().connect(room)

    def step(self):
        self.send(self.soak.words(self.dice.choice([20, 500])),
                  self.dice.choice([wire.TEXT, wire.BINARY]))

    def message(self, frame):
        self.run.append(digest(frame.payload))
        self.soak.counts["messages to raw clients"] += 1

    def end(self):
        if not self.gone:
            self.soak.runs.append((self.place, self.run))
        super().end()


class Slow(Json):
    """Hardly reads, and then catches up or goes."""

    kind = "slow reader"
    codes = {DRAINED, ASKED, LOST, TIMED_OUT}
    comes_back = False

    def connect(self, room=None):
        super().connect(4096)

    def welcomed(self):
        super().welcomed()
        self.link.pause()
        self.soak.later(self.dice.uniform(0.5, 4), self.wake)

    def wake(self):
        if self.gone:
            return
        if self.dice.random() < 0.3:
            self.ended_by_us = True
            self.link.abort()
            self.end()
            return
        self.link.pause(False)
        self.soak.later(self.dice.uniform(0.5, 4), self.vanish_if_here)

    def vanish_if_here(self):
        if not self.gone:
            self.vanish()

    def step(self):
        """Says nothing."""

    def ended(self, link, broken):
        # One that did not read when it was time misses its Close, too
        self.ended_by_us = True
        super().ended(link, broken)
