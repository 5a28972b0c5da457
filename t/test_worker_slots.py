"""Slots for workers: a reload to any number of them, while old ones live."""

import json
import os
import signal

import pytest

import wire
from nginx_server import seconds, wait_until
from publisher import Publisher

LOCATIONS = """
location /room { websocket room all; }
location /publish { websocket_publish room all; }
location /status { websocket_status; }
"""
# Old workers keep all clients but their first for minutes.
LONG = "websocket_drain 1h;"


def workers_of(server):
    """Pids of the workers that have a slot, by state."""
    client = server.open()
    client.send(b"GET /status HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
    told = json.loads(client.read_response().body)
    client.disconnect()
    return {state: {worker["pid"] for worker in told["workers"]
                    if worker["state"] == state}
            for state in ("serving", "draining")}


def is_served_by(server, count, old):
    """By so many new workers, when the old ones have begun to drain."""
    serving = workers_of(server)["serving"]
    return len(serving) == count and not serving & old


def reload_to(server, count):
    """Another number of workers: all of them serve."""
    server.rewrite_config(f"worker_processes {server.config.workers};",
                          f"worker_processes {count};")
    server.config.workers = count
    old = set(server.worker_pids())
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: len(set(server.worker_pids()) - old) >= count,
               seconds(20), "new workers")
    wait_until(lambda: is_served_by(server, count, old),
               seconds(20), f"{count} workers that serve")


def publish(server, text):
    publisher = Publisher(server, "/publish")
    publisher.post(text)
    publisher.client.disconnect()


def test_reload_to_more_workers_leaves_none_without_a_slot(nginx):
    server = nginx(LOCATIONS, http=LONG, listen="reuseport",
                   connections=512)
    clients = []

    for count in (16, 64, 100):
        clients += [server.connect("/room") for _ in range(count)]
        reload_to(server, count)
        # The first of each old worker leaves now
        text = f"published after the reload to {count}"
        publish(server, text)
        staying = []
        for client in clients:
            frame = client.read_frame()
            if frame.opcode == wire.TEXT:
                assert frame.payload.decode() == text
                staying.append(client)
            else:
                assert frame.close_code == 1001
                client.disconnect()
        clients = staying
        assert clients

    clients += [server.connect("/room") for _ in range(100)]
    clients[0].text("from an old worker")
    for client in clients:
        client.expect_text("from an old worker")
    clients[-1].text("from a new worker")
    for client in clients:
        client.expect_text("from a new worker")
    assert "no free worker slot" not in server.log()


def test_worker_without_a_slot_tries_again(nginx):
    """A small memory has 64."""
    server = nginx(LOCATIONS,
                   http="websocket_shared_memory 1m;" + LONG)
    server.allow_errors("no free worker slot")
    kept = [server.connect("/room") for _ in range(2)]
    server.rewrite_config("worker_processes 1;", "worker_processes 64;")
    server.config.workers = 64
    old = server.worker_pids()
    server.reload(timeout=20)
    server.wait_for_log("no free worker slot of 64")
    assert len(workers_of(server)["serving"] - set(old)) == 63
    for client in kept:
        client.disconnect()
    server.wait_for_workers_gone(old)
    server.wait_for_log("this worker has a slot now")
    assert len(workers_of(server)["serving"]) == 64
