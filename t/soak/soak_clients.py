"""The kinds of clients of a soak. Each checks the messages it receives; `step`
performs a random action."""

import base64
import collections
import json
import time

import wire
from room_client import JSON
from soak_checker import Fault, Follower, digest
from soak_connection import Deflate, Connection, frames_of

OFFERS = [
    None, "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=10; "
    "client_max_window_bits=12",
    "permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover",
]
DRAINED, TIMED_OUT, LOST, ASKED = 1012, 1001, 1013, 4000


class SoakClient:
    """One connection from its handshake to its end."""

    kind = "peer"
    path = "/echo"
    subprotocol = None
    codes = {DRAINED}  # Close codes that it may receive
    refusals = {503}  # the worker shuts down or is out of memory
    reconnects = True  # after each end of a connection

    def __init__(self, soak):
        self.soak = soak
        self.random = soak.random
        self.ended_by_us = False
        self.connect()

    def connect(self, room=None):
        tls = self.random.random() < 0.3
        self.upgraded = self.close_received = self.closed = False
        self.worker = None
        self.deflate = None
        self.last_frames = collections.deque(maxlen=12)
        self.connection = Connection(self.soak.selector,
                                     self.soak.address(tls), self,
                                     self.soak.context if tls else None, room)
        self.connection.send(wire.upgrade_request(
            self.target(), protocol=self.subprotocol,
            headers=[("Sec-WebSocket-Extensions", offer) for offer in
                     [self.random.choice(OFFERS)] if offer]))
        self.soak.counts["connections"] += 1

    def target(self):
        return self.path

    # From the link

    def received(self, connection):
        try:
            if not self.upgraded and not self._read_response(connection):
                return
            for frame in frames_of(connection.received, self.deflate):
                if self.close_received:
                    raise Fault(f"{frame} after the Close")
                self.last_frames.append((time.time(), frame))
                self._take(frame)
        except Fault as fault:
            raise Fault(f"{self.kind} of worker {self.worker}: {fault}\n"
                        + self.describe()) from None

    def describe(self):
        """Its request and the last frames of the connection."""
        lines = [f"{self.target()} at {self.connection.socket}"]
        lines += [f"  {when:.3f} {frame.opcode}: {frame.payload[:150]}"
                  for when, frame in self.last_frames]
        return "\n".join(lines)

    def _read_response(self, connection):
        head, found, rest = connection.received.partition(b"\r\n\r\n")
        if not found:
            return False
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status in self.refusals:
            self.soak.counts[f"{status}"] += 1
            self.end()
            return False
        if status != 101:
            raise Fault(lines[0])
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.worker = int(fields["x-worker"])
        if "sec-websocket-extensions" in fields:
            self.deflate = Deflate(fields["sec-websocket-extensions"])
        connection.received = bytearray(rest)
        self.upgraded = True
        self.welcomed()
        return True

    def _take(self, frame):
        if frame.opcode == wire.PING:
            self.connection.send(wire.pong(frame.payload))
        elif frame.opcode == wire.CLOSE:
            self.close_received = True
            self.soak.counts[f"closed with {frame.close_code}"] += 1
            late = (frame.close_code == TIMED_OUT
                    and self.soak.was_stalled())
            if frame.close_code not in self.codes and not late:
                raise Fault(f"Close {frame.close_code} "
                            f"{frame.close_reason!r}")
            if not self.ended_by_us:
                self.connection.send(wire.close(frame.close_code))
            self.end()
        elif frame.opcode != wire.PONG:
            self.message(frame)

    def ended(self, connection, broken):
        """A connection ends without a Close frame only if its worker was
        killed."""
        if not (self.close_received or self.ended_by_us
                or self.soak.was_killed(self.worker, connection.opened)):
            raise Fault(f"{self.kind} of worker {self.worker}: ended without "
                        f"a Close, {broken or 'in order'}, unread: "
                        f"{bytes(connection.received[:100])!r}")
        if not self.close_received:
            self.soak.counts["lost with a worker"] += not self.ended_by_us
        self.end()

    # For the kinds

    def welcomed(self):
        """Called after the handshake."""

    def message(self, frame):
        """Called for each message."""

    def step(self):
        """Performs a random action."""

    def send(self, payload, opcode=wire.TEXT):
        """Sends one message, whole or fragmented, compressed or not."""
        if not self.upgraded:
            return
        rsv = 0
        if self.deflate and self.random.random() < 0.8:
            payload, rsv = self.deflate.compress(payload), 4
        if self.random.random() < 0.7:
            self.connection.send(wire.frame(opcode, payload, rsv=rsv))
            return
        cut = self.random.randint(0, len(payload))
        self.connection.send(
            wire.frame(opcode, payload[:cut], rsv=rsv, fin=False)
            + wire.ping(b"between")
            + wire.frame(wire.CONTINUATION, payload[cut:]))

    def vanish(self):
        """Disconnects in a random way."""
        self.ended_by_us = True
        way = self.random.choice(["reset", "half", "close", "silence", "part"])
        self.soak.counts[f"vanished: {way}"] += 1
        if way == "reset":
            self.connection.abort()
            self.end()
        elif way == "half":
            self.connection.half_close()
        elif way == "close" and self.upgraded:
            self.codes = self.codes | {1000}
            self.connection.send(wire.close(1000))
        elif way == "part":
            self.connection.send(wire.header(wire.BINARY, 70000) + bytes(100))
            self.connection.abort()
            self.end()
        else:
            self.connection.pause()
            self.soak.later(self.random.uniform(0, 8), self.end)

    def end(self):
        """Ends the connection. The scheduler decides whether to open
        another."""
        if not self.closed:
            self.closed = True
            self.connection.close()
            self.soak.on_closed(self)


class Echo(SoakClient):
    """Sends messages and expects the same ones back, in order."""

    kind = "echo"

    def __init__(self, soak):
        self.path = soak.random.choice(["/echo", "/echo-takeover"])
        super().__init__(soak)

    def connect(self, room=None):
        self.expected = []
        super().connect(room)

    def step(self):
        if not self.upgraded or len(self.expected) > 50:
            return
        for _ in range(self.random.choice([1, 1, 3, 20])):
            size = self.random.choice([0, 5, 125, 126, 5000, 66000])
            payload = self.soak.unique_text(size)
            opcode = self.random.choice([wire.TEXT, wire.BINARY])
            self.expected.append((opcode, digest(payload)))
            self.send(payload, opcode)

    def message(self, frame):
        if not self.expected or self.expected.pop(0) != (
                frame.opcode, digest(frame.payload)):
            raise Fault(f"{frame} is not what was sent")
        self.soak.counts["echoes"] += 1


class RoomClient(SoakClient):
    """A client of one of the rooms."""

    def __init__(self, soak, room=None):
        self.room = room or soak.random.choice(soak.rooms)
        super().__init__(soak)

    def target(self):
        return self.room


class Json(RoomClient):
    """Checks that ids are consecutive except after a gap, and resumes when it
    reconnects."""

    kind = "follower"
    subprotocol = JSON
    codes = {DRAINED, ASKED}

    def __init__(self, soak, room=None):
        self.sent = {}
        self.follower = None
        super().__init__(soak, room)

    def connect(self, room=None):
        if self.follower is None:
            self.follower = Follower(self.soak.checker, self.room)
        self.sent = {}
        self.ended_by_us = False
        super().connect(room)

    def target(self):
        return f"{self.room}&since={self.follower.since}"

    def step(self):
        if self.upgraded and len(self.sent) < 20:
            reference = self.soak.number()
            data = self.soak.unique_text(self.random.choice([20, 200, 2000]))
            self.sent[reference] = data
            if self.random.random() < 0.1:
                self.send(data, wire.BINARY)
                del self.sent[reference]
                return
            self.send(json.dumps({"data": data.decode(),
                                  "ref": reference}).encode())

    def welcomed(self):
        self.drops = self.soak.drops

    def check_gap(self):
        """Checks that messages were dropped since the last gap, or since the
        last check before this connection."""
        if self.room in self.soak.lossless:
            before, self.drops = self.drops, self.soak.read_drops()
            if before == self.drops:
                raise Fault(f"{self.room}: a gap, and nothing was dropped")

    def message(self, frame):
        message = json.loads(frame.payload)
        kind = message["type"]
        if kind == "message":
            data = (message["data"].encode() if "data" in message
                    else base64.b64decode(message["base64"]))
            self.follower.message(message["id"], data)
        elif kind == "welcome":
            self.follower.welcomed(message["recovered"])
        elif kind == "gap":
            self.follower.gap()
            self.check_gap()
        elif kind == "published":
            self.soak.checker.record(self.room, message["id"],
                                     self.sent.pop(message["ref"]))
        elif kind == "error":
            self.sent.pop(message.get("ref"), None)
            self.soak.counts["not published"] += 1
        elif kind not in ("joined", "left"):
            raise Fault(f"{message}")


class Raw(RoomClient):
    """Receives payloads without ids, so it checks only their order."""

    kind = "raw"
    codes = {DRAINED, ASKED, LOST}

    def __init__(self, soak, room=None):
        self.run = []
        super().__init__(soak, room)

    def connect(self, room=None):
        self.run = []
        super().connect(room)

    def step(self):
        self.send(self.soak.unique_text(self.random.choice([20, 500])),
                  self.random.choice([wire.TEXT, wire.BINARY]))

    def message(self, frame):
        self.run.append(digest(frame.payload))
        self.soak.counts["messages to raw clients"] += 1

    def end(self):
        if not self.closed:
            self.soak.runs.append((self.room, self.run))
        super().end()


class Slow(Json):
    """Stops reading for some time, then continues or disconnects."""

    kind = "slow reader"
    codes = {DRAINED, ASKED, LOST, TIMED_OUT}
    reconnects = False

    def connect(self, room=None):
        super().connect(4096)

    def welcomed(self):
        super().welcomed()
        self.connection.pause()
        self.soak.later(self.random.uniform(0.5, 4), self.wake)

    def wake(self):
        if self.closed:
            return
        if self.random.random() < 0.3:
            self.ended_by_us = True
            self.connection.abort()
            self.end()
            return
        self.connection.pause(False)
        self.soak.later(self.random.uniform(0.5, 4), self.vanish_if_here)

    def vanish_if_here(self):
        if not self.closed:
            self.vanish()

    def step(self):
        """Sends nothing."""

    def ended(self, connection, broken):
        # A client that did not read in time may also miss its Close.
        self.ended_by_us = True
        super().ended(connection, broken)
