"""Rooms with presence=on: who comes and goes, and how many there are."""

import os
import signal

import pytest

from room_client import join, publish, read, read_data, read_type, send_text
from worker_picking import REUSEPORT, wait_for_other_worker, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k presence=on; }
location /quiet { websocket room quiet$arg_k presence=on self=off; }
location /silent { websocket room silent$arg_k; }
location /kept { websocket room kept$arg_k presence=on history=100; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT)


def event(kind, client, clients):
    return {"type": kind, "client": client, "clients": clients}


def id_of(client):
    return client.welcome["client"]


def gather(server, path, count=4):
    """Connects at least `count` JSON clients, on two workers at least. Each
    has read the events of later clients."""
    clients = []
    while len(clients) < count or len({worker_of(one)
                                       for one in clients}) < 2:
        clients.append(join(server, path))
        assert clients[-1].welcome["clients"] == len(clients)
        for client in clients[:-1]:
            assert read(client) == event("joined", id_of(clients[-1]),
                                         len(clients))
    return clients


def leave(client):
    client.leave()
    client.disconnect()


def test_presence_events_reach_all_clients(server):
    clients = gather(server, "/room?k=all")
    for client in clients:
        client.expect_alive()
    while len(clients) > 1:
        gone = clients.pop(0)
        leave(gone)
        for client in clients:
            assert read(client) == event("left", id_of(gone), len(clients))
    clients[0].expect_alive()


def test_connection_that_is_lost_has_left(server):
    clients = gather(server, "/room?k=lost")
    gone = clients.pop()
    gone.abort()
    for client in clients:
        assert read(client) == event("left", id_of(gone), len(clients))


def test_raw_clients_are_counted_and_get_no_events(server):
    clients = gather(server, "/room?k=raw")
    raw = server.connect("/room?k=raw")
    for client in clients:
        found = read_type(client, "joined")
        assert found["clients"] == len(clients) + 1
        assert found["client"] not in map(id_of, clients)
    raw.text("words")
    raw.expect_text("words")
    for client in clients:
        assert read_type(client, "message")["from"] == found["client"]
    late = join(server, "/room?k=raw")
    for client in clients:
        assert read(client) == event("joined", id_of(late), len(clients) + 2)
    leave(late)
    for client in clients:
        assert read(client) == event("left", id_of(late), len(clients) + 1)
    raw.expect_alive()
    leave(raw)
    for client in clients:
        assert read(client) == event("left", found["client"], len(clients))


def test_presence_texts_of_clients_are_plain_messages(server):
    clients = gather(server, "/room?k=words")
    for word in ("joined", "left"):
        send_text(clients[0], word)
        for client in clients:
            assert read_data(client) == [word]


def test_presence_is_off_by_default(server):
    first = join(server, "/silent")
    second = join(server, "/silent")
    assert second.welcome["clients"] == 2
    leave(second)
    first.expect_alive()


def test_presence_takes_no_ids_and_is_not_kept(server):
    path = "/kept?k=ids"
    first = join(server, path)
    one = publish(first, "one")
    late = join(server, path)
    assert late.welcome["last"] == one["id"]
    read_type(first, "joined")
    leave(late)
    read_type(first, "left")
    two = publish(first, "two")
    epoch, number = one["id"].split("-")
    assert two["id"] == f"{epoch}-{int(number) + 1}"
    back = join(server, f"{path}&since=0")
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["one", "two"]
    assert read(first) == event("joined", id_of(back), 2)
    back.expect_alive()


def test_self_off_hides_no_presence_event(server):
    clients = gather(server, "/quiet")
    send_text(clients[0], "x", ref=1)
    assert read(clients[0])["type"] == "published"
    for client in clients[1:]:
        assert read_data(client) == ["x"]


def test_presence_events_keep_the_order_of_messages(server):
    clients = gather(server, "/room?k=order", 3)
    for number in range(30):
        send_text(clients[0], f"before {number}")
        seen = [read(clients[0])]
        guest = join(server, "/room?k=order")
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
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    server.allow_errors("exited on signal 9")
    clients = gather(server, "/room?k=1", 6)
    dead = worker_of(clients[0])
    staying = [one for one in clients if worker_of(one) != dead]
    os.kill(dead, signal.SIGKILL)
    for client in staying:
        assert read(client) == event("left", None, len(staying))
    wait_for_other_worker(server, dead, 2)
    late = join(server, "/room?k=1")
    assert late.welcome["clients"] == len(staying) + 1
    for client in staying:
        assert read(client) == event("joined", id_of(late), len(staying) + 1)
    publish(late, "on it goes")
    for client in staying:
        assert read_data(client) == ["on it goes"]
    for client in clients:
        client.disconnect()


def test_clients_move_to_new_workers(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    clients = gather(server, "/kept?k=1")
    last = publish(clients[0], "old")["id"]
    for client in clients[1:]:
        read_data(client)
    server.reload()
    back = join(server, f"/kept?k=1&since={last}")
    assert back.welcome["recovered"] is True
    for client in clients:
        while client.read_frame().close_code != 1001:
            pass
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    gone = {read_type(back, "left")["client"] for _ in clients}
    assert gone == set(map(id_of, clients))
    assert join(server, "/kept?k=1").welcome["clients"] == 2
