"""Ten thousand silent connections: each is closed in time, other clients are
served meanwhile, and no memory leaks."""

import collections
import contextlib
import math
import resource
import select
import socket
import ssl
import time

import pytest

import wire
from nginx_server import seconds, wait_until
from raw_client import TIMEOUT
from tls_client import client_context
from worker_probe import descriptors, memory, memory_is_exact, only_worker

LOCATIONS = """
location /echo { websocket echo; }
location /silent { websocket echo; websocket_ping_interval 500ms;
                   websocket_timeout 2s; websocket_close_timeout 2s; }
"""
WANTED = 10000 if memory_is_exact() else 1000
SPARE = 500  # descriptors for other files


@pytest.fixture(scope="module")
def pool_size():
    """Ten thousand, or as many as a process may open here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > WANTED + SPARE:
        hard = WANTED + SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        max(soft, hard), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    yield min(WANTED, max(soft, hard) - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.fixture(scope="module")
def server(module_nginx, pool_size):
    return module_nginx(
        LOCATIONS, tls=True, connections=pool_size + SPARE,
        http="client_header_timeout 2s; client_body_timeout 1s;"
             "lingering_close off; reset_timedout_connection off;")


@pytest.fixture
def pool(server, pool_size):
    """Opens many sockets and calls `begin(socket)` for each."""
    with contextlib.ExitStack() as sockets:
        def gather(begin, count=pool_size, port=server.port):
            connections = []
            for _ in range(count):
                one = sockets.enter_context(
                    socket.create_connection(("127.0.0.1", port), TIMEOUT))
                begin(one)
                connections.append(one)
            return connections
        yield gather


def connect_silent(_):
    pass


def shake_hands(one):
    one.sendall(wire.upgrade_request("/silent"))
    assert one.recv(4096).startswith(b"HTTP/1.1 101")


def worst_echo(client, count=50):
    """The longest of several round trips, in seconds."""
    worst = 0
    for index in range(count):
        began = time.monotonic()
        client.text(str(index))
        client.expect_text(str(index))
        worst = max(worst, time.monotonic() - began)
    return worst


def read_all_to_end(sockets, timeout):
    """Reads all sockets to their ends; returns the number of sockets for each
    sequence of received bytes."""
    got = {one.fileno(): (one, bytearray()) for one in sockets}
    poll, deadline = select.epoll(), time.monotonic() + seconds(timeout)
    for number in got:
        poll.register(number, select.EPOLLIN)
    left = len(got)
    while left:
        assert time.monotonic() < deadline, f"{left} are still connected"
        for number, _ in poll.poll(0.1):
            one, data = got[number]
            with contextlib.suppress(ConnectionError):
                if piece := one.recv(65536):
                    data += piece
                    continue
            poll.unregister(number)
            left -= 1
    poll.close()
    return collections.Counter(bytes(data) for _, data in got.values())


def assert_free(server, before, max_bytes):
    """The worker has no more sockets than before, and at most so many bytes of
    memory more."""
    pid = only_worker(server)
    wait_until(lambda: descriptors(pid) <= before["descriptors"],
               seconds(5), "the closing of all sockets")
    if memory_is_exact():
        grown = memory(pid, "Anonymous") - before["memory"]
        assert grown < max_bytes, grown


def measure(server):
    pid = only_worker(server)
    server.connect().expect_alive()
    server.release_clients()
    return {"memory": memory(pid, "Anonymous"), "descriptors": descriptors(pid)}


def test_silent_connections_are_ended(server, pool, pool_size):
    before = measure(server)
    other = server.connect()
    sockets = pool(connect_silent)
    assert worst_echo(other) < seconds(1)
    if memory_is_exact():
        grown = memory(only_worker(server), "Anonymous") - before["memory"]
        assert grown < pool_size * 2048, grown
    assert read_all_to_end(sockets, 20) == {b"": pool_size}
    other.disconnect()
    assert_free(server, before, 8 << 20)


def expect_pings_and_close(received):
    """Each client received Pings, then a Close because it was silent."""
    for data in received:
        opcodes = []
        while data:
            frame, size = wire.parse_frame(data)
            opcodes.append(frame.opcode)
            data = data[size:]
        assert opcodes[-1] == wire.CLOSE and frame.close_code == 1001
        assert set(opcodes[:-1]) == {wire.PING}, opcodes


def test_silent_websockets_are_pinged_and_closed(server, pool,
                                                 pool_size):
    before = measure(server)
    other = server.connect()
    sockets = pool(shake_hands)
    assert worst_echo(other) < seconds(1)
    if memory_is_exact():
        grown = memory(only_worker(server), "Anonymous") - before["memory"]
        assert grown < pool_size * 16384, grown
    expect_pings_and_close(read_all_to_end(sockets, 30))
    other.disconnect()
    wait_until(lambda: server.log().count("closed by timeout, code 1001")
               >= pool_size, seconds(10), "a log line for each client")
    entries = server.access_log(websocket_close_code=1001,
                                websocket_close_by="timeout", status=101)
    assert len(entries) == pool_size
    assert_repetition_takes_no_more(server, before, lambda: (
        expect_pings_and_close(
            read_all_to_end(pool(shake_hands, pool_size // 8), 30))))


def assert_repetition_takes_no_more(server, before, come_and_go):
    """The heap keeps its largest size, or returns memory if its end is free. A
    leak would add up over equal rounds."""
    assert_free(server, before, math.inf)
    sizes = [memory(only_worker(server), "Anonymous")]
    for _ in range(3):
        come_and_go()
        assert_free(server, before, math.inf)
        sizes.append(memory(only_worker(server), "Anonymous"))
    if memory_is_exact():
        assert min(sizes[2:]) < max(sizes[:2]) + (1 << 20), sizes


def dribble(sockets, data, other):
    """Sends one byte to each socket in turn, until the first one is closed."""
    for at in range(len(data)):
        for one in sockets:
            try:
                one.sendall(data[at:at + 1])
            except ConnectionError:
                return
        assert worst_echo(other, 5) < seconds(1)
        if select.select(sockets[:1], [], [], 0.05)[0]:
            return
    raise AssertionError("no connection was closed")


HALVES = {
    # name: the bytes sent one at a time, and the bytes before them
    "header": (b"GET /echo HTTP/1.1\r\nHost: " + b"h" * 800, b""),
    "body": (b"x" * 800, wire.upgrade_request(
        headers=[("Content-Length", "801")])),
}


@pytest.mark.parametrize("data, first", HALVES.values(), ids=HALVES)
def test_handshake_that_never_ends_is_ended(server, pool, data, first):
    other = server.connect()
    sockets = pool(lambda one: one.sendall(first), 200)
    if first:
        # A body may arrive slowly if it does not stop
        for one in sockets:
            one.sendall(data[:1])
        assert worst_echo(other) < seconds(1)
    else:
        dribble(sockets, data, other)
    answers = read_all_to_end(sockets, 10)
    assert all(b" 101 " not in answer for answer in answers)
    server.wait_for_access_log(200, status=408)
    assert "websocket: " not in server.log()
    other.expect_alive()


def test_tls_handshake_that_never_ends_is_ended(server, pool):
    outgoing = ssl.MemoryBIO()
    greeting = client_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        greeting.do_handshake()
    hello = outgoing.read()
    other = server.connect(tls=True)
    sockets = pool(lambda one: one.sendall(hello[:50]), 200, server.tls_port)
    dribble(sockets, hello[50:], other)
    read_all_to_end(sockets, 10)
    assert "websocket: " not in server.log()
    other.expect_alive()
