"""Presence and counts over outages: nobody is reported who has not left, and the
last number that a client gets is right."""

import time

import pytest

from nginx_server import seconds
from redis_faults import injected_fault, start_for_faults
from room_client import read

LOCATIONS = """
location /room { websocket room room history=10 presence=on; }
location /publish { websocket_publish room room; }
"""

LEASE = 10
RENEWAL = 2
OPTIONS = "connect_timeout=500ms command_timeout=500ms"


@pytest.fixture
def pair(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS, OPTIONS, workers=1)


def next_event(client, timeout=5):
    """The kind, the client and the count of the next presence event."""
    deadline = time.monotonic() + seconds(timeout)
    while True:
        found = read(client, deadline - time.monotonic())
        if found["type"] in ("joined", "left"):
            return found["type"], found["client"], found["clients"]


def join_all(host, members):
    """Joins a client. All get that event next, with the right number."""
    client = host.join("/room")
    expect_next(members, ("joined", client.welcome["client"],
                          len(members) + 1))
    return client


def expect_next(members, event):
    assert [next_event(client) for client in members] == \
        [event for _ in members]


def join_each(group, *counts):
    """Joins so many clients of each host."""
    members = []
    for host, count in zip(group, counts):
        for _ in range(count):
            members.append(join_all(host, members))
    group.wait_for_clients("/publish", len(members))
    return members


def expect_no_event(group, members):
    """All have had their events: the next one is that of a client that joins
    now."""
    group.wait_for_clients("/publish", len(members), LEASE)
    client = join_all(group[0], members)
    leave(client)
    expect_next(members, ("left", client.welcome["client"], len(members)))


def leave(client):
    client.leave()
    client.disconnect()


# Redis restarts, or is full

@pytest.mark.parametrize("name", ["killed", "emptied"])
def test_redis_that_restarts_reports_nobody(pair, name):
    members = join_each(pair, 2, 2)
    for _ in range(2):
        with injected_fault(pair, name):
            pass
        expect_no_event(pair, members)


def test_full_redis_reports_nobody(hosts):
    """It is full for longer than a lease."""
    pair = hosts(LOCATIONS, options="", workers=1)
    pair.allow_redis_errors()
    members = join_each(pair, 1, 2)
    with injected_fault(pair, "full"):
        time.sleep(LEASE + 2 * RENEWAL)
    time.sleep(2 * RENEWAL)  # each host looks for others without a lease
    expect_no_event(pair, members)


# A host that is cut off

def test_host_that_is_cut_off_for_less_than_its_lease_stays(pair):
    members = join_each(pair, 2, 1)
    pair[1].proxy.cut()
    time.sleep(LEASE / 2)
    pair[1].proxy.restore()
    expect_no_event(pair, members)
    time.sleep(LEASE)
    expect_no_event(pair, members)


def test_host_that_is_cut_off_is_removed_after_its_lease(pair):
    """Clients of the other host get the number then, and when it is back."""
    *near, far = members = join_each(pair, 2, 1)
    began = time.monotonic()
    pair[1].proxy.cut()
    for client in near:
        assert next_event(client, LEASE + 5) == ("left", None, 2)
    assert time.monotonic() - began > LEASE - RENEWAL - 0.5
    pair[1].proxy.restore()
    for client in near:
        assert next_event(client, LEASE) == ("joined", None, 3)
    expect_no_event(pair, members)
    far.expect_alive()


def test_host_that_redis_has_lost_is_removed_after_a_lease(pair):
    """It is cut off while Redis loses all data."""
    near, _ = join_each(pair, 1, 1)
    pair[1].proxy.cut()
    began = time.monotonic()
    pair.redis.restart(empty=True)
    assert next_event(near, LEASE + 5) == ("left", None, 1)
    assert time.monotonic() - began > LEASE - 0.5
    pair[1].proxy.restore()
    assert next_event(near, LEASE) == ("joined", None, 2)
