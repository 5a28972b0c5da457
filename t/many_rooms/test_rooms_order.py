"""Many rooms on several workers: each client gets the messages of each room in
order, none twice, and none is lost unless a gap says so."""

import os
import random
import signal

import pytest

from nginx_server import seconds, wait_until
from publish_client import Publisher
from random_rooms_client import RandomClient
from rooms_client import connect
from tuned_client import TIGHT_BUFFER, open_tuned
from worker_picking import REUSEPORT, wait_for_other_worker

ROOMS = [f"room.{number}" for number in range(8)]
LOCATIONS = """
location /rooms { websocket rooms; websocket_rooms room.* history=%s; }
location /small {
    websocket rooms;
    websocket_rooms room.* history=%s;
    websocket_send_queue 16k drop;
}
location /strict {
    websocket rooms;
    websocket_rooms room.* history=%s;
    websocket_send_queue 64k;
}
location /publish { websocket_publish room $arg_k; }
"""
HTTP = ("websocket_shared_memory 64m; websocket_room_memory 32m; "
        "keepalive_requests 100000;")
KINDS = [("/rooms", False), ("/rooms", True), ("/small", True),
         ("/small", True), ("/strict", True), ("/strict", True)]
ROUNDS = 150


def seed():
    chosen = int(os.environ.get("WEBSOCKET_SEED", random.randrange(2**32)))
    print(f"WEBSOCKET_SEED={chosen}")
    return chosen


def opener(source, servers, path, tight):
    def open_connection():
        server = source.choice(servers)
        options = {"client": open_tuned(server, kernel_buffer=TIGHT_BUFFER)
                   } if tight else {}
        return connect(server, path, **options)
    return open_connection


def publish(source, publishers, last):
    """Publishes to one room or several; notes their last ids."""
    for _ in range(source.choice([0, 1, 1, 5, 40])):
        room = source.choice(ROOMS)
        size = source.choice([1, 10, 1000, 6000])
        epoch, number = source.choice(publishers).post(
            "x" * size, path=f"/publish?k={room}")
        last[room] = f"{epoch}-{number}"


def play(servers, source, disturb=None, may_end=False):
    """Returns the clients at the end, which have all messages. `disturb` is
    called in the middle."""
    publishers = [Publisher(server) for server in servers for _ in range(4)]
    clients = [RandomClient(source, ROOMS,
                            opener(source, servers, path, tight), may_end)
               for path, tight in KINDS]
    last = {}
    for number in range(ROUNDS):
        if number == ROUNDS // 2 and disturb is not None:
            disturb()
            publishers = [Publisher(server) for server in servers]
        publish(source, publishers, last)
        one = source.choice(clients)
        for _ in range(source.randint(1, 3)):
            one.act()
        if source.random() < 0.5:
            source.choice(clients).catch_up()
    for one in clients:
        one.subscribe(ROOMS)
        one.catch_up()
    for room in ROOMS:  # the last one of each is known to the test
        epoch, number = publishers[0].post("end", path=f"/publish?k={room}")
        last[room] = f"{epoch}-{number}"
    for one in clients:
        def complete():
            one.catch_up()
            return all(one.rooms.get(room) == last[room] for room in ROOMS)
        wait_until(complete, seconds(20), "all messages")
    assert sum(one.received for one in clients) > ROUNDS
    assert sum(one.resumed for one in clients) > 0
    return clients


def configuration(history):
    return LOCATIONS % (history, history, history)


@pytest.mark.parametrize("history", [10000, 10])
def test_random_subscribers_miss_nothing(nginx, history):
    server = nginx(configuration(history), workers=3, http=HTTP, **REUSEPORT)
    clients = play([server], random.Random(seed()))
    if history == 10000:
        assert [one.gaps for one in clients] == [0] * len(clients)


@pytest.mark.parametrize("kind", ["reload", "kill"])
def test_random_subscribers_miss_nothing_when_workers_end(nginx, kind):
    server = nginx(configuration(10000), workers=3, http=HTTP, **REUSEPORT)
    server.allow_errors("exited on signal 9|was locked by")

    def kill():
        for dead in server.worker_pids()[:2]:
            os.kill(dead, signal.SIGKILL)
            wait_for_other_worker(server, dead, 3)
    clients = play([server], random.Random(seed()),
                   server.reload if kind == "reload" else kill, True)
    assert [one.gaps for one in clients] == [0] * len(clients)


@pytest.mark.parametrize("kind", ["calm", "reload", "kill"])
def test_random_subscribers_of_two_hosts_miss_nothing(hosts, redis, kind):
    group = hosts(configuration(10000), redis=redis, http=HTTP)
    first = group[0].server
    first.allow_errors("exited on signal 9|was locked by")

    def kill_leader():
        dead = group[0].wait_for_leader()
        os.kill(dead, signal.SIGKILL)
        wait_for_other_worker(first, dead, 2)
    disturb = {"calm": None, "reload": first.reload, "kill": kill_leader}
    clients = play([host.server for host in group], random.Random(seed()),
                   disturb[kind], kind != "calm")
    assert [one.gaps for one in clients] == [0] * len(clients)
