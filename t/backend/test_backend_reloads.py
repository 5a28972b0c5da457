"""Workers of two configurations or programs, while the old ones drain."""

import os
import signal

import pytest

from daemon_server import PRELOADED
from http_backend import Gate, connect
from nginx_server import seconds, wait_until
from worker_picking import REUSEPORT, connect_to

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app {parameters}; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""


def close_gate(backend, kind):
    """Events of a kind are not answered before the gate is open."""
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.kind == kind else None
    return gate


def start(backend, nginx, parameters="", workers=2, main=""):
    server = nginx(LOCATIONS.format(port=backend.port, parameters=parameters),
                   workers=workers, http="websocket_drain 20s;", main=main,
                   **REUSEPORT)
    server.allow_errors("exited on signal 9")
    return server


def hold(client, backend):
    """Makes the worker of a client drain as long as the gate is closed."""
    client.text("x")
    backend.next("message")


def expect_disconnects(backend, numbers):
    """Others may come too."""
    missing = set(numbers)
    while missing:
        missing.discard(backend.next("disconnect").client)


@pytest.mark.parametrize("old, new", [
    ("/app", "/other"), ("@app", "@other"), ("$arg_room", "$arg_other"),
    ("pass=@app", "pass=@app events=connect,message")])
def test_old_location_is_not_in_the_new_configuration(backend, nginx, old,
                                                      new):
    """Another worker that drains sends what a killed one could not."""
    server = start(backend, nginx)
    gate = close_gate(backend, "message")
    numbers = {}
    for pid in server.worker_pids():
        client = connect_to(server, pid, "/app?room=1")
        numbers[pid] = backend.next("connect").client
        hold(client, backend)
    server.rewrite_config(old, new)
    server.reload()
    dead, number = next(iter(numbers.items()))
    os.kill(dead, signal.SIGKILL)
    expect_disconnects(backend, {number})
    gate.open()


def test_new_location_is_not_in_the_old_configuration(backend, nginx):
    """Workers that drain leave the clients of a killed one to its
    successor."""
    server = start(backend, nginx, workers=1)
    gate = close_gate(backend, "message")
    hold(connect(server, backend)[0], backend)
    server.rewrite_config("/app", "/new")
    old = server.reload()
    _, event = connect(server, backend, "/new?room=1")
    for pid in set(server.worker_pids()) - set(old):
        os.kill(pid, signal.SIGKILL)
    expect_disconnects(backend, {event.client})
    gate.open()


def test_events_wait_longer_than_the_shutdown_timeout(backend, nginx):
    """The old worker ends in time. New ones send what is left."""
    server = start(backend, nginx, "concurrency=1", 1,
                   "worker_shutdown_timeout 500ms;")
    server.allow_errors("event \"disconnect\" of client")
    gate = close_gate(backend, "disconnect")
    clients = [connect(server, backend)[1].client for _ in range(5)]
    server.wait_for_workers_gone(server.reload(), 5)
    gate.open()
    expect_disconnects(backend, clients)


def test_shutdown_timeout_while_a_message_is_out(backend, nginx):
    """Its client has a disconnect, though nothing follows an event then."""
    server = start(backend, nginx, main="worker_shutdown_timeout 500ms;")
    server.allow_errors("event \"message\" of client")
    gate = close_gate(backend, "message")
    client, event = connect(server, backend)
    hold(client, backend)
    server.send_signal(signal.SIGQUIT)
    expect_disconnects(backend, {event.client})
    wait_until(lambda: server.process.poll() is not None, seconds(5),
               "the end of nginx")
    gate.open()


def test_upgrade_begins_other_client_numbers(backend, nginx_daemon):
    """Clients of the old program may still be connected."""
    server = nginx_daemon(LOCATIONS.format(port=backend.port, parameters=""),
                          main=PRELOADED)
    numbers = [connect(server, backend)[1].client for _ in range(20)]
    with server.upgraded() as new:
        old = [pid for pid in server.worker_pids() if pid != new]
        server.send_signal(signal.SIGWINCH)
        server.wait_for_workers_gone(old, 20)
        expect_disconnects(backend, numbers)
        assert connect(server, backend)[1].client > max(numbers)
        server.send_signal(signal.SIGQUIT)
        server.wait_for_exit()
