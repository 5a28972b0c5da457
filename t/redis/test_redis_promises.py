"""Promises of many hosts: a close reaches all clients, databases are separate,
and nothing in Redis grows with visits or rooms."""

import contextlib
import os
import signal
import time

import pytest

from nginx_server import seconds, wait_until
from room_client import read_data
from worker_probe import stopped

LOCATIONS = """
location /room { websocket room $arg_k; }
location /kept { websocket room $arg_k$arg_kept history=1000; }
location /publish { websocket_publish room $arg_k; }
"""


@pytest.fixture(scope="module")
def pair(module_hosts):
    return module_hosts(LOCATIONS, workers=1)


def delete(host, room):
    publisher = host.publisher(f"/publish?k={room}")
    try:
        return publisher.ask("DELETE", path=f"/publish?k={room}&code=4001")
    finally:
        publisher.client.disconnect()


# Closes

@pytest.mark.parametrize("delay", [0, 0.03, 0.06, 0.1])
def test_delete_while_a_host_subscribes_anew_closes_all(hosts, delay):
    """Each time the host waits longer before it connects again."""
    group = hosts(LOCATIONS, workers=1)
    group.allow_redis_errors()
    for number in range(4):
        client = group[1].connect(f"/room?k={number}")
        group.wait_for_clients(f"/publish?k={number}", 1)
        for each in group.redis.subscribers():
            group.redis.client_kill(each)
        time.sleep(delay)
        assert delete(group[0], number).status == 200
        client.expect_close(4001)
        client.disconnect()


@pytest.fixture
def three(hosts):
    """Two hosts with three workers each."""
    group = hosts(LOCATIONS, workers=3)
    group.allow_redis_errors()
    group[0].server.allow_errors("exited on signal 9|was locked by")
    return group


def followers(host):
    """The pid of the leader, and the indexes of the other workers."""
    leader = host.wait_for_leader()
    return leader, [index for index, pid in enumerate(host.pids())
                    if pid != leader]


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_delete_while_the_leader_changes_closes_all(three, end):
    near, far = three
    leader, others = followers(near)
    clients = [near.connect("/room?k=closed", index) for index in others]
    three.wait_for_clients("/publish?k=closed", 2)
    with stopped(leader) if end == "stopped" else contextlib.nullcontext():
        if end == "killed":
            os.kill(leader, signal.SIGKILL)
        assert delete(far, "closed").status == 200
        for client in clients:
            client.expect_close(4001, timeout=seconds(4))
            client.disconnect()


def test_message_reaches_all_while_the_leader_stands_still(three):
    leader, others = followers(three[0])
    clients = [three[0].join("/room?k=still", index) for index in others]
    far = three[1].join("/room?k=still")
    with stopped(leader):
        clients[0].text('{"data":"x"}')
        for client in (*clients, far):
            assert read_data(client, timeout=seconds(4)) == ["x"]
    for client in (*clients, far):
        client.expect_alive()


# Databases

def test_databases_of_a_server_share_nothing(hosts, redis):
    first, second = (hosts(LOCATIONS, 1, workers=1, url=f"{redis.url()}/{db}")
                     for db in (0, 1))
    inside, outside = (group[0].join("/kept?k=same")
                       for group in (first, second))
    for number in range(20):
        first[0].post("/publish?k=same", f"{number}")
    assert read_data(inside, 20) == [f"{number}" for number in range(20)]
    assert delete(first[0], "same").status == 200
    inside.expect_close(4001)
    assert second[0].get_state("/publish?k=same")[:2] == (1, 0)
    second[0].post("/publish?k=same", "second")
    assert read_data(outside) == ["second"]


# Keys that remain

def test_visits_of_empty_rooms_leave_no_keys(pair):
    """A log of each shard and the leases remain, whatever the rooms."""
    names = [f"visited{number}" for number in range(200)]
    for name in names:
        pair[0].connect(f"/kept?k={name}").disconnect()
    wait_until(lambda: not pair.redis.keys("*visited*"), seconds(10),
               "no keys of the rooms")
    assert len(pair.redis.keys()) < 16 * 6


def test_room_without_history_keeps_few_messages_in_redis(hosts):
    group = hosts("location /room { websocket room large; }", 1, workers=1)
    client = group[0].connect("/room")
    before = int(group.redis.info("memory")["used_memory"])
    for number in range(140):
        text = f"{number}".rjust(1_000_000, ".")
        client.text(text)
        client.expect_text(text)
    used = int(group.redis.info("memory")["used_memory"]) - before
    assert used < 20_000_000


def test_post_through_a_host_without_the_room_keeps_its_history(hosts, redis):
    """That host knows nothing of a history of 1000 messages."""
    group = hosts(LOCATIONS, 1, workers=1)
    ignorant = hosts("location /publish { websocket_publish room $arg_k; }", 1,
                     workers=1)
    member = group[0].join("/kept?k=long")
    for number in range(900):
        member.text(f'{{"data":"{number}"}}')
    wait_until(lambda: group[0].get_state("/publish?k=long")[1] == 900,
               seconds(10), "900 messages")
    ignorant[0].post("/publish?k=long", "last")
    assert group[0].get_state("/publish?k=long")[1] == 901
    late = group[0].join("/kept?k=long&since=0")
    assert late.welcome["recovered"]
    assert read_data(late, 901) == [*map(str, range(900)), "last"]


# At rest

def calls(redis):
    """The numbers of all commands and of scripts so far."""
    counts = {name: int(text.partition("calls=")[2].partition(",")[0])
              for name, text in redis.info("commandstats").items()}
    return sum(counts.values()), counts["cmdstat_evalsha"]


def wait_for_rest(redis):
    """Waits until hosts only renew their leases, which takes two seconds;
    returns the number of commands for each script."""
    def ratio():
        before = calls(redis)
        time.sleep(2)
        commands, scripts = (after - one for after, one
                             in zip(calls(redis), before))
        return 0 < scripts <= 40 and commands / scripts
    return wait_until(ratio, seconds(20), "at most 40 scripts")


def test_commands_at_rest_do_not_grow_with_rooms(hosts):
    group = hosts(LOCATIONS, workers=1)

    def connect(first, last):
        clients = [host.connect(f"/room?k={number}") for host in group
                   for number in range(first, last)]
        group.wait_for_clients(f"/publish?k={last - 1}", 2)
        return clients

    few = connect(0, 50)
    before = wait_for_rest(group.redis)
    many = connect(50, 400)
    assert wait_for_rest(group.redis) < 1.2 * before
    for client in (*few, *many):
        client.disconnect()
