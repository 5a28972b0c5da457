"""The Redis counters of `websocket_status`, in JSON and for Prometheus."""

import json
import os
import signal

import pytest

import wire
from hosts import SHORT_TIMEOUTS, Host
from nginx_server import seconds, wait_until
from prometheus_text import families_of, samples_of, text_of
from redis_faults import (Received, injected_fault, start_for_faults,
                          try_to_post, wait_until_joined, wait_until_published)
from room_client import publish, read, send_text
from socket_table import connections_of
from status_reader import is_count, report_of, request, wait_for_report
from tcp_proxy import DOWN
from worker_picking import wait_for_other_worker

LOCATIONS = """
location /room { websocket room room$arg_k history=1000; }
location /five { websocket room five history=5; }
location /publish { websocket_publish room room$arg_k; }
location /publish-five { websocket_publish room five; }
location /status { websocket_status; }
"""

COUNTS = {"resources", "reconnects", "published", "failed", "retried",
          "received", "recovered", "gaps", "queued_bytes", "queued", "waiting",
          "disconnected", "direct_sent", "direct_received", "direct_failed"}
# Current values; the others only grow.
GAUGES = {"up", "resources", "queued_bytes", "queued", "waiting",
          "disconnected_workers"}
PATIENT = "connect_timeout=10s command_timeout=10s queue=64k"


@pytest.fixture
def pair(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS)


@pytest.fixture
def patient(hosts, start_redis):
    """A host that waits so long for Redis that nothing fails."""
    return start_for_faults(hosts, start_redis, LOCATIONS, PATIENT,
                            workers=1)


def redis_counters(host):
    """The object `redis` of a report, with all of its members."""
    counters = report_of(host.server)["redis"]
    assert set(counters) == COUNTS | {"state", "leader"}, counters
    assert counters["state"] in ("up", "down")
    assert counters["leader"] is None or is_count(counters["leader"])
    for name in COUNTS:
        assert is_count(counters[name]), (name, counters)
    return counters


def wait_for(host, what, **values):
    """Waits until some counters have these values; returns all of them."""
    report = wait_for_report(
        host.server, lambda report: all(
            report["redis"][name] == value
            for name, value in values.items()), what)
    return report["redis"]


def at_least(host, **values):
    """Waits until the counters have at least these values."""
    wait_for_report(host.server, lambda report: all(
        report["redis"][name] >= value for name, value in values.items()),
        f"{values} in the counters")


# Without faults

def test_zone_counts_resources_of_clients_alone(hosts):
    """Workers send each other events through logs of their own."""
    group = hosts(LOCATIONS, 1, workers=2)
    group[0].wait_for_leader()
    for room in "ab":
        group[0].join(f"/room?k={room}")
    for form in (zone_of_json, zone_of_prometheus):
        assert form(group[0]) == {"logs": 2, "subscriptions": 2}


def test_clients_of_handlers_are_those_of_the_host(hosts):
    """A sum over the hosts must not count a client twice."""
    group = hosts(LOCATIONS, 2, workers=1)
    for host, count in zip(group, (1, 2)):
        for _ in range(count):
            host.join("/room")
    group.wait_for_clients("/publish", 3)
    for host, count in zip(group, (1, 2)):
        report = report_of(host.server)
        assert {"name": "room", "clients": count} in report["handlers"]
        assert [each["clients"] for each in report["resources"]] == [3]


def zone_of_json(host):
    zone = report_of(host.server)["zone"]
    return {name: zone[name] for name in ("logs", "subscriptions")}


def zone_of_prometheus(host):
    samples = samples_of(families_of(text_of(
        host.server, "/status?format=prometheus")))
    return {name: samples[f"zone_{name}", frozenset()]
            for name in ("logs", "subscriptions")}


def test_status_without_redis_has_no_redis_counters(nginx):
    server = nginx("location /status { websocket_status; }")
    assert "redis" not in report_of(server)
    assert "redis" not in text_of(server, "/status?format=prometheus")


def test_messages_and_resources_are_counted(pair):
    clients = [pair[0].join(f"/room?k={number}", number % 2)
               for number in range(3)]
    far = pair[1].join("/room?k=0")
    counters = wait_for(pair[0], "resources", resources=3, state="up")
    assert {name: counters[name]
            for name in ("failed", "retried",
                         "gaps")} == {"failed": 0, "retried": 0, "gaps": 0}
    before = [redis_counters(host) for host in pair]
    for number in range(10):
        assert publish(clients[0], f"{number}") == read(far)
    publish(clients[1], "alone")
    for index, published, received in ((0, 11, 11), (1, 0, 10)):
        at_least(pair[index], published=before[index]["published"]
                 + published, received=before[index]["received"] + received)
        counters = redis_counters(pair[index])
        assert counters["published"] - before[index]["published"] == published
        assert counters["queued"] == counters["queued_bytes"] == 0
    for client in clients:
        client.disconnect()
    wait_for(pair[0], "no resources", resources=0)


def test_status_covers_all_workers(pair):
    for worker in (0, 1):
        publish(pair[0].join("/room", worker), "x")
    wait_for(pair[0], "both messages", published=2, state="up")
    asked = set()
    while len(asked) < 2:
        response = pair[0].server.request(request())
        asked.add(response.header("X-Worker"))
        assert json.loads(response.body)["redis"]["published"] == 2


def test_leader_is_the_slot_of_the_worker_that_listens(pair):
    pair[0].server.allow_errors("exited on signal 9|was locked by")
    clients = [pair[0].join("/room", worker) for worker in (0, 1)]
    for _ in range(2):
        report = wait_for_report(
            pair[0].server, lambda one: one["redis"]["leader"] is not None
            and one["redis"]["state"] == "up"
            and one["redis"]["resources"] >= 1, "a leader")
        [pid] = [worker["pid"] for worker in report["workers"]
                 if worker["slot"] == report["redis"]["leader"]]
        assert pid in pair[0].pids()
        os.kill(pid, signal.SIGKILL)
        wait_for_other_worker(pair[0].server, pid, 2)
        clients.append(wait_until_joined(pair[0], "/room"))


# With faults

@pytest.mark.parametrize("name", ["killed", "frozen", "cut", "locked"])
def test_state_and_failures(pair, name):
    clients = pair.on_each_worker(Host.join, "/room")
    wait_for(pair[0], "Redis", state="up")
    before = redis_counters(pair[0])
    with injected_fault(pair, name):
        for client in clients[:2]:
            send_text(client, "x", ref=1)
            assert read(client, seconds(3))["type"] == "error"
        assert try_to_post(pair[0], "/publish", "x") == 503
        counters = wait_for(pair[0], "an outage", state="down", queued=0,
                            queued_bytes=0)
        assert counters["failed"] == before["failed"] + 3
    text = wait_until_published(pair[0], "/publish", "after")
    counters = wait_for(pair[0], "the end of the outage", state="up")
    assert counters["reconnects"] > before["reconnects"]
    for client in clients:
        Received(client, text)


def test_queued_counter(patient):
    client = patient[0].join("/room")
    other = patient[0].connect("/room")
    with injected_fault(patient, "cut"):
        for number in range(5):
            other.text("x" * 100)
        other.expect_alive()
        counters = wait_for(patient[0], "messages that wait", queued=5)
        assert 500 <= counters["queued_bytes"] <= 5000
    for _ in range(5):
        read(client, seconds(10))
    counters = wait_for(patient[0], "an empty queue", queued=0, queued_bytes=0)
    assert counters["published"] == 5 and counters["failed"] == 0


def test_retried_counter(patient):
    near, far = patient[0].connect("/room"), patient[1].join("/room")
    patient[0].proxy.pause(DOWN)
    near.send([wire.text(f"{number}") for number in range(5)])
    read(far)
    patient[0].proxy.reset()
    patient[0].proxy.release()
    Received(far, "4")
    at_least(patient[0], retried=1, reconnects=1)
    assert redis_counters(patient[1])["retried"] == 0
    assert wait_for(patient[0], "all answers", queued=0)["published"] == 5


def test_recovered_counter(pair):
    near, far = pair[0].join("/room"), pair[1].join("/room")
    before = redis_counters(pair[0])
    pair[0].proxy.cut()
    for number in range(10):
        pair[1].post("/publish", f"{number}")
    pair[0].proxy.restore()
    Received(near, "9")
    counters = redis_counters(pair[0])
    assert counters["recovered"] == before["recovered"] + 10
    assert counters["gaps"] == before["gaps"]
    assert redis_counters(pair[1])["recovered"] == 0
    Received(far, "9")


def test_gaps_counter(pair):
    near = pair[0].join("/five")
    publish(near, "0")
    before = redis_counters(pair[0])["gaps"]
    pair[0].proxy.cut()
    for number in range(1, 300):
        pair[1].post("/publish-five", f"{number}".rjust(10000))
    pair[0].proxy.restore()
    assert Received(near, "299".rjust(10000)).gaps == [0]
    assert redis_counters(pair[0])["gaps"] == before + 1


def test_resources_of_a_killed_leader_are_not_counted(hosts):
    """The next leader has none to follow."""
    group = hosts(LOCATIONS, 1, workers=2)
    group.allow_redis_errors()
    group[0].server.allow_errors("exited on signal 9|was locked by")
    leader = group[0].wait_for_leader()
    group[0].join("/room", group[0].pids().index(leader))
    wait_for(group[0], "the resource", resources=1)
    os.kill(leader, signal.SIGKILL)
    wait_for(group[0], "no resource", resources=0, reconnects=1)


def test_worker_without_a_connection_is_counted(hosts):
    """Redis accepts no more clients than the two connections of the leader and
    that of this test. The host stays connected."""
    group = hosts(LOCATIONS, 1, workers=2)
    group.allow_redis_errors()
    server = group[0].server
    leader = group[0].wait_for_leader()
    other, = {*group[0].pids()} - {leader}
    port, = wait_until(
        lambda: connections_of(other, group.redis.service_port), seconds(5),
        "a connection")
    wait_for(group[0], "connections", disconnected=0)
    with group.redis.client() as client:
        client.ask("CONFIG", "SET", "maxclients", "3")
        client.ask("CLIENT", "KILL", "ADDR", f"127.0.0.1:{port}")
        wait_for(group[0], "a worker", disconnected=1, state="up")
        server.wait_for_log("max number of clients reached", timeout=15)
        client.ask("CONFIG", "SET", "maxclients", "100")
    server.wait_for_log("reconnected to Redis", timeout=10)
    wait_for(group[0], "connections", disconnected=0)


# Prometheus

def test_prometheus_has_the_same_counters(pair):
    client = pair[0].join("/room")
    for number in range(3):
        publish(client, f"{number}")
    counters = wait_for(pair[0], "counters", state="up", resources=1,
                        published=3)
    families = families_of(text_of(pair[0].server,
                                   "/status?format=prometheus"))
    found = {name.removeprefix("redis_"): family
             for name, family in families.items()
             if name.startswith("redis_")}
    assert GAUGES <= set(found), set(found)
    for name, family in found.items():
        assert family.documentation, name
        assert family.type == ("gauge" if name in GAUGES else "counter"), name
    samples = samples_of(found)
    assert samples["redis_up", frozenset()] == 1
    for name in ("published", "received", "failed", "reconnects", "gaps"):
        assert samples[f"redis_{name}_total",
                       frozenset()] == counters[name], name


def test_prometheus_shows_a_redis_outage(hosts, start_redis):
    redis = start_redis()
    redis.kill()
    group = hosts(LOCATIONS, 1, redis=redis, options=SHORT_TIMEOUTS)
    group.allow_redis_errors()
    assert try_to_post(group[0], "/publish", "x") == 503
    samples = samples_of(families_of(text_of(
        group[0].server, "/status?format=prometheus")))
    assert samples["redis_up", frozenset()] == 0
    assert redis_counters(group[0])["state"] == "down"
