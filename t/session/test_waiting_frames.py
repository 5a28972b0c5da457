"""Frames that wait for clients that do not read: their memory, and how they are
sent when the clients read again."""

import socket

import pytest

import wire
from nginx_server import seconds
from strace import SENDING, traced
from tls_client import client_context
from tuned_client import (TIGHT_LISTEN, connect_tight, connect_tuned, framed,
                          numbered)
from worker_probe import memory, memory_is_exact, only_worker, stopped

pytestmark = pytest.mark.alone

KIBIBYTE = 1 << 10
MEBIBYTE = 1 << 20
LOCATIONS = """
location / { websocket room $uri self=off; }
location /large/ { websocket room $uri self=off; websocket_send_queue 16m; }
location /takeover/ {
    websocket room $uri self=off;
    websocket_deflate on;
    websocket_deflate_context_takeover on;
    websocket_deflate_min_length 1;
}
"""
ROOMY_TLS = """
server {
    listen 127.0.0.1:%%PORT1%% ssl sndbuf=4m;
    ssl_certificate %%PREFIX%%/localhost.crt;
    ssl_certificate_key %%PREFIX%%/localhost.key;
    location / { websocket room $uri self=off; websocket_send_queue 16m; }
}
"""
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
# The size of the frames that one client is sent in a turn of the event loop
FLUSH = 256 * KIBIBYTE
RECORD = 16 * KIBIBYTE


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, listen=TIGHT_LISTEN)


@pytest.fixture(scope="module")
def roomy_server(module_nginx):
    """A server whose sockets hold megabytes for a client. TLS holds less."""
    return module_nginx(LOCATIONS, listen="sndbuf=4m", servers=ROOMY_TLS,
                        ports=1, tls=True)


def publish(server, path, messages):
    """Publishes texts; returns when all are delivered."""
    observer, publisher = server.connect(path), server.connect(path)
    data = framed(messages)
    size = len(data) - 4 * len(messages)  # the server does not mask
    publisher.send(data)
    assert len(observer.read_bytes(size, seconds(60))) == size


@pytest.mark.parametrize("size", [0, 1, 60, 700, 4000])
def test_waiting_frames_take_at_most_twice_their_size(nginx, size):
    """Messages are published one at a time, so each has its own frame."""
    if not memory_is_exact():
        pytest.skip("sanitizers and valgrind have a malloc of their own")
    server = nginx(LOCATIONS, listen=TIGHT_LISTEN)
    path, count, message = f"/{size}", 3000 if size < 300 else 200, "x" * size
    observer, publisher = server.connect(path), server.connect(path)
    clients = [connect_tight(server, path) for _ in range(5)]
    publisher.text("y" * 60000)  # more than fits into their sockets
    observer.expect_text("y" * 60000)
    before = memory(only_worker(server))
    for _ in range(count):
        publisher.text(message)
        observer.expect_text(message)
    grown = memory(only_worker(server)) - before
    waiting = len(clients) * count * len(wire.text(message, mask=None))
    assert grown <= 2 * waiting + MEBIBYTE, grown / waiting


def test_waiting_frames_of_one_client_each_take_at_most_twice_their_size(
        nginx):
    if not memory_is_exact():
        pytest.skip("sanitizers and valgrind have a malloc of their own")
    server = nginx(LOCATIONS, listen=TIGHT_LISTEN)
    messages = numbered(10000, 100)
    clients = [connect_tight(server, "/takeover/", headers=DEFLATE)
               for _ in range(5)]
    publish(server, "/takeover/", messages[:200])  # creates their contexts
    before = memory(only_worker(server))
    publish(server, "/takeover/", messages)
    grown = memory(only_worker(server)) - before
    waiting = len(clients) * len(framed(messages))
    assert grown <= 2 * waiting + MEBIBYTE, grown / waiting


def test_late_reader_gets_small_and_large_messages_in_order(server):
    """Waiting frames are copied, shared and cut."""
    messages = [text for size in (1, 70, 3000, 500, 20000, 10, 900)
                for text in numbered(20, size)]
    client = connect_tight(server, "/mixed")
    publish(server, "/mixed", messages)
    publish(server, "/mixed", messages)
    for text in messages * 2:
        client.expect_text(text)
    client.expect_alive()


# Waiting frames are sent within budgets

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_late_reader_shares_the_worker(roomy_server, tls):
    server, path = roomy_server, "/large/" + ("tls" if tls else "plain")
    pid = only_worker(server)
    client = connect_tuned(
        server, path, kernel_buffer=4096,
        port=server.ports[0] if tls else None,
        tls=client_context() if tls else None)
    messages = numbered(150, 65000) + numbered(20000, 100)
    publish(server, path, messages)
    names = SENDING | {"write"}
    with traced(pid, server.prefix, also=["write"]) as trace:
        with stopped(pid):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     8 * MEBIBYTE)
        for text in messages:
            client.expect_text(text)
        client.expect_alive()
    turns = [max(turn.values()) for turn in trace.bytes_per_turn(names) if turn]
    assert sum(turns) > 2 * MEBIBYTE, "little has waited"
    # Records add bytes, and the last send may exceed the budget
    assert max(turns) <= 1.3 * FLUSH, turns


def test_small_frames_share_tls_records(roomy_server):
    server, path = roomy_server, "/large/records"
    client = connect_tuned(server, path, port=server.ports[0],
                           kernel_buffer=4096, tls=client_context())
    messages = numbered(100, 65000) + numbered(20000, 100)
    publish(server, path, messages)
    with traced(only_worker(server), server.prefix, also=["write"]) as trace:
        for text in messages:
            client.expect_text(text)
        client.expect_alive()
    records = [call.result for call in trace.of({"write"})
               if call.result > 0]
    assert sum(records) / len(records) > RECORD / 4, len(records)
