"""Clients that reconnect to rooms many times get each message exactly once.

The fixture `group` is one host, then two with a Redis, between which clients
move.
"""

import itertools
import random
import threading

import pytest

import wire
from hosts import ids_of, read_message
from room_client import (JSON, publish, read, read_type, send_text, sequence)

LOCATIONS = "location /long { websocket room long$arg_k history=100000; }"


@pytest.fixture(scope="module")
def group(module_group):
    """One or two hosts with two workers each."""
    return module_group(LOCATIONS, http="websocket_room_memory 32m;")


def resume(host, path, since, worker=None):
    """A JSON client with the id of the last message that it has seen."""
    return host.join(f"{path}&since={since}", worker)


def talk(client, prefix, done):
    """Publishes at full speed until `done` is set, and at least 100
    messages."""
    count = 0
    while not done.is_set() or count < 100:
        send_text(client, f"{prefix} {count}", ref=0)
        while read(client)["type"] != "published":
            pass
        count += 1


@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
@pytest.mark.parametrize("speakers", [2, 4])
def test_reconnects_resume_without_loss_or_duplicates(group, speakers,
                                                      protocols):
    """With two publishers, both are on the first host. The second host then
    subscribes only for the reconnecting client."""
    path = f"/long?k=again{len(protocols)}{speakers}"
    done = threading.Event()
    threads = []
    for index, host in enumerate((group[0], group[-1])[:speakers // 2]):
        for worker in (0, 1):
            speaker = host.join(path, worker)
            threads.append(threading.Thread(target=talk, args=(
                speaker, f"{index} {worker}", done)))
    for thread in threads:
        thread.start()
    seed = random.randrange(2**32)
    print("seed", seed)
    try:
        received = read_in_pieces(group, path, protocols, random.Random(seed))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert received == list(range(1, len(received) + 1))
    assert len(received) > 200


def read_in_pieces(group, path, protocols, chance):
    """The sequences of all messages that a client receives over many
    connections. A raw client counts its messages to know their ids."""
    epoch = group[0].join(path).welcome["last"].split("-")[0]
    received, since = [], f"{epoch}-0"
    for _ in range(150 if len(group) == 1 else 80):
        client = chance.choice(group.hosts).connect(
            f"{path}&since={since}", chance.choice((0, 1)),
            subprotocols=protocols)
        if protocols:
            welcome = read_type(client, "welcome")
            assert welcome["recovered"] is True
            assert sequence(welcome["last"]) >= len(received)
        for _ in range(chance.randrange(1, 20)):
            if protocols:
                since = read_type(client, "message")["id"]
                received.append(sequence(since))
            else:
                frame = client.read_frame()
                assert frame.opcode == wire.TEXT, frame
                received.append(frame.payload.decode())
                since = f"{epoch}-{len(received)}"
        chance.choice([client.abort, client.disconnect])()
    return received if protocols else numbers_of(group[-1], path, received)


def numbers_of(host, path, texts):
    """The sequences of these messages in the room."""
    reader = resume(host, path, "0")
    known = {}
    while len(known) < len(texts):
        message = read_message(reader)
        known[message["data"]] = sequence(message["id"])
    return [known[text] for text in texts]


def test_many_reconnecting_clients_receive_the_same(group):
    """Histories and published messages overlap. A client that joins has neither
    a gap nor a duplicate."""
    path = "/long?k=many"
    speaker = group[0].join(path)
    stop = threading.Event()

    def publish_until_stopped():
        for number in itertools.count(1):
            if stop.is_set():
                return
            publish(speaker, str(number))

    thread = threading.Thread(target=publish_until_stopped)
    thread.start()
    try:
        for count in range(60 // len(group)):
            back = resume(group[-1], path, "0", count % 2)
            late = group[-1].join(path, 1 - count % 2)
            for client in (back, late):
                numbers = [number for _, number in ids_of(client, 21)]
                assert numbers == list(range(numbers[0], numbers[0] + 21))
                if client is back:
                    assert numbers[0] == 1
            assert sequence(late.welcome["last"]) <= numbers[0] - 1
            back.disconnect()
            late.disconnect()
    finally:
        stop.set()
        thread.join()
