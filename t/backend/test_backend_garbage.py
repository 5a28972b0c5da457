"""A backend whose answers are random, most of them invalid.

WEBSOCKET_EVENTS sets the number of messages of each test, WEBSOCKET_SEED the
answers.
"""

import collections
import json
import os
import random
import threading

import pytest

import wire
from garbage_answers import LIMIT, garbage, records
from gateway_backend import GatewayBackend
from http_backend import Answer, HttpBackend
from nginx_server import seconds, wait_until
from publish_client import Publisher
from worker_probe import descriptors, only_worker

EVENTS = int(os.environ.get("WEBSOCKET_EVENTS", "800"))
THREADS = 4

LOCATIONS = """
location /close {{ websocket http $arg_room pass=@app timeout=1s; }}
location /report {{ websocket http $arg_room pass=@app timeout=1s
                    on_error=report; }}
location /sane {{ websocket http sane pass=@sane; }}
location = /push {{ websocket_publish http sane; }}
location = /json {{ websocket_status json; }}
location @static {{ return 200 "static"; }}
location = /static {{ internal; return 200 "static"; }}
websocket_subprotocols a b;
keepalive_requests 1000000;
websocket_max_message_size {limit};
websocket_close_timeout 1s;
location @app {{ {directives} }}
location @sane {{ {sane} }}
"""
# nginx may send an event on a kept connection that the backend is closing.
# Those that keep connections name the upstream "backend".
PASSES = {
    "buffered": "proxy_pass http://127.0.0.1:{port};",
    "unbuffered": """proxy_pass http://backend; proxy_buffering off;
        proxy_http_version 1.1; proxy_set_header Connection "";""",
    "intercepted": """proxy_pass http://backend; proxy_intercept_errors on;
        proxy_next_upstream error timeout invalid_header http_500
        non_idempotent; proxy_http_version 1.1;
        error_page 404 =200 @static; error_page 500 502 503 /nowhere;""",
    "uwsgi": "uwsgi_pass 127.0.0.1:{port};",
    "fastcgi": "fastcgi_pass 127.0.0.1:{port}; fastcgi_keep_conn on;",
}


class Ledger:
    """Answers events, and checks their order for each client."""

    def __init__(self, seed, kind):
        self.seed = seed
        self.make = [records] if kind == "fastcgi" else []
        self.all_arrive = "//backend" not in PASSES[kind]
        self.count = 0
        self.faults = []
        self.sequences = {}
        self.ended = set()
        self.lock = threading.Lock()

    def answer(self, event):
        with self.lock:
            self.count += 1
            self.check(event)
        if event.fields["WebSocket-Resource"] == "sane":
            return Answer(200, b"sane " + event.body) if event.body else None
        chance = random.Random(f"{self.seed} {event.client} {event.kind} "
                               f"{event.fields['WebSocket-Sequence']}")
        good = {"connect": 0.8, "message": 0.1, "disconnect": 0.5}[event.kind]
        return None if chance.random() < good else garbage(chance, *self.make)

    def check(self, event):
        """nginx repeats an event only if it may not have arrived."""
        before = self.sequences.get(event.client, -1)
        now = 0 if event.kind == "connect" else event.sequence
        wrong = now != before + 1 if self.all_arrive else now < before
        if wrong or event.client in self.ended and event.kind != "disconnect":
            self.faults.append(f"{event.kind} {now} after {before}, client "
                               f"{event.client}")
        self.sequences[event.client] = now
        if event.kind == "disconnect":
            self.ended.add(event.client)


@pytest.fixture(params=PASSES)
def kind(request):
    return request.param


@pytest.fixture
def backend(kind):
    started = GatewayBackend(kind) if kind in GatewayBackend.handlers \
        else HttpBackend()
    yield started
    started.close()


def figures(server):
    response = server.request(b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n")
    return json.loads(response.body)["http"]


class Visitor(threading.Thread):
    """Connects clients that send messages until their connection is closed."""

    def __init__(self, server, number, count):
        super().__init__()
        self.server = server
        self.random = random.Random(number)
        self.left = count
        self.seen = collections.Counter()
        self.accepted = 0
        self.fault = None

    def run(self):
        try:
            while self.left > 0:
                self.visit()
        except BaseException as fault:  # reported by the test
            self.fault = fault

    def visit(self):
        path = self.random.choice(["/close", "/report"])
        client = self.server.open()
        client.send(wire.upgrade_request(f"{path}?room=1", protocol="a, b"))
        self.left -= 1
        status = client.read_response().status
        self.seen[status] += 1
        self.accepted += status == 101
        if status == 101:
            while self.left > 0 and self.talk(client):
                pass
        client.disconnect()
        self.server.clients.remove(client)

    def talk(self, client):
        """Sends a message; returns whether the connection goes on. If so, nginx
        answers the Ping after the event."""
        self.left -= 1
        client.text("message")
        client.ping(b"after")
        while True:
            frame = client.read_frame()
            if frame.opcode == wire.CLOSE:
                self.seen[frame.close_code] += 1
                client.close(frame.close_code)
                client.expect_eof()
                return False
            if frame.opcode == wire.PONG:
                self.seen["goes on"] += 1
                return True
            self.seen["reply"] += 1
            assert len(frame.payload) <= LIMIT
            assert frame.opcode == wire.BINARY or frame.payload.decode() \
                is not None


def test_random_answers(kind, backend, nginx, capsys):
    seed = int(os.environ.get("WEBSOCKET_SEED", random.randrange(1 << 32)))
    print(f"WEBSOCKET_SEED={seed}")
    ledger = Ledger(seed, kind)
    sane = directives = PASSES[kind].format(port=backend.port)
    if isinstance(backend, GatewayBackend):
        sane = directives = directives + backend.params(kind)
    elif not ledger.all_arrive:
        sane = PASSES["buffered"].format(port=backend.port)
    server = nginx(LOCATIONS.format(limit=LIMIT, directives=directives,
                                    sane=sane), workers=1, http=f"""
upstream backend {{ server 127.0.0.1:{backend.port} max_fails=0; keepalive 4;
    keepalive_timeout 1s; }}
""")
    server.allow_errors(r"\[error\].*(upstream|event \"|open\(\)|named location"
                        r"|unsafe URI|cycle|sent in stderr)")
    backend.answer = ledger.answer
    sane = server.connect("/sane")
    before = descriptors(only_worker(server))
    visitors = [Visitor(server, f"{seed} {number}", EVENTS // THREADS)
                for number in range(THREADS)]
    for visitor in visitors:
        visitor.start()
    publisher = Publisher(server, "/push")
    deliveries = 0
    while any(visitor.is_alive() for visitor in visitors):
        deliveries += 1
        publisher.post(b"pushed", clients=1)
        sane.expect_text("pushed")
        sane.text(str(deliveries))
        sane.expect_text(f"sane {deliveries}")
    seen = sum((visitor.seen for visitor in visitors), collections.Counter())
    with capsys.disabled():
        print(f"\n{kind}, seed {seed}: {deliveries} deliveries, {seen}")
    for visitor in visitors:
        if visitor.fault is not None:
            raise visitor.fault
    sane.leave()
    server.release_clients()
    check_end(server, ledger, seen, before)


def check_end(server, ledger, seen, files):
    """All clients have ended, all events are counted, nothing is open."""
    found = wait_until(lambda: (lambda now: now["out"] + now["waiting"] == 0
                                and now)(figures(server)),
                       seconds(5), "the end of all events")
    assert not ledger.faults
    assert found["events"] == sum(found["latency"].values())
    assert found["events"] <= ledger.count or not ledger.all_arrive
    # A connect that failed may have been accepted
    assert len(ledger.ended) >= (seen[101] + 1) * ledger.all_arrive
    assert found["failed"]["memory"] == 0
    assert sum(found["failed"].values()) >= seen[1011] + seen[502]
    wait_until(lambda: descriptors(only_worker(server)) <= files,
               seconds(5), "closed connections")
