"""The soak of `websocket http`, with a backend that fails at random beside the
faults of nginx."""

import collections
import json
import os

from nginx_server import wait_until
from soak_backend import SoakBackend
from soak_checker import Fault
from soak_clients import ASKED, DRAINED, LOST, SoakClient
from soak_faults import FaultCycle
from soak_requests import send_request
from soak_run import ACTIONS, EXPECTED, Soak
from soak_scheduler import FAULT_RATES, NORMAL_RATES, Scheduler

PATHS = ["/http-close", "/http-report"]
FAILED = 1011
ENDED_BY_NGINX = 444  # the status of an event whose answer was late
# Without a whole header from the backend, which may have accepted the client
ANSWERED_BY_NGINX = (ENDED_BY_NGINX, 502, 504)
CLIENTS = 36
LAST_DISCONNECTS = 15  # seconds after the last client has gone

HTTP = """
    log_format events '$websocket_event $websocket_client $status $pid';
    access_log events.log events if=$websocket_event;
    upstream backend {{ server 127.0.0.1:{port} max_fails=0; keepalive 8;
        keepalive_timeout 500ms; }}
"""
LOCATIONS = """
    location = /http-close {{
        websocket http http pass=@each timeout=2s; websocket_request release;
    }}
    location = /http-report {{
        websocket http http pass=@kept timeout=2s on_error=report
        concurrency=8;
    }}
    location = /publish-http {{ websocket_publish http http; }}
    location @each {{ proxy_pass http://127.0.0.1:{port}; }}
    location @kept {{
        proxy_pass http://backend; proxy_http_version 1.1;
        proxy_set_header Connection "";
    }}
"""
ERRORS = r"\[error\].*(upstream|event \"(connect|message|disconnect)\")"


class HttpClient(SoakClient):
    """Sends numbered messages and expects the replies in their order. It also
    gets what is published, in order."""

    kind = "client of http"
    refusals = range(300, 600)
    codes = {DRAINED, ASKED, LOST, FAILED, 1000, 1001, 3000, 4999}

    def __init__(self, soak, path=None):
        self.path = path or soak.random.choice(PATHS)
        super().__init__(soak)

    def connect(self, room=None):
        self.number = None
        self.sent = 0
        self.waiting = collections.deque()
        self.published = 0
        super().connect(room)

    def step(self):
        if not self.upgraded or len(self.waiting) > 20:
            return
        for _ in range(self.random.choice([1, 1, 1, 5])):
            self.sent += 1
            self.waiting.append(self.sent)
            size = self.random.choice([20, 200, 15000])
            self.send(b"%d " % self.sent + self.soak.unique_text(size))

    def message(self, frame):
        kind, _, rest = frame.payload.partition(b" ")
        if kind == b"id":
            self.number = int(rest)
            self.soak.accepted.add(self.number)
        elif kind == b"re":
            self.replied(int(rest))
        elif kind == b"published":
            if int(rest) <= self.published:
                raise Fault(f"{rest} after {self.published}")
            self.published = int(rest)
            self.soak.counts["published to clients of http"] += 1
        else:
            self.soak.counts["invalid answers"] += 1

    def replied(self, number):
        if number not in self.waiting:
            raise Fault(f"a reply to {number}, not to {self.waiting}")
        while self.waiting[0] != number:
            self.waiting.popleft()
            self.soak.counts["events without a reply"] += 1
        self.waiting.popleft()
        self.soak.counts["replies"] += 1


class HttpScheduler(Scheduler):
    """The clients of `http` beside all others."""

    def __init__(self, servers, seed, backend):
        super().__init__(servers, seed)
        self.backend = backend
        self.accepted = set()
        self.cycle = FaultCycle(self, backend, "backend faults")
        self.publications = 0

    def connect_clients(self, followers, raw, echoes):
        super().connect_clients(followers // 3, raw // 3, echoes // 3)
        for index in range(CLIENTS):
            self.add_client(HttpClient, PATHS[index % len(PATHS)])

    def backend_fault(self):
        self.cycle.inject()

    def publish_http(self):
        self.publications += 1
        try:
            send_request(self.servers[0], "POST", "/publish-http",
                         body=b"published %d" % self.publications)
        except (AssertionError, OSError):
            self.counts["requests lost with a worker"] += 1

    def turn(self):
        super().turn()
        self.backend.check()


class EventLog:
    """The last status and all workers of the connect and of the disconnect of
    each client."""

    def __init__(self, path):
        self.file = open(path, encoding="ascii")
        self.rest = ""  # of a line that is not whole
        self.connects = {}
        self.disconnects = {}

    def read(self):
        """Reads the lines that were added."""
        kinds = {"connect": self.connects, "disconnect": self.disconnects}
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            kind, client, status, pid = line.split()
            if kind in kinds:
                workers = kinds[kind].get(int(client), (0, []))[1]
                kinds[kind][int(client)] = int(status), workers + [int(pid)]


class HttpSoak(Soak):
    """See Soak."""

    normal_rates = dict(NORMAL_RATES, publish_http=5)
    fault_rates = dict(FAULT_RATES, publish_http=5, backend_fault=2)
    expected = EXPECTED + ["replies", "backend faults", "closed with 1011",
                           "published to clients of http"] \
        + [f"fault: {name}" for name in SoakBackend.faults]
    actions = ACTIONS | {f"fault: {name}" for name in SoakBackend.faults}

    def __init__(self, seed, duration, folder):
        self.backend = SoakBackend(seed)
        super().__init__(seed, duration, folder)

    def create_scheduler(self, seed):
        port = self.backend.port
        self.start_server(HTTP.format(port=port), LOCATIONS.format(port=port))
        self.servers[0].allow_errors(ERRORS)
        self.log = EventLog(os.path.join(self.servers[0].prefix,
                                         "events.log"))
        return HttpScheduler(self.servers, seed, self.backend)

    def run_faults(self):
        super().run_faults()
        self.scheduler.cycle.finish()
        self.backend.calm = True

    def converge(self):
        super().converge()
        self.check_disconnects()

    def disconnect_clients(self, files):
        super().disconnect_clients(files)
        self.check_disconnects(alive=False)

    def close(self):
        self.backend.close()
        self.log.file.close()
        super().close()

    def replace_workers(self):
        """Each new worker sends an event: with the first one it opens two
        files."""
        super().replace_workers()
        left = set(self.pids())
        while left:
            client = self.scheduler.add_client(HttpClient)
            client.reconnects = False
            self.scheduler.wait_until(
                lambda client=client: client.number or client.closed, 10,
                lambda: "a connect event")
            left.discard(client.worker)
            client.ended_by_us = True
            client.end()
        self.scheduler.run_for(1.5, {})  # the connections of the upstream end

    # Disconnects

    def check_disconnects(self, alive=True):
        """Each accepted client that has gone has had one disconnect event, or
        one of each worker that was killed while it sent it."""
        scheduler = self.scheduler
        present = {client.number for client in scheduler.clients
                   if isinstance(client, HttpClient)} if alive else set()
        log = self.log
        scheduler.wait_until(
            lambda: not self.missing(present, alive), LAST_DISCONNECTS,
            lambda: f"disconnects of {self.missing(present, alive)}")
        killed = set(scheduler.killed)
        for number, (_, workers) in log.disconnects.items():
            if set(workers[:-1]) - killed:
                raise Fault(f"client {number}: disconnects of the workers "
                            f"{workers}")
            # A worker may be killed between the log line and what follows
            status, workers = log.connects.get(number, (ENDED_BY_NGINX, []))
            if number in present or status >= 300 and not killed & set(
                    workers) and status not in ANSWERED_BY_NGINX:
                raise Fault(f"client {number} is connected, or was refused "
                            f"with {status}")
        figures = json.loads(send_request(
            self.servers[0], "GET", "/status").body)["http"]
        if not alive and figures["out"] + figures["waiting"]:
            raise Fault(f"events without an end: {figures}")
        scheduler.counts["disconnects"] = len(log.disconnects)

    def missing(self, present, alive):
        """The clients that have gone without a disconnect event."""
        self.log.read()
        gone = self.scheduler.accepted - present
        if not alive:
            gone |= {number for number, (status, _)
                     in self.log.connects.items() if 200 <= status < 300}
        return gone - set(self.log.disconnects)
