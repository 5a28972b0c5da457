"""Presence if many clients join and leave at once: few events, and each client
knows exactly who is in the room."""

import contextlib

import pytest

import wire
import worker_probe
from many_clients import need_open_files
from room_client import (JSON, join, publish, read, read_data, read_type,
                         send_text)
from status_reader import report_of
from worker_picking import REUSEPORT, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k presence=on; }
location /silent { websocket room silent; }
location /status { websocket_status; }
"""
CLIENTS = 400


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def id_of(client):
    return client.welcome["client"]


@contextlib.contextmanager
def arriving(server, path, count, pids=None):
    """Clients whose handshakes wait in the sockets of stopped workers until the
    end of the block. Then all arrive at once."""
    clients = [server.open() for _ in range(count)]
    # The workers accept all connections before they are stopped
    for client in clients:
        client.send(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_response()
    with contextlib.ExitStack() as still:
        for pid in pids or server.worker_pids():
            still.enter_context(worker_probe.stopped(pid))
        for client in clients:
            client.send(wire.upgrade_request(path, protocol=JSON))
        yield clients
    for client in clients:
        client.response = client.read_response()
        assert client.response.status == 101


def read_welcome(client):
    client.welcome = read_type(client, "welcome")
    return client.welcome


def read_until(client, clients):
    """Reads presence events until there are so many clients."""
    seen = []
    while not seen or seen[-1]["clients"] != clients:
        seen.append(read(client))
        assert seen[-1]["type"] in ("joined", "left")
    return seen


def messages_out(server):
    return report_of(server)["total"]["messages_out"]


def test_many_clients_joining_at_once_cause_few_events(server):
    need_open_files(2 * CLIENTS)
    observer = join(server, "/room?k=many")
    before = messages_out(server)
    with arriving(server, "/room?k=many", CLIENTS) as pool:
        pass
    assert read_until(observer, CLIENTS + 1)[-1]["type"] == "joined"
    for client in pool:
        welcome = read_welcome(client)
        if welcome["clients"] != CLIENTS + 1:
            read_until(client, CLIENTS + 1)
    # Events with names would be CLIENTS / 2 for each client
    assert messages_out(server) - before < CLIENTS * CLIENTS / 8
    before = messages_out(server)
    with worker_probe.stopped(worker_probe.only_worker(server)):
        for client in pool[1:]:
            client.abort()
    read_until(observer, 2)
    read_until(pool[0], 2)
    assert messages_out(server) - before < CLIENTS * CLIENTS / 8
    late = join(server, "/room?k=many")
    assert late.welcome["clients"] == 3
    for client in (observer, pool[0]):
        assert read(client) == {"type": "joined", "client": id_of(late),
                                "clients": 3}


def events_of(client):
    """All events that a client has been sent."""
    client.text('{"ping":1}')
    seen = [read(client)]
    while seen[-1] != {"type": "pong"}:
        seen.append(read(client))
    return seen[:-1]


def check_views(clients, observers):
    """All clients join while the observers are connected. Each gets the names
    of later clients in one order, and maybe those of some that joined with
    it."""
    for client in clients:
        read_welcome(client)
    everybody = {id_of(client) for client in clients}
    orders = []
    for observer in observers:
        seen = [read_type(observer, "joined") for _ in clients]
        assert seen[-1]["clients"] == len(clients) + len(observers)
        orders.append([each["client"] for each in seen])
    order = orders[0]
    assert set(order) == everybody and orders == [order] * len(orders)
    for client in clients:
        others = [each for each in order if each != id_of(client)]
        seen = [each["client"] for each in events_of(client)]
        assert others[len(others) - len(seen):] == seen
        assert set(order[order.index(id_of(client)) + 1:]) <= set(seen)
        assert client.welcome["clients"] + len(seen) >= 1 + len(order)
    return order


def test_few_clients_joining_at_once_are_named(server):
    observer = join(server, "/room?k=few")
    with arriving(server, "/room?k=few", 20) as clients:
        pass
    order = check_views(clients, [observer])
    for client in clients:
        client.expect_alive()
    for client in clients[1:]:
        client.disconnect()
    seen = [read_type(clients[0], "left") for _ in clients[1:]]
    assert {each["client"] for each in seen} == set(order) - {
        id_of(clients[0])}
    assert seen[-1]["clients"] == 2


def test_few_clients_joining_two_workers_at_once_are_named(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    observers = []
    while len({worker_of(observer) for observer in observers}) < 2:
        observers.append(join(server, "/room?k=two"))
        for observer in observers[:-1]:
            read_type(observer, "joined")
    with arriving(server, "/room?k=two", 16) as clients:
        pass
    check_views(clients, observers)


def test_few_clients_joining_two_hosts_at_once_are_named(hosts):
    pair = hosts(LOCATIONS)
    observers = [host.join("/room?k=far") for host in pair]
    watching = {id_of(observer) for observer in observers}
    far = [pair[1].connect("/room?k=far", subprotocols=[JSON])
           for _ in range(10)]
    everybody = {read_welcome(client)["client"] for client in far}
    for observer in observers:
        # The event of the first observer may pass through Redis after the
        # second one's handshake
        seen = []
        while len(seen) < len(everybody):
            event = read(observer)
            if event["client"] not in watching:
                seen.append(event)
        assert {each["client"] for each in seen} == everybody
        assert seen[-1]["clients"] == 12
    for client in far:
        client.disconnect()
    for observer in observers:
        left = [read(observer) for _ in far]
        assert {each["client"] for each in left} == everybody
        assert {each["type"] for each in left} == {"left"}


def test_client_that_joins_and_leaves_at_once_causes_both_events(server):
    path = "/room?k=guest"
    observer = join(server, path)
    opener, guest = join(server, path), join(server, path)
    guest.disconnect()
    seen = [read(observer) for _ in range(3)]
    assert [(each["type"], each["client"]) for each in seen] == [
        ("joined", id_of(opener)), ("joined", id_of(guest)),
        ("left", id_of(guest))]
    assert seen[-1]["clients"] == 2
    assert [read(opener)["type"] for _ in range(2)] == ["joined", "left"]
    opener.expect_alive()


def test_client_gets_no_events_of_earlier_clients(server):
    """The join event of the last client is still pending when the next one
    joins."""
    path = "/room?k=before"
    observer = join(server, path)
    guests = [join(server, path) for _ in range(8)]
    last = join(server, path)
    assert last.welcome["clients"] == 10
    for guest in [*guests, last]:
        assert read(observer)["client"] == id_of(guest)
    last.expect_alive()
    next_one = join(server, path)
    assert read(last) == {"type": "joined", "client": id_of(next_one),
                          "clients": 11}


def test_join_event_precedes_the_clients_messages(server):
    path = "/room?k=words"
    observer = join(server, path)
    guests = [join(server, path) for _ in range(4)]
    send_text(guests[-1], "words")
    seen = [read(observer) for _ in range(5)]
    assert [each["client"] for each in seen[:4]] == list(map(id_of, guests))
    assert seen[4]["data"] == "words" and seen[4]["from"] == id_of(guests[-1])
    assert read_data(guests[-1]) == ["words"]
    publish(observer, "answer")


def test_message_between_two_events_is_not_delayed(server):
    path = "/room?k=between"
    observer = join(server, path)
    join(server, path)
    assert read_type(observer, "joined")["clients"] == 2
    late = join(server, path)
    send_text(observer, "at once")
    kinds = sorted(read(observer)["type"] for _ in range(2))
    assert kinds == ["joined", "message"]
    assert read_data(late) == ["at once"]
