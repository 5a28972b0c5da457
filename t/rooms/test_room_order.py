"""Rooms on all workers: one order, one set of ids, and self=off.

The fixture `group` is one host, then two with a Redis.
"""

import json
import threading

import pytest

import wire
from hosts import Host, consecutive
from nginx_server import seconds
from room_client import read, read_data, read_type, send_text, sequence

LOCATIONS = """
location /room { websocket room room$arg_k; }
location /kept { websocket room kept$arg_k history=100; }
location /quiet { websocket room quiet$arg_k self=off; }
"""


@pytest.fixture(scope="module")
def group(module_group):
    """One or two hosts with two workers each."""
    return module_group(LOCATIONS)


@pytest.mark.parametrize("path", ["/room?k=order", "/kept?k=order"])
def test_order_is_the_same_for_all(group, path):
    rounds = 200 if len(group) == 1 else 50
    clients = [client for _ in (1, 2)
               for client in group.on_each_worker(Host.join, path)]
    raws = group.on_each_worker(Host.connect, path)

    def talk(client, name):
        for number in range(rounds):
            text = f"{name} {number}"
            client.send(wire.text(json.dumps({"data": text})
                                  if client in clients else text),
                        duplex=False)

    threads = [threading.Thread(target=talk, args=(client, index))
               for index, client in enumerate(clients + raws)]
    for thread in threads:
        thread.start()
    total = rounds * len(threads)
    received = [[read_type(client, "message", seconds(20))
                 for _ in range(total)] for client in clients]
    plain = [[raw.read_frame(seconds(20)).payload.decode()
              for _ in range(total)] for raw in raws]
    for thread in threads:
        thread.join()
    assert all(each == received[0] for each in received)
    texts = [message["data"] for message in received[0]]
    assert all(each == texts for each in plain)
    ids = [tuple(map(int, message["id"].split("-")))
           for message in received[0]]
    assert consecutive(ids) and ids[0][1] == 1
    for index in range(len(threads)):
        own = [text for text in texts if text.startswith(f"{index} ")]
        assert own == [f"{index} {number}" for number in range(rounds)]
    for client in clients + raws:
        client.expect_alive()


def test_publisher_and_receivers_get_the_same_id(group):
    speakers = group.on_each_worker(Host.join, "/kept?k=fields")
    for number, speaker in enumerate(speakers):
        send_text(speaker, f"{number}", ref=number)
        replies = [read(speaker), read(speaker)]
        answer, message = sorted(replies, key=lambda one: one["type"],
                                 reverse=True)
        assert answer == {"type": "published", "ref": number,
                          "id": message["id"]}
        assert sequence(message["id"]) == number + 1
        for other in speakers:
            if other is not speaker:
                assert read(other) == message
    assert message["from"] == speakers[-1].welcome["client"]


def test_clients_of_all_workers_have_ids_of_their_own(group):
    clients = [client for _ in (1, 2)
               for client in group.on_each_worker(Host.join, "/kept?k=names")]
    assert len({client.welcome["client"] for client in clients}) == \
        4 * len(group)


def test_self_off_spares_a_raw_sender_alone(group):
    path = "/quiet?k=raw"
    clients = [*group.on_each_worker(Host.connect, path),
               group[0].connect(path)]
    for index, client in enumerate(clients):
        client.text(str(index))
        for each in clients:
            if each is not client:
                each.expect_text(str(index))
    for client in clients:
        client.expect_alive()


def test_self_off_spares_a_json_sender_alone(group):
    """The sender requests the id in every other round."""
    path = "/quiet?k=json"
    clients = group.on_each_worker(Host.join, path)
    raws = group.on_each_worker(Host.connect, path)
    for number in range(10):
        for index, sender in enumerate(clients):
            text = f"{index} {number}"
            if number % 2:
                send_text(sender, text, ref=number)
                assert read_type(sender, "published")["ref"] == number
            else:
                send_text(sender, text)
            for client in clients:
                if client is not sender:
                    assert read_data(client) == [text]
            for raw in raws:
                raw.expect_text(text)
    for client in clients + raws:
        client.expect_alive()
    raws[0].text("y")
    for raw in raws[1:]:
        raw.expect_text("y")
    for client in clients:
        assert read_data(client) == ["y"]
    raws[0].expect_alive()
