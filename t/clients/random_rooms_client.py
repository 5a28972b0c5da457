"""Clients of `rooms` that subscribe, unsubscribe and resume at random, and
check what they receive."""

import json

from room_client import read
from rooms_client import connect, send


class RandomClient:
    """Remembers the last id of each room. `open_connection` connects a client
    for it. may_end: workers end meanwhile."""

    def __init__(self, random, rooms, open_connection, may_end=False):
        self.random = random
        self.names = rooms
        self.open_connection = open_connection
        self.client = None
        self.may_end = may_end
        self.pings = self.gaps = self.received = self.resumed = 0
        self.seen = {}  # the last id of each room, also of those left
        self.reconnect()

    def reconnect(self):
        """Connects without rooms."""
        if self.client is not None:
            self.client.disconnect()
        self.client = self.open_connection()
        self.rooms = {}  # those that an answer has named: the last id or None
        self.asked = {}  # the ids that were asked for, by ref

    def subscribe(self, names):
        """Resumes those rooms that it was in, or most of them."""
        ref = f"s{self.pings}-{len(self.asked)}"
        since = {name: self.seen[name] for name in names
                 if name in self.seen and self.random.random() < 0.9}
        self.asked[ref] = since
        send(self.client, subscribe=names, since=since, ref=ref)

    def act(self):
        """One random action."""
        try:
            self.act_once()
        except OSError:
            self.resume_all()

    def resume_all(self):
        """After the end of its connection."""
        assert self.may_end
        self.reconnect()
        self.subscribe(self.names)

    def act_once(self):
        some = self.random.sample(self.names,
                                  self.random.randint(1, len(self.names)))
        action = self.random.random()
        if action < 0.45:
            self.subscribe(some)
        elif action < 0.8:
            send(self.client, unsubscribe=some[:2])
        elif action < 0.87:
            self.reconnect()
            self.subscribe(some)
        else:
            send(self.client, publish=some[0], data="own")

    def catch_up(self):
        """Reads all that was sent before the answer to a ping."""
        while not self.read_until_pong():
            self.reconnect()
            self.subscribe(self.names)

    def read_until_pong(self):
        """False: the connection has ended."""
        self.pings += 1
        try:
            send(self.client, ping=1, ref=self.pings)
        except OSError:
            assert self.may_end
            return False
        while True:
            try:
                frame = self.client.read_frame()
            except (AssertionError, OSError):
                if self.may_end and self.client.ended:
                    return False
                raise
            if frame.opcode == 8:
                code = int.from_bytes(frame.payload[:2], "big")
                assert code == 1013 or (self.may_end and code == 1001), frame
                return False
            assert frame.opcode == 1, frame
            if self.check(json.loads(frame.payload)):
                return True

    def check(self, found):
        """Checks one object. True: the last pong."""
        kind = found["type"]
        if kind == "subscribed":
            self.check_answer(found)
        elif kind == "unsubscribed":
            for name in found["rooms"]:
                self.rooms.pop(name, None)
        elif kind == "message":
            self.check_message(found)
        elif kind == "gap":
            self.gaps += 1
            self.rooms[found["room"]] = None
        elif kind == "error":
            assert found["message"] == "not subscribed", found
        return kind == "pong" and found["ref"] == self.pings

    def check_answer(self, found):
        since = self.asked.pop(found["ref"])
        for name, reason in found["refused"].items():
            assert reason in ("already subscribed", "unsubscribed"), found
        for name, room in found["rooms"].items():
            assert name not in self.rooms, found
            if name not in since:
                self.rooms[name] = room["last"]
            else:
                self.resumed += room["recovered"]
                self.rooms[name] = since[name] if room["recovered"] else None
            self.seen[name] = self.rooms[name] or room["last"]

    def check_message(self, found):
        name, found_id = found["room"], found["id"]
        assert name in self.rooms, found
        last = self.rooms[name]
        epoch, sequence = map(int, found_id.split("-"))
        if last is not None:
            assert last == f"{epoch}-{sequence - 1}", (last, found)
        self.rooms[name] = self.seen[name] = found_id
        self.received += 1

    def check_complete(self, last):
        """It has the last messages of the rooms that it is in."""
        for name, own in self.rooms.items():
            assert own == last[name], (name, own, last[name])
