"""The clients of a soak, the loop that serves them, and the dice."""

import heapq
import itertools
import random
import selectors
import signal
import time

from nginx_server import seconds
from soak_attackers import BadFrames, BadHandshake, Publisher
from soak_checker import Fault, Ledger
from soak_clients import Echo, Json, Raw, Slow
from soak_requests import tell
from tls_client import client_context

ROOMS = ["/room?k=0", "/room?k=1", "/flood?k=0"]
FLOOD = 200  # messages of 8 KB: more than the shared memory takes
KILLED = r"worker process {pid} exited on signal 9|was locked by {pid}\b"

# How often things happen, by the second.
PEACE = {"step": 150, "publish": 30, "vanish": 4, "slow": 1, "passer": 4,
         "bad_frames": 5, "bad_handshake": 5, "flood": 0.25}
WAR = dict(PEACE, reload=0.25, kill=0.25)
CALM = {"step": 150, "publish": 30, "passer": 4}


class Town:
    """All who are connected to a server, or to one of several hosts."""

    def __init__(self, servers, seed):
        self.servers = servers
        self.dice = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.context = client_context()
        self.ledger = Ledger()
        self.counts = self.ledger.counts
        self.rooms = ROOMS
        self.peers = {}  # in the order of their coming
        self.runs = []
        self.killed = {}
        self.due = []
        self.order = itertools.count()
        self.numbers = itertools.count(1)
        self.staying = True
        # Rooms whose clients have a gap only where the memory was too small
        self.lossless = {place for place in ROOMS if "flood" not in place}
        self.drops = 0

    # What peers ask for

    def look_at_drops(self):
        """Messages that the shared memory was too small for, so far."""
        self.drops = sum(tell(server, "/status")["zone"]["dropped_unread"]
                         for server in self.servers)
        return self.drops

    def address(self, tls):
        server = self.dice.choice(self.servers)
        return "127.0.0.1", server.tls_port if tls else server.port

    def number(self):
        return next(self.numbers)

    def words(self, size):
        """Text that nobody sends twice, as far as its size allows."""
        text = f"{self.number()} of these words ".encode()
        return (text * (size // len(text) + 1))[:size]

    def later(self, delay, call):
        heapq.heappush(self.due,
                       (time.monotonic() + delay, next(self.order), call))

    def was_killed(self, worker, opened):
        """Whether a connection may have been lost with its worker."""
        if worker is not None:
            return worker in self.killed
        return any(when >= opened for when in self.killed.values())

    def left(self, peer):
        """One connection is over."""
        if peer.comes_back and self.staying:
            self.later(self.dice.uniform(0, 0.3), lambda: self.back(peer))
        else:
            self.peers.pop(peer, None)

    def back(self, peer):
        if self.staying:
            peer.ended_by_us = False
            peer.codes = type(peer).codes
            peer.connect()
        else:
            self.peers.pop(peer, None)

    # Who is there

    def come(self, kind, *arguments):
        peer = kind(self, *arguments)
        if not peer.gone:
            self.peers[peer] = None
        return peer

    def settle(self, followers, raw, echoes):
        """Those that stay, and come back whenever they are closed."""
        self.staying = True
        for index in range(followers):
            self.come(Json, ROOMS[index % len(ROOMS)])
        for index in range(raw):
            self.come(Raw, ROOMS[index % len(ROOMS)])
        for _ in range(echoes):
            self.come(Echo)

    def dismiss(self):
        """All leave."""
        self.staying = False
        self.due.clear()
        for peer in list(self.peers):
            peer.ended_by_us = True
            peer.end()
        self.peers.clear()

    def followers(self):
        return [peer for peer in self.peers if type(peer) is Json
                and peer.comes_back]

    def guests(self, room):
        """How many are connected to a room now."""
        return sum(peer.upgraded and not peer.gone for peer in self.peers
                   if isinstance(peer, (Json, Raw)) and peer.place == room)

    # What happens

    def step(self):
        peer = self.dice.choice(list(self.peers) or [None])
        if peer and not peer.gone:
            peer.step()

    def publish(self):
        self.come(Publisher)

    def vanish(self):
        peer = self.dice.choice(list(self.peers) or [None])
        if peer and not peer.gone and isinstance(peer, (Echo, Json, Raw)):
            peer.vanish()

    def slow(self):
        self.come(Slow, self.dice.choice(ROOMS))
        self.counts["slow readers"] += 1

    def passer(self):
        peer = self.come(Json, f"/room?k=by{self.dice.randrange(100)}")
        peer.comes_back = False
        self.later(self.dice.uniform(0, 2), lambda: peer.gone or peer.vanish())

    def bad_frames(self):
        self.come(BadFrames)

    def bad_handshake(self):
        self.come(BadHandshake)

    def flood(self):
        speakers = [peer for peer in self.peers
                    if isinstance(peer, Raw) and peer.place == ROOMS[-1]
                    and not peer.gone]
        for peer in speakers[:1]:
            for _ in range(FLOOD):
                peer.send(self.words(8000))
            self.counts["floods"] += 1

    def reload(self):
        self.dice.choice(self.servers).send_signal(signal.SIGHUP)
        self.counts["reloads"] += 1

    def kill(self):
        server = self.dice.choice(self.servers)
        pids = server.worker_pids()
        if pids:
            pid = self.dice.choice(pids)
            server.allow_errors(KILLED.format(pid=pid))
            self.killed[pid] = time.monotonic()
            server.send_signal(signal.SIGKILL, pid)
            self.counts["killed workers"] += 1

    # The loop

    def live(self, duration, rates):
        """Goes on for so long, with so much going on."""
        last = time.monotonic()
        until = last + duration
        owed = {name: self.dice.random() for name in rates}
        while last < until:
            self.turn()
            now = time.monotonic()
            for name, rate in rates.items():
                owed[name] += min(now - last, 0.1) * rate
                while owed[name] >= 1:
                    owed[name] -= 1
                    getattr(self, name)()
            last = now

    def turn(self):
        for key, _ in self.selector.select(0.002):
            if key.data.open:
                key.data.turn()
        while self.due and self.due[0][0] <= time.monotonic():
            heapq.heappop(self.due)[2]()

    def wait_until(self, condition, timeout, what):
        """Serves all until something holds."""
        deadline = time.monotonic() + seconds(timeout)
        while not condition():
            if time.monotonic() > deadline:
                raise Fault(f"{what()}: not in {timeout} s")
            self.turn()
