"""The clients of a soak, the loop that serves them, and the random numbers."""

import heapq
import itertools
import random
import selectors
import signal
import time

from nginx_server import seconds
from soak_attackers import BadFrames, BadHandshake, Publisher
from soak_checker import Fault, Checker
from soak_clients import Echo, Json, Raw, Slow
from soak_requests import get_state
from tls_client import client_context

ROOMS = ["/room?k=0", "/room?k=1", "/flood?k=0"]
FLOOD = 200  # messages of 8 KB, more than fit into the shared memory
KILLED = r"worker process {pid} exited on signal 9|was locked by {pid}\b"

# No client is served for a third of websocket_timeout, and for how long a
# Close for silence may follow.
SHORTEST_STALL = 2
STALL_SECONDS = 8

# Rates of actions per second.
NORMAL_RATES = {"step": 150, "publish": 30, "vanish": 4, "slow": 1,
                "short_visit": 4, "bad_frames": 5, "bad_handshake": 5,
                "flood": 0.25}
FAULT_RATES = dict(NORMAL_RATES, reload=0.25, kill=0.25)
QUIET_RATES = {"step": 150, "publish": 30, "short_visit": 4}


class Scheduler:
    """The clients of one server or of several hosts, and their actions."""

    def __init__(self, servers, seed):
        self.servers = servers
        self.running = list(servers)
        self.random = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.context = client_context()
        self.checker = Checker()
        self.counts = self.checker.counts
        self.rooms = ROOMS
        self.clients = {}  # in the order of connecting
        self.runs = []
        self.killed = {}
        self.due = []
        self.order = itertools.count()
        self.numbers = itertools.count(1)
        self.staying = True
        self.last_turn = time.monotonic()
        self.stalled_at = -STALL_SECONDS
        # Rooms whose clients have a gap only if the shared memory was full
        self.lossless = {room for room in ROOMS if "flood" not in room}
        self.drops = 0

    # Calls of clients

    def read_drops(self):
        """The number of messages that were dropped because the memory was
        full."""
        self.drops = sum(get_state(server, "/status")["zone"]["dropped_unread"]
                         for server in self.servers)
        return self.drops

    def address(self, tls):
        server = self.random.choice(self.running)
        return "127.0.0.1", server.tls_port if tls else server.port

    def number(self):
        return next(self.numbers)

    def unique_text(self, size):
        """Text that is sent only once, if it is long enough."""
        text = f"{self.number()} of these words ".encode()
        return (text * (size // len(text) + 1))[:size]

    def later(self, delay, call):
        heapq.heappush(self.due,
                       (time.monotonic() + delay, next(self.order), call))

    def was_killed(self, worker, opened):
        """Whether a killed worker may have ended this connection."""
        if worker is not None:
            return worker in self.killed
        return any(when >= opened for when in self.killed.values())

    def on_closed(self, client):
        """Called after the end of a client's connection."""
        if client.reconnects and self.staying:
            self.later(self.random.uniform(0, 0.3),
                       lambda: self.reconnect(client))
        else:
            self.clients.pop(client, None)

    def reconnect(self, client):
        if self.staying:
            client.ended_by_us = False
            client.codes = type(client).codes
            client.connect()
        else:
            self.clients.pop(client, None)

    # Clients

    def add_client(self, kind, *arguments):
        client = kind(self, *arguments)
        if not client.closed:
            self.clients[client] = None
        return client

    def connect_clients(self, followers, raw, echoes):
        """Connects clients that reconnect each time they are closed."""
        self.staying = True
        for index in range(followers):
            self.add_client(Json, ROOMS[index % len(ROOMS)])
        for index in range(raw):
            self.add_client(Raw, ROOMS[index % len(ROOMS)])
        for _ in range(echoes):
            self.add_client(Echo)

    def disconnect_all(self):
        """Disconnects all clients."""
        self.staying = False
        self.due.clear()
        for client in list(self.clients):
            client.ended_by_us = True
            client.end()
        self.clients.clear()

    def followers(self):
        return [client for client in self.clients if type(client) is Json
                and client.reconnects]

    def guests(self, room):
        """The number of clients that are connected to a room now."""
        return sum(client.upgraded and not client.closed
                   for client in self.clients
                   if isinstance(client, (Json, Raw)) and client.room == room)

    # Actions

    def step(self):
        client = self.random.choice(list(self.clients) or [None])
        if client and not client.closed:
            client.step()

    def publish(self):
        self.add_client(Publisher)

    def vanish(self):
        client = self.random.choice(list(self.clients) or [None])
        if client and not client.closed and isinstance(
                client, (Echo, Json, Raw)):
            client.vanish()

    def slow(self):
        self.add_client(Slow, self.random.choice(ROOMS))
        self.counts["slow readers"] += 1

    def short_visit(self):
        client = self.add_client(Json,
                                 f"/room?k=by{self.random.randrange(100)}")
        client.reconnects = False
        self.later(self.random.uniform(0, 2), lambda: client.closed
                   or client.vanish())

    def bad_frames(self):
        self.add_client(BadFrames)

    def bad_handshake(self):
        self.add_client(BadHandshake)

    def flood(self):
        speakers = [client for client in self.clients
                    if isinstance(client, Raw) and client.room == ROOMS[-1]
                    and not client.closed]
        for client in speakers[:1]:
            for _ in range(FLOOD):
                client.send(self.unique_text(8000))
            self.counts["floods"] += 1

    def reload(self):
        self.random.choice(self.running).send_signal(signal.SIGHUP)
        self.counts["reloads"] += 1

    def kill(self):
        server = self.random.choice(self.running)
        pids = server.worker_pids()
        if pids:
            pid = self.random.choice(pids)
            server.allow_errors(KILLED.format(pid=pid))
            self.killed[pid] = time.monotonic()
            server.send_signal(signal.SIGKILL, pid)
            self.counts["killed workers"] += 1

    # The loop

    def run_for(self, duration, rates):
        """Runs for `duration` seconds with these rates per second."""
        last = time.monotonic()
        until = last + duration
        owed = {name: self.random.random() for name in rates}
        while last < until:
            self.turn()
            now = time.monotonic()
            for name, rate in rates.items():
                owed[name] += min(now - last, 0.1) * rate
                while owed[name] >= 1:
                    owed[name] -= 1
                    getattr(self, name)()
            last = now

    def was_stalled(self):
        """Whether the machine has just kept this process, and so all clients,
        from answering pings."""
        return time.monotonic() - self.stalled_at < STALL_SECONDS

    def turn(self):
        now = time.monotonic()
        if now - self.last_turn > SHORTEST_STALL:
            self.stalled_at = now
            self.counts["stalls of the machine"] += 1
        self.last_turn = now
        for key, _ in self.selector.select(0.002):
            if key.data.open:
                key.data.turn()
        while self.due and self.due[0][0] <= time.monotonic():
            heapq.heappop(self.due)[2]()

    def wait_until(self, condition, timeout, what):
        """Serves all clients until the condition holds."""
        deadline = time.monotonic() + seconds(timeout)
        while not condition():
            if time.monotonic() > deadline:
                raise Fault(f"{what()}: not in {timeout} s")
            self.turn()
