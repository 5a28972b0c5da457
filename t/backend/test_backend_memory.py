"""Memory of clients of `websocket http`, beside those of `echo`."""

import socket
import struct

import pytest

import wire
from http_backend import app, connect
from nginx_server import seconds, wait_until
from preload import preloaded
from tuned_client import connect_blocking
from worker_probe import memory, memory_is_exact, only_worker

LOCATIONS = """
location = /keep/echo { websocket echo; }
location = /keep/http { websocket http lobby pass=@app; }
location = /release/echo { websocket_request release; websocket echo; }
location = /release/http { websocket_request release;
                           websocket http lobby pass=@app; }
location @app { if ($websocket_event = message) { return 200 hello; }
                return 204; }
"""
COUNT = 2000
AND_LATER = 1 << 63  # of malloc_countdown
RESET = struct.pack("ii", 1, 0)


def talk(client):
    client.sendall(wire.text("hello"))
    assert client.recv(100) == wire.text("hello", mask=None)


def close(client):
    """Closes with an RST, so that the port is not in TIME_WAIT."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def memory_per_client(server, path):
    pid = only_worker(server)
    clients = []

    def connect(number):
        for _ in range(number):
            clients.append(connect_blocking(server, path=path))
            talk(clients[-1])

    try:
        connect(100)
        before = memory(pid, "Anonymous")
        connect(COUNT)
        return (memory(pid, "Anonymous") - before) / COUNT
    finally:
        for client in clients:
            close(client)


@pytest.mark.parametrize("policy", ["keep", "release"])
def test_idle_client_takes_little_more_than_one_of_echo(nginx, policy, capsys):
    if not memory_is_exact():
        pytest.skip("under a sanitizer or valgrind memory is not exact")
    found = {}
    for handler in ("echo", "http"):
        server = nginx(LOCATIONS, connections=COUNT + 200, workers=1)
        found[handler] = memory_per_client(server, f"/{policy}/{handler}")
        server.stop()
    with capsys.disabled():
        print(f"\n{policy}: {found['http'] - found['echo']:.0f} bytes more "
              f"than {found['echo']:.0f}")
    assert found["http"] - found["echo"] < 200


def test_events_leave_no_memory(nginx):
    """Nothing grows with the events of a connection, nor with clients."""
    if not memory_is_exact():
        pytest.skip("under a sanitizer or valgrind memory is not exact")
    server = nginx(LOCATIONS, workers=1)
    pid = only_worker(server)
    client = connect_blocking(server, path="/keep/http")

    def work():
        for _ in range(2000):
            talk(client)
        for _ in range(100):
            other = connect_blocking(server, path="/release/http")
            talk(other)
            close(other)
        return memory(pid, "Anonymous")

    before = work()
    wait_until(lambda: work() <= before + 64 * 1024, seconds(30), "no growth")
    close(client)


def test_disconnect_without_memory_is_sent_later(run_folder, backend, nginx):
    with preloaded(run_folder, "malloc_countdown") as countdown, \
            countdown.environment():
        server = nginx(app("@app") + f"""
location @app {{ proxy_pass http://127.0.0.1:{backend.port}; }}""")
        client, event = connect(server, backend)
        countdown.number = AND_LATER | 1
        client.abort()
        server.wait_for_log("websocket: closed by")
        countdown.number = 0
        assert backend.next("disconnect").client == event.client
