"""Presence by user on several hosts: a user joins a room on the first one and
leaves it on the last one."""

import os
import signal

import pytest

from hosts import PREFIX, key_of, shard_of
from nginx_server import seconds, wait_until
from room_client import read, read_type, send_text
from worker_picking import wait_for_other_worker

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user;
                   websocket room room$arg_k presence=on presence_grace=2s; }
location = /plain { websocket_user $websocket_arg_user;
                    websocket room plain$arg_k; }
location /publish-room { websocket_publish room room$arg_k; }
"""
GRACE = 2

# A dead host has its users until its lease ends.
LEASE = 10


@pytest.fixture(scope="module")
def pair(module_hosts):
    """Two hosts with two workers each."""
    return module_hosts(LOCATIONS)


def id_of(client):
    return client.welcome["client"]


def event(kind, user, client):
    return {"type": kind, "user": user,
            "client": client and id_of(client)}


def observers_on(group, key):
    """A client without a user on each host, which sees the others."""
    observers = []
    for host in group:
        observers.append(host.join(f"/room?k={key}"))
        group.wait_for_clients(f"/publish-room?k={key}", len(observers))
    for number, observer in enumerate(observers):
        for later in observers[number + 1:]:
            assert read_type(observer, "joined")["client"] == id_of(later)
    return observers


def tab(host, user, key, worker=None, path="/room"):
    return host.join(f"{path}?k={key}&user={user}", worker)


def leave(client):
    """Closes, past unread events."""
    client.close(1000)
    while client.read_frame().close_code != 1000:
        pass
    client.disconnect()


def expect(observers, expected, timeout=GRACE + 4):
    """The next event of each, whatever the number of clients."""
    for observer in observers:
        found = read(observer, seconds(timeout))
        del found["clients"]
        assert found == expected


def next_named(observer):
    """The next event of a user. After a loss on another host, the number of
    clients may have an event of its own."""
    found = read(observer)
    while "user" not in found:
        found = read(observer)
    return found["type"], found["user"]


def expect_nothing_so_far(host, observers, key):
    """A user who comes and goes now is the next whose events are seen. The
    grace of all who left before has passed then."""
    guest = tab(host, "guest", key)
    expect(observers, event("joined", "guest", guest))
    leave(guest)
    expect(observers, event("left", "guest", guest))


def registered(group, key):
    """The users in Redis, and the number of their hosts."""
    found = group.redis.command("HGETALL", key_of("u", f"room:room{key}"))
    if isinstance(found, list):
        found = dict(zip(found[::2], found[1::2]))
    text = {str(user): str(hosts) for user, hosts in found.items()}
    return {user: len(hosts.split()) for user, hosts in text.items()}


def wait_for_registered(group, key, expected, timeout=5):
    wait_until(lambda: registered(group, key) == expected, seconds(timeout),
               f"{expected} in Redis, not {registered(group, key)}")


def test_user_on_two_hosts_joins_once_and_leaves_once(pair):
    observers = observers_on(pair, "two")
    first = tab(pair[0], "42", "two", 0)
    expect(observers, event("joined", "42", first))
    tabs = [first, tab(pair[0], "42", "two", 1), tab(pair[1], "42", "two", 0),
            tab(pair[1], "42", "two", 1)]
    wait_for_registered(pair, "two", {"42": 2})
    for client in tabs[:3]:
        leave(client)
    wait_for_registered(pair, "two", {"42": 1})
    expect_nothing_so_far(pair[0], observers, "two")
    leave(tabs[3])
    expect(observers, event("left", "42", tabs[3]))
    wait_for_registered(pair, "two", {})


def test_user_who_moves_to_another_host_has_not_left(pair):
    observers = observers_on(pair, "moves")
    client = tab(pair[0], "42", "moves")
    expect(observers, event("joined", "42", client))
    for number in (1, 0, 1):
        leave(client)
        client = tab(pair[number], "42", "moves")
    expect_nothing_so_far(pair[0], observers, "moves")
    wait_for_registered(pair, "moves", {"42": 1})
    leave(client)
    expect(observers, event("left", "42", client))


def test_user_joins_before_messages(pair):
    observers = observers_on(pair, "order")
    for number in range(10):
        client = tab(pair[number % 2], f"u{number}", "order")
        send_text(client, "words")
        expect(observers, event("joined", f"u{number}", client))
        for observer in observers:
            assert read_type(observer, "message")["user"] == f"u{number}"
        client.disconnect()
        expect(observers, event("left", f"u{number}", client))


def test_many_users_on_two_hosts(pair):
    observers = observers_on(pair, "many")
    users = [f"u{number}" for number in range(100)]
    tabs = [tab(pair[number % 2], user, "many")
            for number, user in enumerate(users)]
    wait_for_registered(pair, "many", dict.fromkeys(users, 1))
    more = [tab(pair[1 - number % 2], user, "many")
            for number, user in enumerate(users)]
    wait_for_registered(pair, "many", dict.fromkeys(users, 2))
    for client in tabs:
        client.disconnect()
    wait_for_registered(pair, "many", dict.fromkeys(users, 1))
    for client in more:
        client.disconnect()
    wait_for_registered(pair, "many", {})
    for observer in observers:
        while read(observer)["clients"] != 2:
            pass
    assert not pair.redis.keys(f"{PREFIX}*p:*")


def test_users_of_rooms_without_presence_are_not_registered(nginx, redis):
    from hosts import Hosts
    group = Hosts(nginx, redis, LOCATIONS.replace(
        "presence=on presence_grace=2s", ""))
    client = tab(group[0], "42", "off")
    group.wait_for_clients("/publish-room?k=off", 1)
    leave(client)
    group.wait_for_clients("/publish-room?k=off", 0)
    assert not group.redis.keys(f"{PREFIX}*u:*")
    group.close()


def test_user_of_a_killed_worker_is_on_the_other_host(hosts):
    group = hosts(LOCATIONS)
    group[0].server.allow_errors("exited on signal 9|was locked by|left in")
    observer = group[1].join("/room?k=")
    for user in ("only", "both"):
        client = tab(group[0], user, "", 1)
        assert read_type(observer, "joined")["client"] == id_of(client)
    tab(group[1], "both", "")
    wait_for_registered(group, "", {"only": 1, "both": 2})
    dead = group[0].pids()[1]
    os.kill(dead, signal.SIGKILL)
    assert next_named(observer) == ("left", "only")
    wait_for_other_worker(group[0].server, dead, 2)
    wait_for_registered(group, "", {"both": 1})


def test_users_of_a_dead_host_have_left(hosts):
    group = hosts(LOCATIONS, workers=1)
    observer = group[1].join("/room?k=")
    for user in ("only", "both"):
        client = tab(group[0], user, "")
        assert read_type(observer, "joined")["client"] == id_of(client)
    tab(group[1], "both", "")
    wait_for_registered(group, "", {"only": 1, "both": 2})
    group[0].kill()
    wait_for_registered(group, "", {"both": 1}, LEASE + 7)
    assert next_named(observer) == ("left", "only")
    shard = f"{PREFIX}{{{shard_of('room:room')}}}"
    wait_until(lambda: group.redis.command("SCARD", f"{shard}hosts") == 1,
               seconds(5), "the end of the host")
    assert len(group.redis.keys(f"{shard}p:*")) == 1


def test_users_of_a_host_that_quits_have_left(hosts):
    group = hosts(LOCATIONS)
    observer = group[1].join("/room?k=")
    client = tab(group[0], "42", "")
    assert read_type(observer, "joined")["client"] == id_of(client)
    group[0].server.stop()
    wait_for_registered(group, "", {}, LEASE + 7)
    assert next_named(observer) == ("left", "42")


def test_host_that_stood_still_has_its_users_again(hosts):
    group = hosts(LOCATIONS, workers=1)
    group.allow_redis_errors()
    group[1].join("/room?k=")
    tab(group[0], "42", "")
    wait_for_registered(group, "", {"42": 1})
    with group[0].standing_still():
        wait_for_registered(group, "", {}, LEASE + 7)
    wait_for_registered(group, "", {"42": 1}, LEASE)


@pytest.mark.parametrize("way", ["flushall", "restart"])
def test_users_are_registered_again_where_redis_has_lost_them(hosts, way):
    group = hosts(LOCATIONS)
    group.allow_redis_errors()
    observer = group[1].join("/room?k=")
    first = tab(group[0], "42", "")
    assert read_type(observer, "joined")["client"] == id_of(first)
    second = tab(group[1], "42", "")
    wait_for_registered(group, "", {"42": 2})
    getattr(group.redis, way)()
    wait_for_registered(group, "", {"42": 2}, LEASE + 5)
    first.disconnect()
    wait_for_registered(group, "", {"42": 1}, LEASE)
    second.disconnect()
    seen = [read(observer, seconds(LEASE))]
    while seen[-1].get("user") is None or seen[-1]["type"] != "left":
        seen.append(read(observer, seconds(LEASE)))
    assert seen[-1]["user"] == "42"
    # Changes that were under way at the restart are repeated
    assert way == "restart" or "joined" not in [
        each["type"] for each in seen if "user" in each]


def test_changes_in_an_outage_are_registered_after_it(hosts):
    group = hosts(LOCATIONS, proxies=True)
    group.allow_redis_errors()
    observer = group[1].join("/room?k=")
    gone = tab(group[0], "gone", "")
    stays = tab(group[0], "stays", "")
    wait_for_registered(group, "", {"gone": 1, "stays": 1})
    group[0].proxy.cut()
    gone.disconnect()
    group[0].proxy.restore()
    wait_for_registered(group, "", {"stays": 1}, LEASE)
    seen = read(observer)
    while seen["type"] != "left":
        seen = read(observer)
    assert seen.get("user", "gone") == "gone"
    stays.disconnect()
