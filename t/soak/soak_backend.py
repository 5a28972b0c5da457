"""A backend of a soak that fails at random, and the order of its events."""

import random
import threading
import time

from garbage_answers import garbage
from http_backend import Answer, HttpBackend
from soak_checker import Fault

LONGEST_ANSWER = 3  # seconds; more than the timeout of an event
RESET = Answer(raw=[], resets=True)


class Ledger:
    """Checks the events that arrive. An event that failed may be missing. Only
    a disconnect may come twice: from a worker that was killed before it had the
    answer, and from the one that adopted the client."""

    def __init__(self):
        self.last = {}  # (kind, sequence) of each client
        self.states = {}  # those that were sent to each client, in order
        self.faults = []

    def note(self, event):
        kind = event.kind
        sequence = 0 if kind == "connect" else event.sequence
        before = self.last.get(event.client)
        self.last[event.client] = kind, sequence
        if before is None:
            return  # the events before it may have failed
        if before[0] == "disconnect":
            wrong = (kind, sequence) != before
        else:
            wrong = sequence <= before[1]
        if kind == "message" and event.body:
            wrong |= int(event.body.split()[0]) != sequence
        if wrong or not self.is_known_state(event):
            self.faults.append(f"client {event.client}: {kind} {sequence}, "
                               f"state {event.state}, after {before}")

    def is_known_state(self, event):
        """No state older than one that came back is sent again. Random answers
        set random states."""
        states = self.states.setdefault(event.client, [])
        if not (event.state or "").startswith(f"{event.client}-"):
            return True
        if event.state not in states:
            return False
        del states[:states.index(event.state)]
        return True

    def next_state(self, event):
        state = f"{event.client}-{len(self.last)}-{time.monotonic_ns()}"
        self.states.setdefault(event.client, []).append(state)
        return state


class SoakBackend:
    """Answers "re NUMBER" to a message that begins with a number. Single
    events fail, and a FaultCycle makes all of them fail."""

    faults = ["refuse", "die", "hang", "slow_down", "fail"]
    first_faults = ["die", "refuse"]
    longest = 2

    def __init__(self, seed):
        self.random = random.Random(f"backend {seed}")
        self.lock = threading.Lock()
        self.ledger = Ledger()
        self.fault = None
        self.calm = False  # no single event fails
        self.ended = threading.Event()
        self.running = HttpBackend(self.answer)
        self.port = self.running.port

    def check(self):
        with self.lock:
            if self.ledger.faults:
                raise Fault("\n".join(self.ledger.faults))

    def close(self):
        self.ended.set()
        if self.running:
            self.running.close()

    # In threads

    def answer(self, event):
        with self.lock:
            self.running.events.queue.clear()
            try:
                self.ledger.note(event)
            except (TypeError, ValueError) as fault:
                self.ledger.faults.append(f"{fault!r}: {event}")
            fault, ended = self.fault, self.ended
            choice = 0 if self.calm else self.random.random()
            good = Answer(200, self.reply(event), fields=(
                ("WebSocket-State", self.ledger.next_state(event)),))
            if choice > 0.99:
                good.fields += (("WebSocket-Close", "4000 asked"),)
            bad = self.random.choice([
                RESET, Answer(500), Answer(raw=b"HTTP/1.1 200 OK\r\n"),
                garbage(self.random)])
        if fault == "hang":
            ended.wait(LONGEST_ANSWER)
        elif fault == "slow_down" or 0.8 < choice < 0.9:
            ended.wait(0.2)
        if self.fault == "die" or ended.is_set():
            return RESET
        return bad if fault == "fail" or 0.7 < choice < 0.8 else good

    @staticmethod
    def reply(event):
        if event.kind == "connect":
            return b"id %d" % event.client
        return b"re " + event.body.split()[0] if event.body else b""

    # Faults

    def begin(self, name):
        self.fault = name
        return self.clear

    def clear(self):
        self.fault = None

    def stop_listening(self):
        self.running.close()

        def end():
            self.running = HttpBackend(self.answer, self.port)
            self.ended = threading.Event()
            self.clear()
        return end

    def begin_refuse(self):
        """New connections are refused; requests that came are answered."""
        return self.stop_listening()

    def begin_die(self):
        """All connections end with an RST."""
        self.fault = "die"
        self.ended.set()
        return self.stop_listening()

    def begin_hang(self):
        return self.begin("hang")

    def begin_slow_down(self):
        return self.begin("slow_down")

    def begin_fail(self):
        return self.begin("fail")
