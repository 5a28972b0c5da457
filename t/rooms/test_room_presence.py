"""Rooms with presence=on: clients that join and leave, and their number.

The fixture `group` is one host, then two with a Redis.
"""

import itertools
import os
import signal

import pytest

from hosts import Hosts, one_host
from room_client import publish, read, read_data, read_type, send_text
from worker_picking import wait_for_other_worker, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k presence=on; }
location /quiet { websocket room quiet$arg_k presence=on self=off; }
location /silent { websocket room silent$arg_k; }
location /kept { websocket room kept$arg_k presence=on history=100; }
location /publish-room { websocket_publish room room$arg_k; }
location /publish-quiet { websocket_publish room quiet$arg_k; }
location /publish-silent { websocket_publish room silent$arg_k; }
location /publish-kept { websocket_publish room kept$arg_k; }
"""

with_and_without_history = pytest.mark.parametrize("room", ["/room", "/kept"])


@pytest.fixture(scope="module")
def group(module_group):
    """One or two hosts with two workers each."""
    return module_group(LOCATIONS)


def event(kind, client, clients):
    return {"type": kind, "client": client, "clients": clients}


def id_of(client):
    return client.welcome["client"]


def gather(group, path, count=4):
    """Connects `count` JSON clients: one to worker 0 of each host, then one to
    worker 1 of each, and so on. Each has read the events of later clients."""
    clients = []
    slots = itertools.cycle(itertools.product((0, 1), group))
    for number, (worker, host) in zip(range(1, count + 1), slots):
        new = host.join(path, worker)
        for client in clients:
            assert read(client) == event("joined", id_of(new), number)
        assert new.welcome["clients"] == number
        clients.append(new)
        if len(group) > 1:
            group.wait_for_clients(path.replace("/", "/publish-", 1), number)
    return clients


def leave(client):
    client.leave()
    client.disconnect()


@with_and_without_history
def test_presence_events_reach_all_clients(group, room):
    clients = gather(group, f"{room}?k=all")
    for client in clients:
        client.expect_alive()
    while len(clients) > 1:
        gone = clients.pop(0)
        leave(gone)
        for client in clients:
            assert read(client) == event("left", id_of(gone), len(clients))
    clients[0].expect_alive()


@with_and_without_history
def test_connection_that_is_lost_has_left(group, room):
    clients = gather(group, f"{room}?k=lost")
    gone = clients.pop()
    gone.abort()
    for client in clients:
        assert read(client) == event("left", id_of(gone), len(clients))


@with_and_without_history
def test_raw_clients_are_counted_and_get_no_events(group, room):
    path = f"{room}?k=raw"
    clients = gather(group, path)
    raw = group[-1].connect(path)
    found = read_type(clients[0], "joined")
    assert found["clients"] == len(clients) + 1
    assert found["client"] not in map(id_of, clients)
    for client in clients[1:]:
        assert read(client) == found
    raw.text("words")
    raw.expect_text("words")
    for client in clients:
        assert read_type(client, "message")["from"] == found["client"]
    late = group[0].join(path)
    for client in clients:
        assert read(client) == event("joined", id_of(late), len(clients) + 2)
    leave(late)
    for client in clients:
        assert read(client) == event("left", id_of(late), len(clients) + 1)
    raw.expect_alive()
    leave(raw)
    for client in clients:
        assert read(client) == event("left", found["client"], len(clients))


def test_presence_texts_of_clients_are_plain_messages(group):
    clients = gather(group, "/room?k=words")
    for word in ("joined", "left"):
        send_text(clients[0], word)
        for client in clients:
            assert read_data(client) == [word]


def test_presence_is_off_by_default(group):
    first = group[0].join("/silent", 0)
    group.wait_for_clients("/publish-silent", 1)
    second = group[-1].join("/silent", 1)
    assert second.welcome["clients"] == 2
    leave(second)
    group.wait_for_clients("/publish-silent", 1)
    first.expect_alive()


def test_presence_takes_no_ids_and_is_not_kept(group):
    path = "/kept?k=ids"
    first, other = gather(group, path, 2)
    one = publish(first, "one")
    assert read(other) == one
    late = group[-1].join(path)
    assert late.welcome["last"] == one["id"]
    for client in (first, other):
        assert read(client) == event("joined", id_of(late), 3)
    leave(late)
    for client in (first, other):
        assert read(client) == event("left", id_of(late), 2)
    two = publish(first, "two")
    assert read(other) == two
    epoch, number = one["id"].split("-")
    assert two["id"] == f"{epoch}-{int(number) + 1}"
    back = group[-1].join(f"{path}&since=0")
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["one", "two"]
    for client in (first, other):
        assert read(client) == event("joined", id_of(back), 3)
    back.expect_alive()


def test_self_off_hides_no_presence_event(group):
    clients = gather(group, "/quiet")
    send_text(clients[0], "x", ref=1)
    assert read(clients[0])["type"] == "published"
    for client in clients[1:]:
        assert read_data(client) == ["x"]


@one_host
def test_presence_events_keep_the_order_of_messages(group):
    clients = gather(group, "/room?k=order", 3)
    for number in range(30):
        send_text(clients[0], f"before {number}")
        seen = [read(clients[0])]
        guest = group[0].join("/room?k=order")
        send_text(guest, f"words {number}")
        while seen[-1].get("data") != f"words {number}":
            seen.append(read(clients[0]))
        for client in clients[1:]:
            assert [read(client) for _ in seen] == seen
        assert sorted(each["type"] for each in seen) == [
            "joined", "message", "message"]
        assert seen[-1]["type"] == "message"
        guest.disconnect()
        for client in clients:
            assert read(client) == event("left", id_of(guest), len(clients))


def test_clients_of_a_killed_worker_have_left(nginx):
    group = Hosts(nginx, None, LOCATIONS, 1)
    server = group[0].server
    server.allow_errors("exited on signal 9")
    clients = gather(group, "/room?k=1", 6)
    dead = worker_of(clients[0])
    staying = [one for one in clients if worker_of(one) != dead]
    os.kill(dead, signal.SIGKILL)
    for client in staying:
        assert read(client) == event("left", None, len(staying))
    wait_for_other_worker(server, dead, 2)
    late = group[0].join("/room?k=1")
    assert late.welcome["clients"] == len(staying) + 1
    for client in staying:
        assert read(client) == event("joined", id_of(late), len(staying) + 1)
    publish(late, "on it goes")
    for client in staying:
        assert read_data(client) == ["on it goes"]
    for client in clients:
        client.disconnect()


def test_clients_move_to_new_workers(nginx):
    group = Hosts(nginx, None, LOCATIONS, 1)
    clients = gather(group, "/kept?k=1")
    last = publish(clients[0], "old")["id"]
    for client in clients[1:]:
        read_data(client)
    group[0].server.reload()
    back = group[0].join(f"/kept?k=1&since={last}")
    assert back.welcome["recovered"] is True
    for client in clients:
        while client.read_frame().close_code != 1001:
            pass
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    gone = {read_type(back, "left")["client"] for _ in clients}
    assert gone == set(map(id_of, clients))
    assert group[0].join("/kept?k=1").welcome["clients"] == 2
