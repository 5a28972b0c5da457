"""Presence and counts over outages: who left is reported once and nobody else,
and the last number that a client gets is right."""

import time

import pytest

from hosts import channel_of, log_of
from nginx_server import seconds, wait_until
from redis_faults import injected_fault, start_for_faults, try_to_post
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


def join_each(group, *counts):
    """Joins so many clients of each host. They have read what they got of each
    other."""
    members = [host.join("/room") for host, count in zip(group, counts)
               for _ in range(count)]
    come_and_go(group, members, strict=False)
    return members


def come_and_go(group, members, strict=True):
    """Joins and disconnects one more client. strict: all get its events
    next."""
    count = len(members)
    group.wait_for_clients("/publish", count, LEASE)
    client = group[0].join("/room")
    number = client.welcome["client"]
    expect_event(members, ("joined", number, count + 1), strict)
    leave(client)
    expect_event(members, ("left", number, count), strict)


def expect_event(members, event, strict):
    for client in members:
        found = next_event(client, LEASE)
        while found != event:
            assert not strict, (found, event)
            found = next_event(client)


def leave(client):
    client.leave()
    client.disconnect()


POST = """
local id = redis.call('HGET', KEYS[1], 'q') + 1
redis.call('XADD', KEYS[2], '0-' .. id, 'e', ARGV[1])
redis.call('HSET', KEYS[1], 'q', id)
redis.call('PUBLISH', KEYS[3], redis.call('HGET', KEYS[1], 'e') .. '-' .. id ..
           ' ' .. ARGV[1])
"""


def post_entry(group, entry):
    """Appends an entry to the log of the room's shard, as a host does."""
    log = log_of("room:room")
    group.redis.command("EVAL", POST, 3, log.replace("entries", "pos"), log,
                        channel_of("room:room"), entry)


def test_client_whose_event_is_behind_its_number_is_reported_once(pair):
    """Between both the number is compared, as after a loss."""
    members = join_each(pair, 1, 1)
    entries = [each[1][1] for each in pair.redis.command(
        "XRANGE", log_of("room:room"), "-", "+")]
    joined = next(each for each in entries if each.endswith("joined"))
    run = joined.split()[2]
    post_entry(pair, f"c 9 {run} elsewhere 1 1\nroom:room")
    head, name = joined.split("\n")
    post_entry(pair, f"{head.rpartition(' ')[0]} 4711\n{name}")
    for client in members:
        assert next_event(client) == ("joined", 4711, 3)
        client.expect_nothing()


# Outages of all hosts

@pytest.mark.parametrize("name", ["frozen", "cut", "killed", "blackhole"])
def test_clients_that_leave_in_an_outage_are_reported_once(pair, name):
    """The outage lasts longer than command_timeout after they leave."""
    first, second, *leaving, last = members = join_each(pair, 2, 3)
    with injected_fault(pair, name):
        assert try_to_post(pair[1], "/publish", "refused") == 503
        for client in leaving:
            leave(client)
        assert try_to_post(pair[1], "/publish", "refused") == 503
    left = [client.welcome["client"] for client in leaving]
    rest = [first, second, last]
    for client in rest:
        found = [next_event(client, LEASE) for _ in left]
        assert [event[:2] for event in found] == [("left", one)
                                                  for one in left]
        assert found[-1][2] == len(rest)
    come_and_go(pair, rest)
    assert len(members) == 5


@pytest.mark.parametrize("name", ["killed", "emptied"])
def test_redis_that_restarts_reports_nobody(pair, name):
    members = join_each(pair, 2, 2)
    for _ in range(2):
        with injected_fault(pair, name):
            pass
        come_and_go(pair, members)


@pytest.mark.parametrize("name", ["full", "unreplicated"])
def test_redis_that_refuses_writes_reports_nobody(hosts, name):
    """For longer than a lease, which is renewed only in a full Redis. The first
    host has no clients."""
    group = hosts(LOCATIONS, 3, options="", workers=1)
    group.allow_redis_errors()
    members = join_each(group, 0, 1, 2)
    with injected_fault(group, name):
        time.sleep(LEASE + 2 * RENEWAL)
    time.sleep(2 * RENEWAL)  # each host looks for others without a lease
    come_and_go(group, members)


@pytest.mark.parametrize("name", ["full", "busy"])
def test_client_that_leaves_while_redis_refuses_is_counted(pair, name):
    """Redis does not get to know who left, but the number is corrected."""
    *rest, leaving = join_each(pair, 1, 2)
    with injected_fault(pair, name):
        leave(leaving)
        assert try_to_post(pair[1], "/publish", "refused") == 503
    for client in rest:
        assert next_event(client, LEASE) == ("left", None, 2)
    come_and_go(pair, rest)


def test_late_replies_remove_no_host(hosts, start_redis):
    """The outage is shorter than command_timeout, so that no connection ends,
    and longer than a lease. The other host's messages arrive later."""
    pair = start_for_faults(hosts, start_redis, LOCATIONS,
                            "connect_timeout=60s command_timeout=60s",
                            workers=1)
    members = join_each(pair, 1, 1)
    for host in pair:
        host.proxy.pause()
    wait_until(lambda: not pair.redis.keys("ws:*l:*"), seconds(LEASE + 5),
               "the end of both leases")
    pair[0].proxy.release()
    wait_until(lambda: pair.redis.keys("ws:*l:*"), seconds(5), "a lease")
    time.sleep(2 * RENEWAL)  # the host looks for others without a lease
    pair[1].proxy.release()
    come_and_go(pair, members)


# A host that is cut off

def test_host_that_is_cut_off_for_less_than_its_lease_stays(pair):
    members = join_each(pair, 2, 1)
    pair[1].proxy.cut()
    time.sleep(LEASE / 2)
    pair[1].proxy.restore()
    come_and_go(pair, members)
    time.sleep(LEASE)
    come_and_go(pair, members)


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
    come_and_go(pair, members)
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
