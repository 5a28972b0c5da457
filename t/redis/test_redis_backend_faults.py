"""Clients of `websocket http` in Redis: takeovers while something else goes
wrong. Each client still gets its disconnect, once."""

import os
import signal

import pytest

from hosts import PREFIX
from kept_clients import (TAKEN_AFTER, expect_ends, join, kept,
                          wait_until_kept)
from nginx_server import seconds, wait_until
from status_reader import report_of
from tuned_client import connect_blocking

LOCATION = "location /app {{ websocket http room pass=@app; }}"
LOCATIONS = LOCATION + """
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
location /echo {{ websocket echo; }}
"""
OPTIONS = "connect_timeout=500ms command_timeout=500ms"


@pytest.fixture
def group(backend, hosts):
    """Two hosts whose events go to `backend`. The first one drains slowly."""
    created = hosts(LOCATIONS.format(port=backend.port), count=2, proxies=True,
                    options=OPTIONS, http="websocket_drain 30s;")
    created.allow_redis_errors()
    return created


def key_parts(redis):
    """Of the only key of clients: its beginning with the shard, the kind and
    the host."""
    key, = redis.keys("*}a:*")
    tag, rest = key.split("}a:")
    return tag + "}", *rest.split(":")


def test_clients_that_redis_lost_after_a_takeover(group, backend, redis):
    """The host does not take clients for taken by another host that are lost
    because an older copy of Redis is back."""
    clients = join(backend, group[0], 2)
    wait_until_kept(redis, clients)
    group[0].proxy.cut()
    expect_ends(backend, clients)
    late = join(backend, group[0], 3)
    group[0].proxy.restore()
    for client in clients.values():
        client.expect_close(1012)
    wait_until_kept(redis, late)
    redis.command("DEL", *redis.keys("*}a:*"), *redis.keys("*}al:*"))
    wait_until_kept(redis, late)
    for client in late.values():
        client.expect_alive()
    group[0].kill()
    expect_ends(backend, late)


def test_shard_with_an_unusable_key_delays_no_other(group, backend, redis):
    clients = join(backend, group[0], 2)
    wait_until_kept(redis, clients)
    tag, _, _ = key_parts(redis)
    for shard in range(16):
        if f"{{{shard}}}" not in tag:
            redis.command("SET", f"{PREFIX}{{{shard}}}apps", "unusable")
    group[0].kill()
    expect_ends(backend, clients)


def test_host_with_unreadable_clients_delays_no_other(group, backend, redis):
    """Also if Redis lists it first."""
    clients = join(backend, group[0], 2)
    wait_until_kept(redis, clients)
    tag, kind, host = key_parts(redis)

    def is_listed_first(name):
        listed = redis.command("SMEMBERS", f"{tag}apps")
        return listed.index(name) < listed.index(host)

    def is_first(name):
        redis.command("HSET", f"{tag}a:{kind}:{name}", "17", "2 later version")
        redis.command("SADD", f"{tag}apps", name)
        if is_listed_first(name):
            return True
        # Later versions of Redis keep the order of small sets
        redis.command("SREM", f"{tag}apps", host)
        redis.command("SADD", f"{tag}apps", host)
        if is_listed_first(name):
            return True
        redis.command("SREM", f"{tag}apps", name)
        return False

    assert any(is_first(f"unreadable{number}") for number in range(100))
    group[0].kill()
    expect_ends(backend, clients)


def test_location_is_removed_while_its_clients_drain(group, backend, redis):
    """The new leader, which has no such location, renews the lease."""
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    old = group[0].pids()
    group[0].server.rewrite_config(LOCATION.format(), "")
    os.kill(group[0].server.pid, signal.SIGHUP)
    gone = [backend.next("disconnect", 40) for _ in clients]
    assert {end.client for end in gone} == set(clients)
    assert {end.fields["WebSocket-Close-Code"] for end in gone} == {"1001"}
    wait_until(lambda: not set(old) & set(group[0].pids()), seconds(10),
               "the old workers have gone")
    assert backend.events.empty()
    wait_until_kept(redis, ())


def test_clients_that_an_older_redis_has_again(group, backend, redis):
    """They have left, and their disconnects are answered."""
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    key, = redis.keys("*}a:*")
    gone = [clients.popitem() for _ in range(2)]
    entries = [(str(number), redis.command("HGET", key, str(number)))
               for number, _ in gone]
    for number, client in gone:
        client.disconnect()
        assert backend.next("disconnect").client == number
    wait_until_kept(redis, clients)
    group[0].proxy.cut()
    for entry in entries:
        redis.command("HSET", key, *entry)
    group[0].proxy.restore()
    wait_until_kept(redis, clients)
    for client in clients.values():
        client.expect_alive()


def test_full_redis_and_a_killed_leader(group, backend, redis):
    """Nobody sends events of clients that no host could take."""
    clients = join(backend, group[0], 3)
    wait_until_kept(redis, clients)
    refused = "refused to take clients"
    group[1].server.allow_errors("exited on signal 9|Redis refused")
    redis.config_set("maxmemory", "1")
    group[0].kill()
    group[1].server.wait_for_log(refused, TAKEN_AFTER)
    before = group[1].server.log_size()
    os.kill(group[1].wait_for_leader(), signal.SIGKILL)
    group[1].server.wait_for_log(refused, TAKEN_AFTER, since=before)
    assert backend.events.empty()
    redis.config_set("maxmemory", "0")
    expect_ends(backend, clients)


def test_full_redis_forgets_clients(group, backend, redis):
    """Also while it refuses another one: no host sends their disconnects."""
    clients = join(backend, group[0], 100)
    wait_until_kept(redis, clients)
    redis.config_set("maxmemory", "1")
    late = join(backend, group[0], 1)
    group[0].server.wait_for_log("refused to keep clients")
    for client in clients.values():
        client.abort()
    wait_until_kept(redis, ())
    redis.config_set("maxmemory", "0")
    wait_until_kept(redis, late)


def test_clients_of_a_dead_host_whose_slot_has_moved(backend, cluster, hosts):
    group = hosts(LOCATIONS.format(port=backend.port), redis=cluster,
                  options=OPTIONS)
    group.allow_redis_errors()
    clients = join(backend, group[0], 4)
    shard = (min(clients) >> 40) % 16
    node = cluster.node_of(shard)
    other = cluster.other_than(node)
    wait_until_kept(node, clients)
    cluster.move(shard, other)
    wait_until_kept(other, clients)
    number, client = clients.popitem()
    client.disconnect()
    assert backend.next("disconnect").client == number
    wait_until_kept(other, clients)
    group[0].kill()
    expect_ends(backend, clients)
    wait_until_kept(other, ())


def test_many_clients_go_during_an_outage(hosts, redis):
    """More than have notes."""
    count = 10_100
    group = hosts(LOCATION.format() + """
location @app { return 204; }
location /status { websocket_status; }""", 1, workers=1, proxies=True,
                  options=OPTIONS, connections=16384,
                  http="websocket_shared_memory 64m;")
    group.allow_redis_errors()
    server = group[0].server
    clients = [connect_blocking(server, path="/app") for _ in range(count)]
    wait_until(lambda: len(kept(redis)) == count, seconds(10),
               "the clients are kept")
    group[0].proxy.cut()
    for client in clients:
        client.close()
    wait_until(lambda: report_of(server)["http"]["events"] == 2 * count,
               seconds(10), "the disconnects")
    server.wait_for_log(r"\[warn\].*more than 10000 clients")
    group[0].proxy.restore()
    wait_until_kept(redis, ())
