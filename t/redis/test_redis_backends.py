"""With Redis, the clients of `websocket http` of a host that dies get their
disconnect events from another host, once."""

import os
import re
import signal
import struct
import threading

import pytest

import wire
from hosts import PREFIX
from http_backend import Answer, Gate
from kept_clients import (TAKEN_AFTER, ends, expect_ends, join, kept,
                          unfinished, wait_until_kept)
from nginx_server import seconds, wait_until

LOCATIONS = """
location /app {{ websocket http room pass=@app; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
location /status {{ websocket_status; }}
"""
OTHER = """
location /other {{ websocket http room pass=@app; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""
OPTIONS = "connect_timeout=500ms command_timeout=3s"


@pytest.fixture
def start(backend, hosts):
    """Starts so many hosts whose events go to `backend`."""
    def start_them(count=2, **options):
        options = {"options": OPTIONS, "proxies": True, **options}
        return hosts(LOCATIONS.format(port=backend.port), count=count,
                     **options)
    return start_them


def test_clients_of_a_dead_host_have_disconnected(start, backend, redis):
    """Several hosts could send the events. They have the last state, and a
    number that no event before had."""
    group = start(3)
    backend.answer = lambda event: Answer(
        204, fields=(("WebSocket-State", f"after {event.sequence}"),)) \
        if event.kind == "message" else None
    clients = join(backend, group[0], 20)
    others = join(backend, group[1], 2)
    speaker, client = next(iter(clients.items()))
    for number in range(1, 51):
        client.text("x")
        assert backend.next("message").sequence == number
    client.expect_alive()
    wait_until_kept(redis, {**clients, **others})
    wait_until(lambda: any("after 50" in str(entry)
                           for key in redis.keys("*}a:*")
                           for entry in redis.command("HVALS", key)),
               seconds(5), "the last state is kept")
    group[0].kill()
    found = expect_ends(backend, clients)
    for end in found:
        spoke = end.client == speaker
        assert end.state == ("after 50" if spoke else None)
        assert end.sequence > (50 if spoke else 0)
        assert end.fields["WebSocket-URI"] == "/app"
    wait_until_kept(redis, others)
    for client in others.values():
        client.expect_alive()


def test_client_that_has_gone_is_forgotten(start, backend, redis):
    group = start(2)
    clients = join(backend, group[0], 3)
    wait_until_kept(redis, clients)
    number, client = clients.popitem()
    client.disconnect()
    assert backend.next("disconnect").client == number
    wait_until_kept(redis, clients)
    group[0].kill()
    expect_ends(backend, clients)


def test_refused_client_is_forgotten(start, backend, redis):
    group = start(2)
    backend.answer = lambda event: Answer(403)
    client = group[0].server.open()
    client.send(wire.upgrade_request("/app"))
    backend.next("connect")
    assert client.read_response().status == 403
    wait_until_kept(redis, ())


def test_client_that_goes_during_an_outage_is_forgotten(start, backend, redis):
    """Also if its worker dies before Redis is back."""
    group = start(2)
    group.allow_redis_errors()
    group[0].server.allow_errors("exited on signal 9")
    clients = join(backend, group[0], 6)
    wait_until_kept(redis, clients)
    group[0].proxy.cut()
    for client in clients.values():
        client.disconnect()
    assert {backend.next("disconnect").client for _ in clients} == set(clients)
    wait_until(lambda: unfinished(group[0]) == 0, seconds(5), "the answers")
    for pid in group[0].pids():
        os.kill(pid, signal.SIGKILL)
    group[0].proxy.restore()
    wait_until_kept(redis, ())
    group[0].kill()
    assert backend.events.empty()


def test_host_that_was_cut_off_gives_its_clients_up(start, backend, redis):
    """Another host has sent their events, so they are closed without one. New
    clients are kept."""
    group = start(2)
    group.allow_redis_errors()
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    group[0].proxy.cut()
    expect_ends(backend, clients)
    late = join(backend, group[0], 2)
    group[0].proxy.restore()
    for client in clients.values():
        client.expect_close(1012)
    wait_until_kept(redis, late)
    for client in late.values():
        client.expect_alive()
        client.disconnect()
    assert {end.client for end in ends(backend, 2)} == set(late)


def test_host_that_stood_still_gives_its_clients_up(start, backend, redis):
    """A new client comes at once when it continues, on a connection to Redis
    that is not broken."""
    group = start(2, proxies=False, options="command_timeout=1h")
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    with group[0].standing_still():
        expect_ends(backend, clients)
    late = join(backend, group[0], 2)
    for client in clients.values():
        client.expect_close(1012)
    wait_until_kept(redis, late)
    for client in late.values():
        client.expect_alive()
    assert backend.events.empty()


def test_clients_leave_while_their_host_stands_still(start, backend, redis):
    """Another host has sent their disconnects; nobody has sent that of the
    one that came last."""
    group = start(2, proxies=False, options="command_timeout=1h")
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    with group[0].standing_still():
        expect_ends(backend, clients)
        for client in clients.values():
            client.disconnect()
    (number, late), = join(backend, group[0], 1).items()
    late.disconnect()
    assert [end.client for end in ends(backend, 1)] == [number]
    wait_until_kept(redis, ())
    assert backend.events.empty()


def test_short_cut_changes_nothing(start, backend, redis):
    group = start(2)
    group.allow_redis_errors()
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    group[0].proxy.cut()
    late = join(backend, group[0], 2)
    group[0].proxy.restore()
    wait_until_kept(redis, {**clients, **late})
    for client in {**clients, **late}.values():
        client.expect_alive()
    assert backend.events.empty()


@pytest.mark.parametrize("comes", [False, True])
def test_clients_that_redis_has_lost_are_kept_again(start, backend, redis,
                                                    comes):
    """The host finds out when it renews its lease. A client that comes before
    that has begun a new one."""
    group = start(2)
    clients = join(backend, group[0], 4)
    wait_until_kept(redis, clients)
    redis.command("DEL", *redis.keys(f"{PREFIX}*}}a*"))
    if comes:
        clients |= join(backend, group[0], 1)
    wait_until_kept(redis, clients)
    for client in clients.values():
        client.expect_alive()
    group[0].kill()
    expect_ends(backend, clients)


def test_host_that_dies_before_it_has_sent_all(start, backend, redis):
    """A third one sends what was not answered."""
    group = start(3)
    gate = Gate()
    first = threading.Event()

    def answer(event):
        if event.kind == "disconnect" and not first.is_set():
            return gate.wait()
        return None

    backend.answer = answer
    clients = join(backend, group[0], 8)
    wait_until_kept(redis, clients)
    group[0].kill()
    early = [backend.next("disconnect", TAKEN_AFTER) for _ in clients]
    assert {end.client for end in early} == set(clients)
    uids = {key.rsplit(":")[-1] for key in map(str, redis.keys("*}a:*"))}
    assert len(uids) == 1
    first.set()
    port = early[0].peer[1]
    adopter = next(host for host in group[1:3]
                   if has_connection_from(host, port))
    adopter.kill()
    gate.open()
    again = expect_ends(backend, clients)
    assert {(end.client, end.sequence) for end in early} == \
        {(end.client, end.sequence) for end in again}
    wait_until_kept(redis, ())


def has_connection_from(host, port):
    """Whether a worker of the host has the local port."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            words = line.split()
            if int(words[1].rsplit(":")[1], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    for pid in host.pids():
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                return True
    return False


def test_only_hosts_with_the_location_send_events(start, backend, redis,
                                                  hosts):
    """The other one would look and leave them."""
    group = start(1)
    other = hosts(OTHER.format(port=backend.port), count=1, options=OPTIONS)
    clients = join(backend, group[0], 3)
    wait_until_kept(redis, clients)
    group[0].kill()
    leases = f"{PREFIX}*}}al:*"
    other[0].connect("/other")
    backend.next("connect")
    wait_until(lambda: len(redis.keys(leases)) == 1, seconds(TAKEN_AFTER),
               "the lease has ended")
    start(1)
    expect_ends(backend, clients)


def damaged(entry):
    """Entries that no host has written."""
    head, record = entry.split(b"\n", 1)
    yield b""
    yield b"2" + entry[1:]  # a later version
    yield b"1 2 3"
    yield head
    yield head + b"\n"
    yield head + b"\n" + record[:8]
    yield from (entry[:size] for size in range(len(head), len(entry) - 1, 7))
    yield entry.replace(b"\2\0", b"\x63\0")  # the family of the addresses
    yield head + b"\n" + record[:8] + b"\xff" * 40
    yield entry + b"\x80"


def test_damaged_entries_do_no_harm(start, backend, redis):
    """Some of those that are cut are still entries of a client."""
    group = start(2)
    group[1].server.allow_errors("websocket")
    clients = join(backend, group[0], 1)
    wait_until_kept(redis, clients)
    key, = redis.keys(f"{PREFIX}*}}a:*")
    number, = clients
    entry = redis.command("HGET", key, str(number))
    entry = entry.encode() if isinstance(entry, str) else entry
    head = entry.index(b"\n") + 1
    wrong = {}
    for other, each in enumerate(damaged(entry), number + 1000):
        if len(each) >= head + 8:
            each = each[:head] + struct.pack("<Q", other) + each[head + 8:]
        wrong[other] = each
        redis.command("HSET", key, str(other), each)
    redis.command("HSET", key, str(number + 1), entry)
    group[0].kill()
    workers = group[1].pids()
    ended = set()
    while number not in ended:
        ended.add(backend.next("disconnect", TAKEN_AFTER).client)
    assert ended <= {number, *wrong}
    assert number + 1 not in ended
    assert group[1].pids() == workers


def test_events_that_a_stopped_host_had_no_answer_to(start, backend, redis):
    """They are sent again."""
    group = start(2)
    gate = Gate()
    clients = join(backend, group[0], 3)
    wait_until_kept(redis, clients)
    first = threading.Event()
    backend.answer = lambda event: gate.wait() \
        if event.kind == "disconnect" and not first.is_set() else None
    os.kill(group[0].server.pid, signal.SIGTERM)
    early = [backend.next("disconnect") for _ in clients]
    group[0].server.process.wait(seconds(5))
    first.set()
    expect = {end.client for end in early}
    assert expect == set(clients)
    assert {end.client for end in ends(backend, 3)} == expect
    gate.open()
    wait_until_kept(redis, ())


def test_stopped_host_leaves_nothing(start, backend, redis):
    group = start(2)
    clients = join(backend, group[0], 5)
    wait_until_kept(redis, clients)
    group[0].server.stop(signal.SIGTERM)
    assert {end.client for end in ends(backend, 5)} == set(clients)
    assert kept(redis) == set()
    assert redis.keys(f"{PREFIX}*}}al:*") == []


def test_state_that_stays_is_not_written(start, backend, redis):
    """Each write has the whole record of the client."""
    group = start(1)
    backend.answer = lambda event: Answer(
        204, fields=(("WebSocket-State", "same"),))
    clients = join(backend, group[0], 1)
    wait_until_kept(redis, clients)
    client = next(iter(clients.values()))

    def writes():
        calls = redis.command("INFO", "commandstats")
        return int(re.search(r"cmdstat_hset:calls=(\d+)", calls)[1])

    client.text("x")
    client.expect_alive()
    before = writes()
    for _ in range(10):
        client.text("x")
        client.expect_alive()
    assert writes() == before
