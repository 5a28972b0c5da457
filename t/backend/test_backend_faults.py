"""Workers that are killed while they change the notes of their clients, and
while events are out: each connect that was accepted gets a disconnect."""

import os
import random
import signal

import pytest

import wire
from http_backend import Answer, HttpBackend
from nginx_server import faulty_module_file, seconds, wait_until
from worker_picking import REUSEPORT

LOCATION = """
location /app {{ websocket http $arg_room pass=@app; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""

POINTS = ["note.written", "note.linked", "note.state", "note.changed",
          "note.unlinked", "note.moving", "note.moved"]


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


@pytest.mark.parametrize("name", POINTS)
def test_worker_killed_at_a_note(ledger, nginx, name):
    # Notes move when a worker has ended: the test kills some
    moves = name.startswith("note.mov")
    killed = []
    passes = 10 if moves else 30
    server = nginx(
        LOCATION.format(port=ledger.backend.port), workers=2, module=False,
        main=f"load_module {faulty_module_file()};"
             f" env WEBSOCKET_DIE_AT={name}:{passes};", **REUSEPORT)
    server.allow_errors(r"exited on signal 9|zone \"\w+\" was locked|upstream"
                        r"|event \"")

    def two_have_died():
        work(server)
        if not moves:
            return deaths(server) >= 2
        os.kill(random.choice(server.worker_pids()), signal.SIGKILL)
        ledger.wait_for_ends()
        killed.append(1)
        return deaths(server) >= len(killed) + 2
    wait_until(two_have_died, seconds(40), "dead workers")
    server.release_clients()
    ledger.wait_for_ends()


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
