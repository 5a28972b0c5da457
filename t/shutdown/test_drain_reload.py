"""Reloads while clients are connected: rooms, and files of the master."""

import signal
import socket
import time

import pytest

import wire
from many_clients import ClientPool, need_open_files
from nginx_server import seconds, wait_until
from publish_client import Publisher
from resuming_room_clients import ResumingClients
from worker_probe import descriptors

LOCATIONS = """
location /room { websocket room $arg_k history=100000; }
location /publish { websocket_publish room $arg_k; }
"""


# Files of the master

def reload_with(server, old, new):
    server.rewrite_config(old, new)
    server.wait_for_workers_gone(server.reload())


@pytest.mark.parametrize("sizes", [["1m"], ["1m", "2m"], ["1m", "2m", "3m"]],
                         ids=["same", "two", "three"])
def test_reloads_leave_no_files_in_the_master(nginx, sizes):
    server = nginx(LOCATIONS, http="websocket_shared_memory 1m;", workers=2)
    at_first, before = descriptors(server.pid), sizes[0]
    for number in range(7):
        size = sizes[number % len(sizes)]
        reload_with(server, f"memory {before};", f"memory {size};")
        wait_until(lambda: descriptors(server.pid) == at_first, seconds(5),
                   "closed files of the old workers")
        before = size
        client = server.connect("/room?k=1")
        client.text("x")
        client.expect_text("x")
        client.disconnect()
    for pid in server.worker_pids():
        assert descriptors(pid) < at_first + 20


@pytest.mark.parametrize("memory", ["1m", "2m"], ids=["same", "other"])
def test_failed_reload_leaves_no_files_in_the_master(nginx, memory):
    """The reload fails late, after the memory was created or reused."""
    server = nginx(LOCATIONS, http="websocket_shared_memory 1m;", workers=2)
    server.allow_errors("bind.* failed|still could not bind")
    clients = [server.connect("/room?k=1") for _ in range(8)]
    before = descriptors(server.pid)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server.rewrite_config(
            "memory 1m;", f"memory {memory}; server {{ listen {port}; }}")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("still could not bind")
    wait_until(lambda: descriptors(server.pid) == before, seconds(5),
               "closed files of the failed reload")
    clients[0].text("to all")
    for client in clients:
        client.expect_text("to all")


def test_old_workers_wake_each_other_when_their_memory_is_gone(nginx):
    server = nginx(LOCATIONS, workers=2, listen="reuseport",
                   http="websocket_shared_memory 1m; websocket_drain 100s;")
    clients = [server.connect("/room?k=1") for _ in range(20)]
    server.rewrite_config("memory 1m;", "memory 2m;")
    old = server.reload()
    served = [client for client in clients if is_served(client)]
    assert len(served) >= 18
    served[0].text("to all")
    for client in served:
        client.expect_text("to all")
    server.release_clients()
    server.wait_for_workers_gone(old)


def is_served(client):
    """False if the worker has closed it already."""
    client.ping(b"?")
    return client.read_frame().opcode == wire.PONG


# Rooms

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_rooms_lose_nothing_over_reloads(nginx, tls):
    """Clients resume while messages are published without a pause."""
    server = nginx(LOCATIONS, workers=2, listen="reuseport", tls=tls,
                   http="websocket_drain 1s 1012;")
    last = 0

    with ResumingClients(server, 40, "/room?k=1", tls) as pool:
        def publish():
            nonlocal last
            last += 1
            publisher = Publisher(server, "/publish?k=1")
            publisher.post(f"message {last}")
            publisher.client.disconnect()

        def closed():
            return sum(len(client.codes) for client in pool.clients)

        for _ in range(2):
            before, first = closed(), last
            server.reload()
            pool.watch(lambda: closed() >= before + 40 and last > first + 5,
                       10, lambda: f"{closed()} Close frames", publish)
        pool.watch(lambda: all(client.sequences[-1:] == [last]
                               for client in pool.clients), 5,
                   lambda: "the last message")
        for client in pool.clients:
            assert client.sequences == list(range(1, last + 1))
            assert (client.gaps, client.broken) == (0, 0)
            assert set(client.codes) == {1012}
    wait_until(lambda: len(server.worker_pids()) == 2, seconds(5),
               "the end of the old workers")


# Many clients

@pytest.mark.parametrize("tls, count", [(False, 5000), (True, 1000)],
                         ids=["plain", "tls"])
def test_reload_with_many_clients(nginx, tls, count):
    need_open_files(count + 1000)
    server = nginx("location /echo { websocket echo; }", tls=tls, workers=2,
                   listen="reuseport", http="websocket_drain 2s;")
    with ClientPool(server, count, tls=tls) as pool:
        began = time.monotonic()
        old = server.reload()
        with ClientPool(server, 10, tls=tls) as late:
            pool.wait_for_closed(count // 2, seconds(10))
            assert not late.closed()
        pool.wait_for_closed(count, seconds(10))
        pool.wait_for_ends(seconds(10))
        closed = pool.closed()
        assert {member.code for member in closed} == {1001}
        # The first Close may be read late, while other clients connect
        assert closed[-1].closed - began > 1.9
    server.wait_for_workers_gone(old, timeout=5)
