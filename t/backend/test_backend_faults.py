"""Workers that are killed while they change the notes of their clients, and
while events are out: each connect that was accepted gets a disconnect."""

import os
import random
import signal

import pytest

import wire
from http_backend import Answer, HttpBackend
from nginx_server import faulty_module_file, seconds, wait_until
from worker_picking import REUSEPORT, connect_to, wait_for_other_worker

LOCATION = """
location /app {{ websocket http $arg_room pass=@app; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""

class Ledger:
    """The clients that the backend has accepted, and those that have
    disconnected, with the sequences of their last events."""

    def __init__(self):
        self.backend = HttpBackend(self.answer)
        self.accepted = set()
        self.ended = {}

    def answer(self, event):
        if event.kind == "connect":
            self.accepted.add(event.client)
        elif event.kind == "disconnect":
            before = self.ended.setdefault(event.client, event.sequence)
            assert before == event.sequence
        return Answer(204, fields=(
            ("WebSocket-State", "x" * random.randrange(300)),))

    def wait_for_ends(self):
        wait_until(lambda: self.accepted <= set(self.ended), seconds(30),
                   "a disconnect of each client")


@pytest.fixture
def ledger():
    created = Ledger()
    yield created
    created.backend.close()


def work(server):
    """Connects clients that talk and disconnect; workers may die meanwhile."""
    clients = []
    try:
        for number in range(6):
            client = server.connect("/app?room=" + str(number), headers=[
                ("X-Filler", "x" * random.randrange(1000))])
            clients.append(client)
            client.text("x")
    except (AssertionError, OSError):
        pass
    for client in clients:
        client.abort()


def deaths(server):
    return server.log().count("exited on signal 9")


def start(nginx, ledger, name, passes):
    server = nginx(
        LOCATION.format(port=ledger.backend.port), workers=2, module=False,
        main=f"load_module {faulty_module_file()};"
             f" env WEBSOCKET_DIE_AT={name}:{passes};", **REUSEPORT)
    server.allow_errors(r"exited on signal 9|zone \"\w+\" was locked|upstream"
                        r"|event \"")
    return server


@pytest.mark.parametrize("name", ["note.written", "note.linked", "note.state",
                                  "note.changed", "note.unlinked"])
def test_worker_killed_at_a_note(ledger, nginx, name):
    server = start(nginx, ledger, name, 30)

    def two_have_died():
        work(server)
        return deaths(server) >= 2
    wait_until(two_have_died, seconds(40), "two dead workers")
    server.release_clients()
    ledger.wait_for_ends()


@pytest.mark.parametrize("name", ["note.moving", "note.moved"])
def test_worker_killed_while_it_adopts(ledger, nginx, name):
    """The test kills one worker again and again, with ten clients. The other
    one moves their notes twice each, and dies at the 45th."""
    server = start(nginx, ledger, name, 45)
    adopter, victim = sorted(server.worker_pids())
    for _ in range(6):
        for _ in range(10):
            connect_to(server, victim, "/app?room=1")
        os.kill(victim, signal.SIGKILL)
        ledger.wait_for_ends()
        wait_for_other_worker(server, victim, 2)
        left = sorted(server.worker_pids())
        adopter = adopter if adopter in left else left[0]
        victim = next(pid for pid in left if pid != adopter)
    server.release_clients()
    assert deaths(server) >= 6 + 1


def test_workers_killed_at_random(ledger, nginx):
    """Twenty deaths while events are out."""
    server = nginx(LOCATION.format(port=ledger.backend.port), workers=2,
                   **REUSEPORT)
    server.allow_errors(r"exited on signal 9|zone \"\w+\" was locked|upstream"
                        r"|event \"")
    for _ in range(20):
        work(server)
        try:
            client = server.open()
            client.send(wire.upgrade_request("/app?room=1"))
        except OSError:
            pass
        os.kill(random.choice(server.worker_pids()), signal.SIGKILL)
    server.release_clients()
    ledger.wait_for_ends()
    assert len(ledger.ended) >= 20
