"""What was published and what was seen, over all clients of a soak: each
message has one id for all, and nobody is told anything else."""

import collections
import hashlib


# Shorter messages are accidents of those who send bad frames.
LEAST = 20


def digest(data):
    return hashlib.blake2b(data, digest_size=12).digest()


class Fault(AssertionError):
    """Something that must not be."""


class Ledger:
    """Rooms with their messages; `counts` is what the report shows."""

    def __init__(self):
        self.data = {}  # of (room, epoch, sequence)
        self.ids = {}   # of (room, data)
        self.counts = collections.Counter()

    def record(self, room, name, data):
        """A message of a room, by the id that somebody was told. Data that
        nobody can have sent twice belongs to one id alone."""
        epoch, sequence = map(int, name.split("-"))
        seen = digest(data)
        if self.data.setdefault((room, epoch, sequence), seen) != seen:
            raise Fault(f"{room}: {name} is {data[:60]!r} here, and another "
                        "message elsewhere")
        if len(data) < LEAST:
            return epoch, sequence
        if self.ids.setdefault((room, seen), (epoch, sequence)) != (
                epoch, sequence):
            raise Fault(f"{room}: {data[:60]!r} is {name} here, and "
                        f"{self.ids[room, seen]} elsewhere")
        return epoch, sequence

    def check_run(self, room, run):
        """What one connection without ids has got: one message after the
        other, as far as anybody knows their ids."""
        before = None
        for index, seen in enumerate(run):
            known = self.ids.get((room, seen))
            if known is None:
                continue
            if before is not None:
                (epoch, sequence), at = before
                if known != (epoch, sequence + index - at):
                    raise Fault(
                        f"{room}: {index - at} messages after "
                        f"{epoch}-{sequence} comes {known[0]}-{known[1]}")
            before = known, index


class Follower:
    """The ids that one client gets, over all its connections."""

    def __init__(self, ledger, room):
        self.ledger = ledger
        self.room = room
        self.last = None       # (epoch, sequence)
        self.lost = True       # the next id may be any that is later

    @property
    def since(self):
        return "0" if self.last is None else "%d-%d" % self.last

    def welcomed(self, recovered):
        self.lost = not recovered or self.last is None
        self.ledger.counts["resumed" if recovered else "resumed with a gap"] \
            += 1

    def gap(self):
        self.lost = True
        self.ledger.counts["gaps"] += 1

    def message(self, name, data):
        got = self.ledger.record(self.room, name, data)
        if self.last is not None:
            expected = (self.last[0], self.last[1] + 1)
            if got != expected and not (self.lost and got > self.last):
                raise Fault(f"{self.room}: {got} after {self.last}"
                            f"{', behind a gap' if self.lost else ''}")
        self.last = got
        self.lost = False
        self.ledger.counts["messages to followers"] += 1
