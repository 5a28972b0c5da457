"""Peers that disconnect or send no WebSocket, too many peers, and ways to run
nginx."""

import contextlib
import itertools
import os
import select

import pytest

import wire
from input_splits import whole_and_bytewise
from nginx_config import NginxConfig
from nginx_server import NginxServer, seconds, wait_until
from raw_client import ConnectionWasReset, EndOfStream, RawClient
from worker_probe import (assert_no_growth, descriptors, memory, only_worker,
                          stopped)

QUICK = "location /echo { websocket echo; websocket_close_timeout 1s; }"
UPGRADE = wire.upgrade_request()


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(QUICK)


# Resets

@whole_and_bytewise
@pytest.mark.parametrize("data", [
    wire.header(wire.TEXT, 1000)[:1], wire.header(wire.TEXT, 1000)[:3],
    wire.header(wire.TEXT, 1000), wire.header(wire.BINARY, 1000) + b"some",
    wire.text("fragment", fin=False), wire.ping("12345")[:-1],
    wire.close(1000)[:-1],
], ids=["first-byte", "length", "header", "payload", "message", "ping",
        "close"])
def test_reset_in_the_middle_ends_the_session(server, data, cut):
    client = server.connect()
    client.send(data, cut)
    client.wait_until_read()
    client.abort()
    entry = server.wait_for_access_log(timeout=2)
    assert entry["websocket_close_code"] == "1006"


@pytest.mark.parametrize("sent", [
    b"", UPGRADE[:50], UPGRADE, UPGRADE + wire.text("pipelined"),
    UPGRADE + wire.text("half")[:-2], UPGRADE + wire.close(1000),
], ids=["nothing", "half-request", "request", "message", "half-message",
        "close"])
@pytest.mark.parametrize("end", [RawClient.abort, RawClient.half_close,
                                 RawClient.disconnect])
def test_end_with_the_request_ends_the_connection(server, sent, end):
    for _ in range(10):
        with stopped(only_worker(server)):
            client = server.open()
            client.send(sent)
            end(client)
        if end is not RawClient.half_close:
            server.clients.remove(client)
    server.release_clients()


@pytest.mark.parametrize("wait", [False, True],
                         ids=["at-once", "after-the-101"])
def test_reset_around_the_101_ends_the_session(server, wait):
    for delay in itertools.islice(itertools.cycle(range(0, 400, 20)), 300):
        client = server.open()
        client.send(UPGRADE)
        if wait:
            client.read_response()
        for _ in range(delay):
            pass
        client.abort()
        server.clients.remove(client)
    server.release_clients()


def test_peer_that_shuts_its_side_while_we_close_is_ended(server):
    client = server.connect()
    client.send(wire.frame(3))
    client.half_close()
    client.expect_close(1002)
    client.expect_eof()
    server.wait_for_access_log(timeout=0.8)


# No WebSocket

NOISE = {
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "text": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "random": bytes((index * 193 + index // 7 * 101) & 255
                    for index in range(5000)),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
@whole_and_bytewise
def test_noise_instead_of_frames_is_failed(server, noise, cut):
    client = server.connect()
    # A second later the server no longer reads what follows the fault
    client.send(noise[:20] if cut else noise, cut, duplex=False)
    client.expect_close(1002)
    client.expect_eof()
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_by"] == "error"


@pytest.mark.parametrize("seed", range(8))
def test_random_frames_do_not_end_the_worker(server, seed):
    def number(limit, state=[seed * 7919 + 1]):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] >> 8) % limit

    client = server.connect()
    frames = b"".join(
        wire.frame([1, 2, 0, 9, 10, 2, 1, 8][number(8)],
                   bytes(97 + number(26) for _ in range(number(130))),
                   fin=number(4) > 0) for _ in range(200))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        # The server ends the connection at the first wrong frame
        client.send(frames, sorted(number(len(frames)) for _ in range(10)))
    with pytest.raises(AssertionError):
        while True:
            client.read_frame(0.3)
    client.disconnect()
    server.wait_for_access_log()


# Leaks

def vanish(server, kind):
    """Connects a client and ends its connection in one of several ways."""
    client = server.open()
    client.send(UPGRADE + wire.text("x" * 200))
    if kind != 0:
        client.read_response()
    if kind == 1:
        client.send(wire.header(wire.BINARY, 3000) + bytes(2000))
    elif kind == 2:
        client.expect_text("x" * 200)
        client.close(1000)
        client.expect_close(1000)
    (client.abort if kind == 3 else client.disconnect)()
    server.clients.remove(client)


@pytest.mark.alone
def test_two_thousand_resets_leak_nothing(server):
    pid = only_worker(server)

    def after_round():
        for index in range(500):
            vanish(server, index % 5)
        server.release_clients()
        return memory(pid), descriptors(pid)

    rounds = [after_round() for _ in range(4)]
    sizes, files = zip(*rounds)
    assert len(set(files)) == 1, files
    assert_no_growth(sizes, 128 * 1024)


def test_many_concurrent_clients_leak_no_memory(server):
    pid = only_worker(server)

    def after_round():
        clients = [server.connect() for _ in range(500)]
        for client in clients:
            client.text("hello")
        for client in clients:
            client.expect_text("hello")
        server.release_clients()
        return memory(pid)

    assert_no_growth([after_round() for _ in range(3)], 128 * 1024)


# Too many connections

class SmallConfig(NginxConfig):
    """An nginx for few connections."""

    def text(self, *args):
        return super().text(*args).replace("worker_connections 4096;",
                                           "worker_connections 64;")


def start_small(nginx, **options):
    """Starts a small server for one test."""
    server = NginxServer(nginx.prefix(), SmallConfig(QUICK, **options))
    nginx.servers.append(server)
    server.begin_test()
    return server


def test_exhausted_connections_are_refused_until_some_end(nginx):
    small = start_small(nginx)
    small.allow_errors("worker_connections are not enough")
    taken = []
    with pytest.raises((EndOfStream, ConnectionWasReset, OSError)):
        for _ in range(80):
            client = small.open()
            client.send(UPGRADE)
            assert client.read_response().status == 101
            taken.append(client)
    assert 50 <= len(taken) < 64
    for client in taken:
        client.expect_alive()
    for client in taken:
        client.disconnect()
    wait_until(lambda: small.serving_pid() and small.active_connections() == 0,
               seconds(5), "free connections")
    small.connect().expect_alive()


# Ways to run

@pytest.mark.parametrize("method", ["epoll", "poll", "select"])
def test_event_method_serves_all(nginx, method):
    events = f"use {method};"
    passed, output = nginx.check(QUICK, events=events)
    if not passed and "invalid event type" in output:
        pytest.skip(f"this nginx is built without {method}")
    server = start_small(nginx, events=events, http="websocket_drain 1s;")
    large = bytes(range(256)) * 2000
    clients = [server.connect() for _ in range(20)]
    for index, client in enumerate(clients):
        client.send(wire.text(str(index)) + wire.ping(b"p"))
    for index, client in enumerate(clients):
        client.expect_text(str(index))
        client.expect_pong(b"p")
    slow = clients[0]
    slow.send(wire.binary(large) * 8, duplex=False)
    select.select([], [], [], 0.1)
    for _ in range(8):
        slow.expect_binary(large)
    clients[1].send(wire.frame(3) + bytes(100000), duplex=False)
    clients[1].expect_close(1002)
    clients[1].expect_eof()
    clients[2].leave()
    clients[3].half_close()
    clients[3].expect_eof()
    clients[4].abort()
    for client in clients[:5]:
        client.disconnect()
    server.wait_for_access_log(5)
    old = server.reload()
    for client in clients[5:]:
        client.expect_close(1001)
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    server.wait_for_workers_gone(old)


def test_workers_with_their_own_listeners_serve_all(nginx):
    server = nginx(QUICK, workers=2, listen="reuseport")
    clients = [server.connect() for _ in range(60)]
    for turn, (index, client) in itertools.product(range(3),
                                                   enumerate(clients)):
        client.text(f"{turn} {index}")
        client.expect_text(f"{turn} {index}")
    sockets = [sockets_of(pid, server.port) for pid in server.worker_pids()]
    assert min(sockets) > 0, sockets
    identities = set()
    for client in clients:
        client.leave()
        client.disconnect()
    server.wait_for_access_log(60)
    for entry in server.access_log():
        identities.add(entry["websocket_client"])
    assert len(identities) == 60


def sockets_of(pid, port):
    """The number of a process's connected sockets on a local port."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if row[3] == "01" and row[9] in inodes
               and int(row[1].split(":")[1], 16) == port)


def test_single_process_serves_all(nginx):
    server = nginx(QUICK, master=False)
    client = server.connect()
    for index in range(100):
        client.text(str(index))
        client.expect_text(str(index))
    client.leave()
    client.disconnect()
    assert server.wait_for_access_log()["websocket_messages_in"] == "100"


@pytest.mark.parametrize("options", ["deferred", "so_keepalive=on",
                                     "backlog=5 fastopen=10"])
def test_listen_options_are_no_obstacle(nginx, options):
    server = nginx(QUICK, listen=options)
    server.connect(pipelined=wire.text("x")).expect_text("x")
