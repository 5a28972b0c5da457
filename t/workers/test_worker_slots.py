"""Slots for workers: a reload to any number of workers, while old ones run."""

import json
import os
import resource
import signal

import pytest

import wire
from nginx_server import seconds, wait_until
from publish_client import Publisher

LOCATIONS = """
location /room { websocket room all; }
location /publish { websocket_publish room all; }
location /status { websocket_status; }
"""
# Old workers close their first client at once, the others after minutes.
LONG = "websocket_drain 1h;"


def workers_of(server):
    """The pids of workers with a slot, by state."""
    client = server.open()
    client.send(b"GET /status HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
    body = json.loads(client.read_response().body)
    client.disconnect()
    return {state: {worker["pid"] for worker in body["workers"]
                    if worker["state"] == state}
            for state in ("serving", "draining")}


def is_served_by(server, count, old):
    """Whether so many new workers serve, and the old ones have begun to
    drain."""
    serving = workers_of(server)["serving"]
    return len(serving) == count and not serving & old


def reload_to(server, count):
    """Reloads with another number of workers; waits until all of them serve."""
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
        # Each old worker closes its first client now
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


def test_reload_to_more_workers_leaves_nginx_the_files_it_needs(nginx):
    """More eventfds would leave no descriptors for nginx's own sockets."""
    server = nginx(LOCATIONS, http=LONG, connections=128)
    client = server.connect("/room")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (230, 230))
    reload_to(server, 64)
    assert "eventfd() failed after 64 of 129: workers without an eventfd " \
        "poll every 20 ms" in server.log()
    client.expect_close(1001)
    client.disconnect()
    clients = [server.connect("/room") for _ in range(100)]
    clients[0].text("from one worker to all")
    for each in clients:
        each.expect_text("from one worker to all")


def test_start_without_files_for_eventfds_serves(nginx):
    """The nginx that is started inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
    try:
        server = nginx(LOCATIONS, connections=40, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "eventfd() failed after 0 of 64" in server.log() + \
        server.read("stderr")
    # With a higher limit, workers still have none of the new eventfds
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (1024, hard))
    clients = [server.connect("/room") for _ in range(8)]
    clients[0].text("x")
    for each in clients:
        each.expect_text("x")


def test_worker_limit_below_the_eventfds_leaves_it_files(nginx):
    """Workers inherit all descriptors that the master opens."""
    server = nginx(LOCATIONS, connections=30, workers=2,
                   main="worker_rlimit_nofile 50;")
    assert "eventfd() failed after 0 of 64" in server.log() + \
        server.read("stderr")
    clients = [server.connect("/room") for _ in range(4)]
    clients[0].text("x")
    for each in clients:
        each.expect_text("x")


def test_worker_without_a_slot_tries_again(nginx):
    """A small memory has 64 slots."""
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
