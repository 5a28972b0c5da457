"""Checks the messages of all clients of a soak. Each message has one id for all
clients, and no client receives anything else."""

import collections
import hashlib


# Shorter messages may also come from clients that send bad frames.
LEAST = 20


def digest(data):
    return hashlib.blake2b(data, digest_size=12).digest()


class Fault(AssertionError):
    """A violated rule."""


class Checker:
    """Rooms with their messages; `counts` is printed at the end.

    forgetful: Redis may lose published messages. A publisher without a reply
    may then publish one again in a new epoch.
    """

    def __init__(self, forgetful=False):
        self.forgetful = forgetful
        self.data = {}  # by (room, epoch, sequence)
        self.ids = {}  # by (room, data), then by epoch
        self.counts = collections.Counter()
        # The time of the last failover, in ms since 1970; 0: never
        self.last_failover = lambda: 0

    def record(self, room, name, data):
        """Records the id and the data of a message in a room. Data of at least
        LEAST bytes are sent once, so they have one id."""
        epoch, sequence = map(int, name.split("-"))
        seen = digest(data)
        if self.data.setdefault((room, epoch, sequence), seen) != seen:
            # The master that took over may give an id of a message that it has
            # not got to another one, until a host that has it reconnects. The
            # epoch is the time at which it began.
            if epoch > self.last_failover():
                raise Fault(f"{room}: {name} is {data[:60]!r} here, and "
                            "another message elsewhere")
            self.counts["ids given again after a failover"] += 1
            self.data[room, epoch, sequence] = seen
        if len(data) < LEAST:
            return epoch, sequence
        known = self.ids.setdefault((room, seen), {})
        if known.setdefault(epoch, sequence) != sequence or (
                len(known) > 1 and not self.forgetful):
            raise Fault(f"{room}: {data[:60]!r} is {name} here, and "
                        f"{known} elsewhere")
        return epoch, sequence

    def check_run(self, room, run):
        """Checks the messages of a connection without ids. Those whose ids are
        known are consecutive."""
        before = {}, 0
        for index, seen in enumerate(run):
            known = self.ids.get((room, seen))
            if known is None:
                continue
            passed = index - before[1]
            if before[0] and not any(
                    known.get(epoch) == sequence + passed
                    for epoch, sequence in before[0].items()):
                raise Fault(f"{room}: {passed} messages after {before[0]} "
                            f"comes {known}")
            before = known, index


class Follower:
    """Checks the ids of one client over all its connections."""

    def __init__(self, checker, room):
        self.checker = checker
        self.room = room
        self.last = None       # (epoch, sequence)
        self.lost = True  # the next id may be any later one

    @property
    def since(self):
        return "0" if self.last is None else "%d-%d" % self.last

    def welcomed(self, recovered):
        self.lost = not recovered or self.last is None
        self.checker.counts["resumed" if recovered else "resumed with a gap"] \
            += 1

    def gap(self):
        self.lost = True
        self.checker.counts["gaps"] += 1

    def message(self, name, data):
        got = self.checker.record(self.room, name, data)
        if self.last is not None:
            expected = (self.last[0], self.last[1] + 1)
            # See Checker.record: a host that has not had the lost messages
            # continues their epoch.
            if got != expected and not (self.lost and (
                    got > self.last
                    or got[0] <= self.checker.last_failover())):
                raise Fault(f"{self.room}: {got} after {self.last}"
                            f"{', after a gap' if self.lost else ''}")
        self.last = got
        self.lost = False
        self.checker.counts["messages to followers"] += 1
