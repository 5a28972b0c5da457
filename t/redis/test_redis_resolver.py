"""A Redis whose name the resolver resolves, at once or later."""

import contextlib

import pytest

from hosts import SHORT_TIMEOUTS
from name_server import NameServer
from nginx_server import seconds, wait_until
from redis_faults import (RECOVERY_SECONDS, Received, try_to_connect,
                          wait_until_joined, wait_until_published)
from room_client import publish, read, send_text

NAME = "redis.invalid"  # resolved only by NameServer
LOCATIONS = """
location /room { websocket room room history=10; }
location /publish { websocket_publish room room; }
"""
NOBODY = "127.0.0.9"  # no server listens there


@pytest.fixture
def start(hosts, start_redis):
    """Starts two hosts and a name server with these addresses; returns the
    hosts and the name server."""
    with contextlib.ExitStack() as stack:
        def begin(*addresses):
            names = NameServer(*addresses)
            stack.callback(names.close)
            redis = start_redis()
            group = hosts(
                LOCATIONS, redis=redis, options=SHORT_TIMEOUTS, workers=1,
                url=f"redis://{NAME}:{redis.port}",
                http=f"resolver 127.0.0.1:{names.port} ipv6=off valid=1s;")
            group.allow_redis_errors()
            return group, names
        yield begin


def check_that_hosts_work(group):
    near, far = (wait_until_joined(host, "/room") for host in group)
    message = publish(near, "text")
    assert read(far) == message


def test_resolver_is_asked_for_the_name(start):
    group, names = start("127.0.0.1")
    check_that_hosts_work(group)
    assert names.questions >= 2
    for host in group:
        assert "[error]" not in host.server.log()


def test_all_addresses_are_tried(start):
    group, _ = start(NOBODY, "127.0.0.1")
    check_that_hosts_work(group)


@pytest.mark.parametrize("before, reason", [
    ((), "cannot resolve its name: Host not found"),
    ((NOBODY,), f"{NOBODY}: connect.. failed .111: Connection refused")])
def test_name_that_fails_to_resolve_at_first_is_retried(start, before, reason):
    group, names = start(*before)
    for host in group:
        status, client = try_to_connect(host, "/room")
        assert status == 503
        client.disconnect()
        host.server.wait_for_log(reason)
    names.addresses = ("127.0.0.1",)
    check_that_hosts_work(group)


def replica_of(other, start_redis):
    """Starts a replica at another address, and waits until it is in sync."""
    replica = start_redis(address="127.0.0.8", port=other.port,
                          replicaof=f"{other.address} {other.port}")
    wait_for_replica(replica)
    return replica


def wait_for_replica(redis):
    wait_until(lambda: redis.info("replication").get("master_link_status")
               == "up", seconds(10), "a replica")


def test_name_with_a_new_address_is_resolved_again(start, start_redis):
    """This happens when a replica takes over. Hosts that were connected to the
    old address connect to the new one when the old server ends."""
    group, names = start("127.0.0.1")
    old = group.redis
    clients = [wait_until_joined(host, "/room") for host in group]
    publish(clients[0], "old")
    for client in clients[1:]:
        Received(client, "old")
    other = replica_of(old, start_redis)
    names.addresses = (other.address,)
    old.stop()
    other.command("REPLICAOF", "NO", "ONE")
    last = wait_until_published(group[0], "/publish", "new")
    for client in clients:
        received = Received(client, last)
        received.check()
        assert not received.gaps
    send_text(clients[1], "all is well")
    for client in clients:
        assert not Received(client, "all is well").gaps


def test_master_that_becomes_a_replica(start, start_redis):
    """A replica still sends messages but refuses all commands. A host that only
    reads must not lose its rooms one after another."""
    group, names = start("127.0.0.1")
    old = group.redis
    clients = [wait_until_joined(host, "/room") for host in group]
    first = publish(clients[0], "old")["id"]
    for client in clients[1:]:
        Received(client, "old")
    other = replica_of(old, start_redis)
    names.addresses = (other.address,)
    other.command("REPLICAOF", "NO", "ONE")
    old.command("REPLICAOF", other.address, other.port)
    wait_for_replica(old)
    newcomers = [wait_until_joined(host, f"/room?since={first}")
                 for host in group]
    last = wait_until_published(group[0], "/publish", "new")
    for client in clients + newcomers:
        received = Received(client, last)
        assert received.data == [last] and not received.gaps


def test_replica_at_first(start, start_redis):
    """The name first has the address of a replica, and no client publishes."""
    group, names = start()
    other = replica_of(group.redis, start_redis)
    names.addresses = (other.address,)
    wait_until(lambda: "cmdstat_evalsha" in other.info("commandstats"),
               seconds(RECOVERY_SECONDS), "a host that finds a replica")
    names.addresses = ("127.0.0.1",)
    check_that_hosts_work(group)
