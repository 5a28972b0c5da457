"""The count of clients on all hosts, also if hosts end or Redis loses data."""

import os
import signal
import time

import pytest

from hosts import SHORT_TIMEOUTS, PREFIX, Host, key_of, shard_of
from nginx_server import seconds, wait_until
from publish_client import Publisher
from redis_faults import start_for_faults, try_to_connect
from room_client import publish, read
from worker_picking import wait_for_other_worker

LOCATIONS = """
location /room { websocket room room$arg_k presence=on history=10; }
location /plain { websocket room plain$arg_k; }
location /few { websocket room few$arg_k; websocket_max_clients 4; }
location /publish-room { websocket_publish room room$arg_k; }
location /publish-plain { websocket_publish room plain$arg_k; }
location /publish-few { websocket_publish room few$arg_k; }
"""

# A dead host is counted until its lease ends.
LEASE = 10


@pytest.fixture(scope="module")
def pair(module_hosts):
    """Two hosts with two workers each."""
    return module_hosts(LOCATIONS)


def event(kind, client, clients):
    return {"type": kind, "client": client, "clients": clients}


def leave(client):
    client.leave()
    client.disconnect()


# Counts

def test_each_host_counts_the_clients_of_all(pair):
    path = "/publish-plain?k=count"
    clients = []
    for host in (pair[0], pair[1], pair[0], pair[1], pair[1]):
        clients.append(host.connect("/plain?k=count"))
        pair.wait_for_clients(path, len(clients))
    while clients:
        leave(clients.pop(0))
        pair.wait_for_clients(path, len(clients))


def test_many_clients_are_counted_until_they_disconnect(pair):
    path = "/publish-plain?k=many"
    clients = [host.connect("/plain?k=many") for host in pair
               for _ in range(100)]
    pair.wait_for_clients(path, 200)
    for client in clients[50:]:
        client.abort()
    pair.wait_for_clients(path, 50)
    for client in clients[:50]:
        client.disconnect()
    pair.wait_for_clients(path, 0)


def test_welcome_counts_all(pair):
    """The welcome has the count that the host knows. A host applies the entries
    of a shard in order, so that a message comes behind all counts before it."""
    path = "/publish-plain?k=welcome"
    clients = []
    for count in range(1, 5):
        client = pair[count % 2].join("/plain?k=welcome")
        assert client.welcome["clients"] == count
        clients.append(client)
        pair.wait_for_clients(path, count)
        pair[0].post(path, f"{count} clients")
        for each in clients:
            assert read(each)["data"] == f"{count} clients"


def test_counts_of_rooms_are_their_own(pair):
    clients = [pair[0].connect(f"/plain?k=room{number}")
               for number in range(10)]
    for number in range(10):
        pair[1].wait_for_clients(f"/publish-plain?k=room{number}", 1)
    for client in clients[::2]:
        leave(client)
    for number in range(10):
        pair[1].wait_for_clients(f"/publish-plain?k=room{number}", number % 2)


def test_room_without_clients_is_not_counted_any_more(pair):
    client = pair[0].connect("/plain?k=none")
    name = "room:plainnone"
    wait_until(lambda: pair.redis.keys(key_of("c", name)), seconds(5), "a count")
    leave(client)
    wait_until(lambda: not pair.redis.keys(key_of("c", name)), seconds(5),
               "the end of the count")


def test_limit_is_for_all_hosts_together(pair):
    path = "/publish-few?k=limit"
    clients = [host.connect("/few?k=limit") for host in pair for _ in (1, 2)]
    pair.wait_for_clients(path, 4)
    for host in pair:
        status, refused = try_to_connect(host, "/few?k=limit")
        assert status == 503
        refused.disconnect()
    pair.wait_for_clients(path, 4)
    leave(clients.pop())
    pair.wait_for_clients(path, 3)
    clients.append(pair[0].connect("/few?k=limit"))
    pair.wait_for_clients(path, 4)
    assert try_to_connect(pair[1], "/few?k=limit")[0] == 503
    assert try_to_connect(pair[1], "/few?k=other")[0] == 101


# Workers and hosts that end

@pytest.mark.parametrize("leads", [True, False])
def test_clients_of_a_killed_worker_are_not_counted(hosts, leads):
    """If the killed worker was the leader, another one leads afterwards."""
    group = hosts(LOCATIONS)
    group[0].server.allow_errors("exited on signal 9|was locked by")
    far = group[1].join("/room")
    others = {group[0].join("/room", worker).welcome["client"]
              for worker in (0, 1, 0, 1)}
    announced = set()
    while announced != others:
        announced.add(read(far)["client"])
    group.wait_for_clients("/publish-room", 5)
    leader = group[0].wait_for_leader()
    dead, = [pid for pid in group[0].pids() if (pid == leader) is leads]
    os.kill(dead, signal.SIGKILL)
    wait_for_other_worker(group[0].server, dead, 2)
    group.wait_for_clients("/publish-room", 3)
    assert read(far, seconds(10)) == event("left", None, 3)


def test_clients_that_move_at_a_reload_are_counted_once(hosts):
    group = hosts(LOCATIONS)
    near = [group[0].join("/room", worker) for worker in (0, 1)]
    group[1].join("/room")
    group.wait_for_clients("/publish-room", 3)
    old = group[0].server.reload()
    new = [group[0].join("/room") for _ in near]
    for client in near:
        while client.read_frame().close_code != 1001:
            pass
        client.close(1001)
        client.disconnect()
    group[0].server.wait_for_workers_gone(old)
    group.wait_for_clients("/publish-room", 3)
    new[0].disconnect()
    group.wait_for_clients("/publish-room", 2)


def test_count_keys_of_a_live_host_do_not_expire(pair):
    """Clients may stay for more than a day. When their host dies, other hosts
    must still find its keys."""
    clients = [host.connect("/plain?k=days") for host in pair]
    pair.wait_for_clients("/publish-plain?k=days", 2)
    keys = pair.redis.keys(f"{PREFIX}*r:*")
    assert len(keys) == 2
    for key in keys:
        assert pair.redis.command("PEXPIRE", key, 60000) == 1
    wait_until(lambda: all(pair.redis.command("PTTL", key) > 60000
                           for key in keys), seconds(10), "a longer expiry")
    for client in clients:
        client.disconnect()


def test_host_that_dies_is_counted_until_its_lease_ends(hosts):
    group = hosts(LOCATIONS, 3, workers=1)
    clients = [host.join("/room") for host in group for _ in (1, 2)]
    group.wait_for_clients("/publish-room", 6)
    group[2].kill()
    rest = group.hosts[:2]
    for host in rest:
        assert host.get_state("/publish-room")[0] == 6
    for host in rest:
        host.wait_for_clients("/publish-room", 4, LEASE + 5)
    for client in clients[:4]:
        while (events := read(client))["type"] == "joined":
            pass
        assert events == event("left", None, 4)
        client.expect_alive()
    hosts_key = f"ws:{{{shard_of('room:room')}}}hosts"
    assert group.redis.command("SCARD", hosts_key) == 2


def test_dead_host_is_removed_where_no_other_host_has_clients(hosts):
    """All hosts look for dead ones in all shards."""
    group = hosts(LOCATIONS, 2, workers=1)
    group[1].join("/plain?k=alone")
    group.wait_for_clients("/publish-plain?k=alone", 1)
    group[1].kill()
    group[0].wait_for_clients("/publish-plain?k=alone", 0, LEASE + 5)
    assert not group.redis.keys(key_of("c", "room:plainalone"))


def test_host_without_clients_runs_few_scripts(hosts):
    """In two seconds it runs one for its id prefix, and one for each second
    shard."""
    redis = hosts(LOCATIONS, 1, workers=1).redis
    redis.command("CONFIG", "RESETSTAT")
    began = time.monotonic()
    wait_until(lambda: redis.calls("evalsha") >= 45, seconds(30),
               "five renewals")
    assert time.monotonic() - began > 7


def test_host_that_stood_still_is_counted_again(hosts):
    """The lease of a stopped host ends. When it continues, a new one begins."""
    group = hosts(LOCATIONS, 2, workers=1)
    group.allow_redis_errors()
    client, other = (host.join("/plain") for host in group)
    group.wait_for_clients("/publish-plain", 2)
    with group[1].standing_still():
        group[0].wait_for_clients("/publish-plain", 1, LEASE + 5)
    group.wait_for_clients("/publish-plain", 2, LEASE)
    message = publish(client, "x")
    assert read(other) == message


def test_hosts_that_quit_are_not_counted(hosts):
    group = hosts(LOCATIONS, 3)
    clients = group.on_each_worker(Host.join, "/room")
    group.wait_for_clients("/publish-room", len(clients))
    for host in group.hosts[:2]:
        host.server.stop()
    group[2].wait_for_clients("/publish-room", 2)
    group[2].server.stop()
    assert not group.redis.keys("ws:*c:*")
    for key in group.redis.keys():
        assert group.redis.command("PTTL", key) != -1, key


# Redis loses data

@pytest.mark.parametrize("way", ["flushall", "restart"])
def test_counts_heal_where_redis_has_lost_them(hosts, way):
    """If Redis has lost the position of the room, clients get a gap, which
    closes no JSON client."""
    group = hosts(LOCATIONS)
    group.allow_redis_errors()
    clients = group.on_each_worker(Host.join, "/plain")
    group.wait_for_clients("/publish-plain", 4)
    getattr(group.redis, way)()
    clients.pop().disconnect()
    wait_until(lambda: stored(group) == 3, seconds(LEASE + 5),
               "the counts in Redis")
    group.wait_for_clients("/publish-plain", 3, LEASE + 5)
    group.add()
    group.allow_redis_errors()
    clients.append(group[2].connect("/plain"))
    group.wait_for_clients("/publish-plain", 4, LEASE + 5)


def test_deleted_count_is_stored_again(hosts):
    """As by a Redis that removes keys to have memory: nothing changes in the
    room meanwhile."""
    group = hosts(LOCATIONS)
    clients = group.on_each_worker(Host.join, "/plain")
    group.wait_for_clients("/publish-plain", 4)
    assert group.redis.command("DEL", key_of("c", "room:plain")) == 1
    wait_until(lambda: stored(group) == 4, seconds(LEASE),
               "the counts in Redis")
    for client in clients:
        client.expect_alive()


def test_dead_host_is_removed_where_redis_had_lost_its_keys(hosts):
    """Its clients are found by these keys when its lease ends."""
    group = hosts(LOCATIONS, workers=1)
    client, _ = (host.join("/plain") for host in group)
    group.wait_for_clients("/publish-plain", 2)
    shard = f"{PREFIX}{{{shard_of('room:plain')}}}"
    for key in group.redis.keys(f"{shard}r:*") + [f"{shard}hosts"]:
        assert group.redis.command("DEL", key) == 1
    wait_until(lambda: len(group.redis.keys(f"{shard}r:*")) == 2
               and group.redis.command("SCARD", f"{shard}hosts") == 2,
               seconds(LEASE), "the keys")
    group[1].kill()
    group[0].wait_for_clients("/publish-plain", 1, LEASE + 5)
    client.expect_alive()


def stored(group):
    """The number of clients of all hosts that Redis has stored."""
    values = group.redis.command("HVALS", key_of("c", "room:plain"))
    return sum(map(int, values))


def test_changes_in_an_outage_are_counted_after_it(hosts, start_redis):
    group = start_for_faults(hosts, start_redis, LOCATIONS, SHORT_TIMEOUTS)
    near = [group[0].connect("/plain") for _ in range(5)]
    far = group[1].connect("/plain")
    group.wait_for_clients("/publish-plain", 6)
    group[0].proxy.cut()
    for client in near[2:]:
        client.disconnect()
    group[0].proxy.restore()
    group.wait_for_clients("/publish-plain", 3, LEASE)
    publisher = Publisher(group[1].server, "/publish-plain")
    publisher.post("x", clients=3)
    for client in [*near[:2], far]:
        client.expect_text("x")
