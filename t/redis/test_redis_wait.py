"""Clients that come while Redis is away: they are accepted, and join when it is
back, or are closed after `wait=`."""

import os
import signal
import time

import pytest

import wire
from hosts import Host
from nginx_server import seconds, wait_until
from redis_faults import (injected_fault, start_for_faults, try_to_connect,
                          wait_for_loss)
from room_client import JSON, publish, read, send_text
from status_reader import report_of
from worker_picking import wait_for_other_worker, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k history=1000 presence=on; }
location /few { websocket room few; websocket_max_clients 1; }
location /released {
    websocket room released history=10; websocket_request release;
}
location /publish { websocket_publish room room$arg_k; }
location = /status { websocket_status; }
"""

TIMEOUTS = "connect_timeout=500ms command_timeout=500ms "


@pytest.fixture
def pair(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS,
                            "connect_timeout=500ms command_timeout=3s "
                            "wait=20s", http="websocket_ping_interval off;")


@pytest.fixture
def hasty(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS,
                            TIMEOUTS + "wait=300ms", workers=1)


def accepted(host, path="/room", protocol=JSON):
    status, client = try_to_connect(host, path, protocol)
    assert status == 101
    return client


def waiting(host):
    return report_of(host.server)["redis"]["waiting"]


def wait_for_waiting(host, count):
    wait_until(lambda: waiting(host) == count, seconds(5),
               f"{count} waiting clients")


def leading_pid(host):
    report = report_of(host.server)
    return next(worker["pid"] for worker in report["workers"]
                if worker["slot"] == report["redis"]["leader"])


@pytest.mark.parametrize(
    "name", ["killed", "frozen", "cut", "blackhole", "locked"])
def test_client_joins_when_redis_is_back(pair, name):
    """It gets the welcome, what it asked for, and what follows. Its messages of
    the meantime are published once, in order."""
    before = pair[0].join("/room")
    first = publish(before, "first")["id"]
    with injected_fault(pair, name):
        for host in pair:
            wait_for_loss(host)
        clients = [accepted(host, f"/room?since={first}")
                   for host in pair for _ in range(3)]
        for host in pair:
            wait_for_waiting(host, 3)
        for number, client in enumerate(clients):
            send_text(client, f"{number}")
            client.expect_nothing()
    for client in clients:
        welcome = read(client, seconds(20))
        assert welcome["type"] == "welcome" and welcome["recovered"] is True
    texts = {f"{number}" for number in range(len(clients))}
    for client in clients:
        assert texts_of(client, len(texts)) == texts
    for host in pair:
        wait_for_waiting(host, 0)


def texts_of(client, count):
    found = []
    while len(found) < count:
        event = read(client, seconds(20))
        assert event["type"] in ("message", "joined"), event
        if event["type"] == "message":
            found.append(event["data"])
    assert len(set(found)) == count
    return set(found)


def test_history_comes_with_the_welcome(pair):
    speaker = pair[1].join("/room?k=h")
    last = [publish(speaker, f"{number}")["id"] for number in range(5)][-1]
    with injected_fault(pair, "cut"):
        client = accepted(pair[0], "/room?k=h&since=0")
    welcome = read(client, seconds(20))
    assert welcome["type"] == "welcome" and welcome["last"] == last
    assert [read(client)["data"] for _ in range(5)] == [
        f"{number}" for number in range(5)]


@pytest.mark.parametrize("path", ["/room", "/released"])
def test_client_is_closed_after_the_wait(hasty, path):
    with injected_fault(hasty, "killed"):
        began = time.monotonic()
        client, raw = (accepted(hasty[0], path, protocol)
                       for protocol in (JSON, None))
        for one in (client, raw):
            one.expect_failure(1013, "Redis")
        assert 0.3 <= time.monotonic() - began < seconds(3)
        wait_for_waiting(hasty[0], 0)


def test_client_that_leaves_while_it_waits_is_gone_afterwards(pair):
    with injected_fault(pair, "cut"):
        leaving = [accepted(pair[0]) for _ in range(5)]
        wait_for_waiting(pair[0], 5)
        for client in leaving:
            client.abort()
    staying = Host.join(pair[1], "/room")
    pair.wait_for_clients("/publish", 1, 20)
    staying.disconnect()


def test_limit_of_clients_holds_when_redis_is_back(pair):
    with injected_fault(pair, "killed"):
        clients = [accepted(pair[0], "/few") for _ in range(3)]
        wait_for_waiting(pair[0], 3)
    codes = []
    for client in clients:
        frame = client.read_frame(seconds(20))
        codes.append(frame.close_code if frame.opcode == wire.CLOSE
                     else None)
    assert sorted(codes, key=str) == [1013, 1013, None]


def test_drain_closes_waiting_clients(pair):
    with injected_fault(pair, "killed"):
        client = accepted(pair[0])
        wait_for_waiting(pair[0], 1)
        old = pair[0].server.reload()
        client.expect_failure(1001)
        client.disconnect()
        pair[0].server.wait_for_workers_gone(old)


def test_killed_leader_does_not_lose_waiting_clients(pair):
    """Another worker leads when Redis is back."""
    pair[0].server.allow_errors("exited on signal 9|was locked by")
    pair[0].join("/room").disconnect()
    with injected_fault(pair, "cut"):
        clients = [pair[0].connect("/room", index, protocol=JSON)
                   for index in (0, 1) * 4]
        wait_for_waiting(pair[0], 8)
        leader = leading_pid(pair[0])
        os.kill(leader, signal.SIGKILL)
    for client in clients:
        if worker_of(client) != leader:
            assert read(client, seconds(20))["type"] == "welcome"


@pytest.mark.parametrize("end", ["abort", "disconnect"])
def test_client_that_goes_does_not_wait_on(pair, end):
    with injected_fault(pair, "cut"):
        clients = [accepted(pair[0]) for _ in range(5)]
        wait_for_waiting(pair[0], 5)
        for client in clients:
            getattr(client, end)()
        wait_for_waiting(pair[0], 0)


def test_killed_workers_have_no_waiting_clients(pair):
    pair[0].server.allow_errors("exited on signal 9|was locked by")
    with injected_fault(pair, "cut"):
        for _ in range(4):
            accepted(pair[0])
        wait_for_waiting(pair[0], 4)
        for pid in pair[0].pids():
            os.kill(pid, signal.SIGKILL)
        wait_for_waiting(pair[0], 0)


def test_new_worker_waits_for_itself(pair):
    """Not for what the killed one in its slot has waited for. The room of its
    client takes longer to read, in several pages."""
    pair[1].server.allow_errors("exited on signal 9|was locked by")
    publisher = pair[0].publisher("/publish?k=long")
    pair[0].join("/room?k=long")
    ids = ["%d-%d" % publisher.post(f"{number}") for number in range(1000)]
    with injected_fault(pair, "cut"):
        dead, = set(pair[1].pids()) - {leading_pid(pair[1])}
        pair[1].connect("/room?k=other", pair[1].pids().index(dead),
                        protocol=JSON)
        wait_for_waiting(pair[1], 1)
        os.kill(dead, signal.SIGKILL)
        wait_for_other_worker(pair[1].server, dead, 2)
        new, = set(pair[1].pids()) - {leading_pid(pair[1])}
        client = pair[1].connect(f"/room?k=long&since={ids[499]}",
                                 pair[1].pids().index(new), protocol=JSON)
        wait_for_waiting(pair[1], 1)
    welcome = read(client, seconds(20))
    assert welcome["type"] == "welcome" and welcome["recovered"] is True
    assert texts_of(client, 500) == {f"{number}"
                                     for number in range(500, 1000)}


def shake_hands(host, count):
    """Sends handshakes at once; returns {client: status}."""
    clients = [host.server.open() for _ in range(count)]
    for client in clients:
        client.send(wire.upgrade_request("/room", protocol=JSON))
    return {client: client.read_response(seconds(10)).status
            for client in clients}


def test_waiting_clients_leave_connections_for_redis(hosts, start_redis):
    group = start_for_faults(hosts, start_redis, LOCATIONS,
                             TIMEOUTS + "wait=20s", workers=1,
                             connections=100)
    with injected_fault(group, "cut"):
        first = shake_hands(group[0], 60)
        more = shake_hands(group[0], 30)
        assert set(first.values()) == {101} and 503 in more.values()
    wait_for_waiting(group[0], 0)
