"""Reloads and upgrades of nginx itself while clients are connected: what
becomes of rooms, and of what the master holds."""

import signal
import socket

import pytest

import wire
from nginx_server import seconds, wait_until
from worker_probe import descriptors


LOCATIONS = """
location /room { websocket room $arg_k history=100000; }
location /publish { websocket_publish room $arg_k; }
"""


# What the master holds

def reload_with(server, old, new):
    server.rewrite_config(old, new)
    server.wait_for_workers_gone(server.reload())


@pytest.mark.parametrize("sizes", [["1m"], ["1m", "2m"], ["1m", "2m", "3m"]],
                         ids=["same", "two", "three"])
def test_reloads_leave_no_files_in_the_master(nginx, sizes):
    server = nginx(LOCATIONS, http="websocket_shared_memory 1m;", workers=2)
    counts, before = [], sizes[0]
    for number in range(7):
        size = sizes[number % len(sizes)]
        reload_with(server, f"memory {before};", f"memory {size};")
        counts.append(descriptors(server.pid))
        before = size
        client = server.connect("/room?k=1")
        client.text("x")
        client.expect_text("x")
        client.disconnect()
    assert set(counts) == {counts[0]}
    workers = {descriptors(pid) for pid in server.worker_pids()}
    assert max(workers) < counts[0] + 20


@pytest.mark.parametrize("memory", ["1m", "2m"], ids=["same", "other"])
def test_failed_reload_leaves_no_files_in_the_master(nginx, memory):
    """It fails late, after the memory was made or taken over."""
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
               "the end of what the failed reload made")
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
    """False: the worker has closed it already."""
    client.ping(b"?")
    return client.read_frame().opcode == wire.PONG
