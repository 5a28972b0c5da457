"""One worker of a host, the leader, subscribes to the rooms with clients.
Another worker replaces it without loss."""

import json
import os
import signal
import threading
import time

import pytest

import wire
from hosts import Host, channel_of
from nginx_server import seconds, wait_until
from resuming_room_clients import ResumingClients
from room_client import publish, read, send_text
from sequence_publisher import SequencePublisher, read_until
from socket_table import connections_of
from worker_picking import wait_for_other_worker, worker_of
from worker_probe import stopped

LOCATIONS = """
location /room { websocket room room$arg_k history=100000; }
location /publish { websocket_publish room room$arg_k; }
"""
HTTP = "keepalive_requests 1000000;"


@pytest.fixture(scope="module")
def pair(module_hosts):
    """Two hosts with two workers each, which may lose connections to Redis."""
    group = module_hosts(LOCATIONS, http=HTTP)
    group.allow_redis_errors()
    return group


@pytest.fixture
def two(hosts):
    """Two such hosts for one test, whose workers may be killed."""
    group = hosts(LOCATIONS, http=HTTP)
    group[0].server.allow_errors("exited on signal 9|was locked by")
    group.allow_redis_errors()
    return group


def listeners(group, name):
    """The number of connections that have subscribed to a room's shard."""
    channel = channel_of(f"room:room{name}")
    return group.redis.subscriptions(channel).get(channel, 0)


def wait_for_listeners(group, name, count):
    wait_until(lambda: listeners(group, name) == count, seconds(10),
               f"{count} subscriptions")


def numbers(client, last):
    """The numbers that a JSON client gets up to `last`, without other
    objects."""
    def data():
        found = read(client)
        assert found["type"] == "message", found
        return found["data"]
    return read_until(data, last)


def survivors(pid, clients):
    """The clients of other workers than this one."""
    return [one for one in clients if worker_of(one) != pid]


# Subscriptions

def test_a_host_listens_once_and_only_while_it_has_clients(pair):
    assert listeners(pair, "1") == 0
    near = [pair[0].join("/room?k=1", worker) for worker in (0, 1)]
    assert listeners(pair, "1") == 1, "one worker subscribes before the 101"
    far = [pair[1].join("/room?k=1", worker) for worker in (0, 1)]
    assert listeners(pair, "1") == 2
    for client in [near[0], *far]:
        client.leave()
    wait_for_listeners(pair, "1", 1)
    near[1].abort()
    wait_for_listeners(pair, "1", 0)


def test_room_without_clients_has_no_subscription(pair):
    pair[0].post("/publish?k=empty", "x")
    assert pair[1].get_state("/publish?k=empty")[0] == 0
    assert listeners(pair, "empty") == 0


def test_many_rooms(pair):
    clients = [pair[0].connect(f"/room?k=many{number}")
               for number in range(100)]
    assert list(pair.redis.subscriptions("ws:*n:0").values()) == [1] * 16
    for client in clients:
        client.disconnect()
    wait_until(lambda: not pair.redis.subscriptions("ws:*n:0"), seconds(10),
               "the end of subscriptions")


def test_room_that_empties_and_refills_at_once_stays_subscribed(pair):
    """The subscription and its end are on their way to Redis at the same
    time."""
    other = pair[1].join("/room?k=cross")
    for number in range(50):
        client = pair[0].join("/room?k=cross")
        message = publish(other, f"{number}")
        assert read(client) == message
        client.disconnect()


def test_each_host_has_one_leader_and_a_connection_per_worker(pair):
    for host in pair:
        host.join("/room?k=leader")
    leaders = [host.wait_for_leader() for host in pair]
    assert leaders[0] in pair[0].pids() and leaders[1] in pair[1].pids()
    assert len(pair.redis.subscribers()) == 2
    for host in pair:
        host.join("/room?k=leader", 0)
        host.join("/room?k=leader", 1)
        for pid in host.pids():
            assert 1 <= len(connections_of(pid, pair.redis.port)) <= 3


def test_single_process(hosts):
    group = hosts(LOCATIONS, master=False, workers=1)
    near, far = group[0].join("/room"), group[1].join("/room")
    assert publish(near, "x") == read(far)
    assert group[0].leader() == group[0].server.pid


# The end of the leader

@pytest.mark.parametrize("which", ["leader", "other"])
def test_clients_of_surviving_workers_miss_nothing(two, which):
    clients = [two[0].join("/room?k=1", worker) for worker in (0, 1) * 2]
    raw = [two[0].connect("/room?k=1", worker) for worker in (0, 1)]
    far = two[1].join("/room?k=1")
    leader = two[0].wait_for_leader()
    dead = leader if which == "leader" else next(
        pid for pid in two[0].pids() if pid != leader)
    with SequencePublisher(two[1], "/publish?k=1") as stream:
        stream.wait_for(100)
        os.kill(dead, signal.SIGKILL)
        wait_for_other_worker(two[0].server, dead, 2)
        stream.wait_for(200)
        last = stream.stop()
    expected = list(range(1, last + 1))
    assert numbers(far, last) == expected
    for client in survivors(dead, clients):
        assert numbers(client, last) == expected
    for client in survivors(dead, raw):
        assert read_until(client_text(client), last) == expected
    assert not stream.refused and not stream.unknown
    new = two[0].wait_for_leader()
    assert new != dead
    assert which == "leader" or new == leader
    wait_for_listeners(two, "1", 2)


def client_text(client):
    return lambda: client.read_frame().payload.decode()


def test_leader_after_leader_is_killed(hosts):
    """The clients of surviving workers get the messages of several leaders."""
    group = hosts(LOCATIONS, workers=4, http=HTTP)
    host = group[0]
    host.server.allow_errors("exited on signal 9|was locked by")
    clients = [host.join("/room", worker) for worker in range(4)]
    with SequencePublisher(group[1], "/publish") as stream:
        for _ in range(3):
            dead = host.wait_for_leader()
            stream.wait_for(20)
            os.kill(dead, signal.SIGKILL)
            clients = survivors(dead, clients)
            wait_for_other_worker(host.server, dead, 4)
            stream.wait_for(20)
        last = stream.stop()
    assert len(clients) > 0
    for client in clients:
        assert numbers(client, last) == list(range(1, last + 1))


def test_killed_leader_does_not_affect_publishers(two):
    """A message of a surviving worker arrives on all hosts once."""
    near = [two[0].join("/room?k=survivors", worker) for worker in (0, 1)]
    far = two[1].join("/room?k=survivors")
    leader = two[0].wait_for_leader()
    [speaker] = survivors(leader, near)
    for number in range(1, 101):
        send_text(speaker, f"{number}")
        if number == 50:
            os.kill(leader, signal.SIGKILL)
    expected = list(range(1, 101))
    assert numbers(far, 100) == expected
    assert numbers(speaker, 100) == expected
    wait_for_other_worker(two[0].server, leader, 2)


def test_stopped_leader_delays_only_its_host_and_loses_nothing(pair):
    clients = [pair[0].join("/room?k=still", worker) for worker in (0, 1)]
    leader = pair[0].wait_for_leader()
    far = pair[1].join("/room?k=still")
    with stopped(leader):
        for number in range(1, 501):
            send_text(far, f"{number}")
        assert numbers(far, 500) == list(range(1, 501))
    for client in clients:
        assert numbers(client, 500) == list(range(1, 501))


def test_stalled_leader_is_replaced(pair):
    """The clients of healthy workers do not wait for it. When it continues, it
    adds nothing twice and leads no more."""
    clients = [pair[0].join("/room?k=stall", worker) for worker in (0, 1)]
    leader = pair[0].wait_for_leader()
    far = pair[1].join("/room?k=stall")
    [healthy] = survivors(leader, clients)
    with stopped(leader):
        stalled_at = time.monotonic()
        send_text(far, "1")
        assert numbers(healthy, 1) == [1]
        assert time.monotonic() - stalled_at < seconds(2.5)
        for number in range(2, 101):
            send_text(healthy, f"{number}")
        assert numbers(healthy, 100) == list(range(2, 101))
    new = worker_of(healthy)
    for client in [*survivors(new, clients), far]:
        assert numbers(client, 100) == list(range(1, 101))
    send_text(far, "101")
    for client in [*clients, far]:
        assert numbers(client, 101) == [101]
    wait_until(lambda: len(pair.redis.subscribers()) == 2, seconds(5),
               "the end of the earlier leader's subscription")
    assert pair[0].leader() == new


def test_leader_that_reads_too_slowly_for_redis(two):
    """Redis ends the leader's connection. The stream has the missed
    messages."""
    clients = [two[0].join("/room?k=slow", worker) for worker in (0, 1)]
    far = two[1].join("/room?k=slow")
    two.redis.config_set("client-output-buffer-limit",
                         "pubsub 100000 100000 1")
    last = 0
    with stopped(two[0].wait_for_leader()):
        while len(two.redis.subscribers()) == 2:
            last += 1
            assert last < 400, "Redis did not end the connection after 20 MB"
            send_text(far, f"{last}".ljust(50000))
            assert read(far)["data"].strip() == f"{last}"
    for client in clients:
        assert numbers(client, last) == list(range(1, last + 1))


# Reload and quit

def test_clients_that_move_at_a_reload_miss_nothing(hosts):
    group = hosts(LOCATIONS, http=HTTP + "websocket_drain 500ms 1012;")
    server = group[0].server
    far = group[1].join("/room")
    with SequencePublisher(group[1], "/publish") as stream, \
            ResumingClients(server, 10, "/room?x=1") as pool:
        pool.watch(lambda: all(client.sequences for client in pool.clients),
                   10, lambda: "the first message")
        for _ in range(3):
            old = server.worker_pids()
            reload = threading.Thread(target=server.reload)
            reload.start()
            pool.watch(lambda old=old: not set(old)
                       & set(server.worker_pids()), 15,
                       lambda: "the end of the old workers")
            reload.join()
        assert group[0].wait_for_leader() in server.worker_pids()
        last = stream.stop()
        pool.watch(lambda: all(client.sequences[-1] >= last
                               for client in pool.clients), 10,
                   lambda: [client.sequences[-1] for client in pool.clients])
        for client in pool.clients:
            assert client.sequences == list(range(1, last + 1))
            assert client.gaps == client.broken == 0
            assert set(client.codes) == {1012} and len(client.codes) >= 3
    assert numbers(far, last) == list(range(1, last + 1))
    assert not stream.refused and not stream.unknown


def test_clients_of_old_workers_receive_after_a_reload(hosts):
    """The old workers still serve them, and one of the new workers leads."""
    group = hosts(LOCATIONS, http=HTTP + "websocket_drain 30s;")
    server = group[0].server
    staying = [group[0].join("/room", worker) for worker in (0, 1) * 3]
    old = server.reload()
    wait_until(lambda: group[0].leader() not in [None, *old], seconds(5),
               "a new leader")
    new = group[0].join("/room")
    far = group[1].join("/room")
    message = publish(far, "x")
    assert read(new) == message
    results = [next_or_close(client) for client in staying]
    assert message in results
    assert all(each in (message, 1001) for each in results)
    for client in staying:
        client.disconnect()
    server.wait_for_workers_gone(old)
    assert publish(new, "y") == read(far)


def next_or_close(client):
    """The next object, or the code of a Close frame."""
    frame = client.read_frame()
    return (frame.close_code if frame.opcode == wire.CLOSE
            else json.loads(frame.payload))


def test_host_that_quits_removes_its_keys_and_subscriptions(two):
    near = [two[0].join("/room?k=quit", worker) for worker in (0, 1)]
    far = two[1].join("/room?k=quit")
    two.wait_for_clients("/publish?k=quit", 3)
    two[0].server.send_signal(signal.SIGQUIT)
    for client in near:
        client.expect_failure(1001)
        client.disconnect()
    two[0].server.wait_for_exit()
    wait_for_listeners(two, "quit", 1)
    two[1].wait_for_clients("/publish?k=quit", 1)
    publish(far, "alone")
    assert len(two.redis.subscribers()) == 1


# Connections that Redis ends

def test_subscription_that_is_lost_misses_nothing(pair):
    clients = pair.on_each_worker(Host.join, "/room?k=lost")
    with SequencePublisher(pair[1], "/publish?k=lost") as stream:
        for _ in range(5):
            stream.wait_for(20)
            wait_until(lambda: listeners(pair, "lost") == 2, seconds(5),
                       "subscriptions")
            for connection in pair.redis.subscribers():
                pair.redis.client_kill(connection)
        stream.wait_for(20)
        last = stream.stop()
    for client in clients:
        assert numbers(client, last) == list(range(1, last + 1))
    assert not stream.refused and not stream.unknown


def test_publishing_connection_that_is_lost_loses_and_doubles_nothing(pair):
    clients = pair.on_each_worker(Host.join, "/room?k=cut")
    with SequencePublisher(pair[0], "/publish?k=cut") as stream:
        for _ in range(5):
            stream.wait_for(20)
            pair.redis.client_kill()
        stream.wait_for(20)
        last = stream.stop()
    for client in clients:
        assert numbers(client, last) == list(range(1, last + 1))
    assert not stream.refused and not stream.unknown
