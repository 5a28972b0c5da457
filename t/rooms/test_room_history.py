"""History of rooms and resuming in it: nothing twice, nothing lost."""

import random
import threading
import time

import pytest

import wire
from nginx_server import seconds, wait_until
from room_client import (JSON, join, publish, read, read_data, read_type,
                         send_text, sequence)
from tuned_client import TIGHT_LISTEN, connect_tight
from worker_picking import REUSEPORT, connect_to

LOCATIONS = """
location /none { websocket room none$arg_k; }
location /five { websocket room five$arg_k history=5; }
location /short { websocket room short$arg_k history=1000 history_time=2s; }
location /long { websocket room long$arg_k history=100000; }
location /quiet { websocket room quiet$arg_k history=100 self=off; }
location /small {
    websocket room small$arg_k history=100000;
    websocket_send_queue 16k;
    websocket_max_message_size 2m;
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT,
                        http="websocket_room_memory 32m;")


def resume(server, path, since, pid=None, **options):
    """A JSON client that names what it has seen."""
    return join(server, f"{path}&since={since}", pid, **options)


def filled(server, path, count):
    """A client of a room in which so many messages were published, and
    their ids."""
    client = join(server, path)
    return client, [publish(client, str(number))["id"]
                    for number in range(1, count + 1)]


def upgrade(server, path, **fields):
    return server.request(wire.upgrade_request(path, **fields)).status


# Resuming

@pytest.mark.parametrize("seen", range(11))
def test_resume_returns_what_was_missed(server, seen):
    client, ids = filled(server, f"/five?k=count{seen}", 10)
    since = ids[seen - 1] if seen else client.welcome["last"]
    expected = list(map(str, range(max(seen + 1, 6), 11)))
    both = [resume(server, f"/five?k=count{seen}", since, pid)
            for pid in server.worker_pids()]
    for back in both:
        assert back.welcome["last"] == ids[-1]
        assert back.welcome["recovered"] is (seen >= 5)
        assert read_data(back, len(expected)) == expected
        back.expect_alive()
    publish(client, "live")
    for back in both:
        assert read_data(back) == ["live"]


@pytest.mark.parametrize("path, kept", [("/none?k=all", 0),
                                        ("/five?k=all", 5),
                                        ("/long?k=all", 9)])
def test_since_0_returns_the_whole_history(server, path, kept):
    client, _ = filled(server, path, 9)
    expected = [str(number) for number in range(10 - kept, 10)]
    back = resume(server, path, "0")
    assert back.welcome["recovered"] is (kept == 9)
    assert read_data(back, kept) == expected
    raw = server.connect(f"{path}&since=0")
    for text in expected:
        raw.expect_text(text)
    publish(client, "live")
    assert read_data(back) == ["live"]
    raw.expect_text("live")


def test_without_since_there_is_no_history(server):
    client, _ = filled(server, "/five?k=nothing", 9)
    late, raw = join(server, "/five?k=nothing"), server.connect(
        "/five?k=nothing")
    assert late.welcome["recovered"] is False
    publish(client, "live")
    assert read_data(late) == ["live"]
    raw.expect_text("live")


def test_since_0_in_an_empty_room(server):
    client = resume(server, "/five?k=empty", "0")
    assert client.welcome["recovered"] is True
    publish(client, "first")


def test_last_event_id_is_as_since(server):
    client, ids = filled(server, "/five?k=header", 9)
    header = [("Last-Event-ID", ids[6])]
    back = join(server, "/five?k=header", headers=header)
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["8", "9"]
    back = resume(server, "/five?k=header", ids[7], headers=header)
    assert read_data(back) == ["9"], "since goes first"
    raw = server.connect("/five?k=header", headers=[("last-event-id", "0")])
    for number in range(5, 10):
        raw.expect_text(str(number))
    publish(client, "live")


def test_raw_client_resumes(server):
    client, ids = filled(server, "/five?k=raw", 9)
    client.binary(b"\0")
    for since, expected in [(ids[4], 4), (ids[8], 0), (ids[6], 2)]:
        raw = server.connect(f"/five?k=raw&since={since}")
        for number in range(10 - expected, 10):
            raw.expect_text(str(number))
        raw.expect_binary(b"\0")
        raw.expect_alive()


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_raw_client_that_missed_messages_is_closed(server, seen):
    client, ids = filled(server, f"/five?k=miss{seen}", 9)
    since = ids[seen - 1] if seen else client.welcome["last"]
    raw = server.connect(f"/five?k=miss{seen}&since={since}")
    raw.expect_failure(1013, "no longer kept: connect with since=0 or without")
    publish(client, "live")


@pytest.mark.parametrize("since", ["1-1", "9999999999999999999-1",
                                   "future"])
def test_id_that_the_room_does_not_know(server, since):
    key = f"/five?k=unknown{since}"
    client, ids = filled(server, key, 3)
    if since == "future":
        since = ids[0].split("-")[0] + "-4"
    back = resume(server, key, since)
    assert back.welcome["recovered"] is False
    assert read_data(back, 3) == ["1", "2", "3"]
    server.connect(f"{key}&since={since}").expect_failure(
        1013, "no longer kept")
    publish(client, "live")
    assert read_data(back) == ["live"]


@pytest.mark.parametrize("since", [
    "", "x", "1", "-", "1-", "-1", "1-2-3", "1-x", "+1-1", "1--1", "%00", "00",
    "99999999999999999999-1", "1-99999999999999999999", "1-1%20", "none",
])
def test_malformed_since_is_refused(server, since):
    assert upgrade(server, f"/five?since={since}") == 400
    server.wait_for_log("refused with 400")
    if since and "%" not in since:
        assert upgrade(server, "/five",
                       headers=[("Last-Event-ID", since)]) == 400
    assert upgrade(server, f"/five?since={since}",
                   headers=[("Last-Event-ID", "0")]) == 400


def test_resuming_client_gets_its_own_messages(server):
    """The id of a connection is its own: self=off is for one connection."""
    client = join(server, "/quiet?k=1")
    send_text(client, "mine")
    client.expect_alive()
    back = resume(server, "/quiet?k=1", "0")
    assert read_data(back) == ["mine"]


# How much is kept

def test_history_ends_with_age(server):
    client, ids = filled(server, "/short?k=age", 3)
    back = resume(server, "/short?k=age", ids[0])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["2", "3"]

    def gone():
        late = resume(server, "/short?k=age", ids[1])
        return late.welcome["recovered"] is False and late
    late = wait_until(gone, seconds(5), "the end of history")
    late.expect_alive()
    kept = publish(client, "young")
    assert read_data(late) == ["young"]
    back = resume(server, "/short?k=age", ids[2])
    assert back.welcome["recovered"] is True
    assert read_data(back) == ["young"]
    assert back.welcome["last"] == kept["id"]


def test_history_outlives_its_clients(server):
    client, ids = filled(server, "/five?k=alone", 7)
    client.leave()
    client.disconnect()
    back = resume(server, "/five?k=alone", ids[4])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["6", "7"]


def test_history_outlives_a_reload(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    client, ids = filled(server, "/five?k=1", 7)
    old = server.reload()
    client.expect_failure(1001)
    client.disconnect()
    server.wait_for_workers_gone(old)
    back = resume(server, "/five?k=1", ids[4])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["6", "7"]
    assert sequence(publish(back, "8")["id"]) == 8


# Large histories

@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
@pytest.mark.parametrize("path, count, size", [
    ("/long", 5000, 10), ("/long", 300, 20000), ("/small", 5000, 100),
    ("/small", 100, 20000), ("/small", 3, 1000000),
])
def test_large_history_arrives_whole(server, protocols, path, count, size):
    path = f"{path}?k={count}-{size}-{len(protocols)}"
    client = server.connect(path)
    texts = [f"{number:06}".ljust(size, ".") for number in range(count)]
    for text in texts:
        client.text(text)
        client.expect_text(text)
    late = server.connect(f"{path}&since=0", subprotocols=protocols)
    if protocols:
        assert read_type(late, "welcome")["recovered"] is True
    client.text("live")
    for text in texts + ["live"]:
        if protocols:
            assert read_data(late) == [text]
        else:
            late.expect_text(text)
    late.expect_alive()


def test_slow_reader_of_history_is_not_pushed(nginx):
    """Messages published meanwhile follow the missed ones."""
    server = nginx(LOCATIONS, listen=TIGHT_LISTEN)
    path = "/small?k=slow"
    client = server.connect(path)
    texts = [f"{number:06}".ljust(1000, ".") for number in range(3000)]
    for text in texts[:2000]:
        client.text(text)
        client.expect_text(text)
    slow = connect_tight(server, f"{path}&since=0")
    for text in texts[2000:]:
        client.text(text)
        client.expect_text(text)
    for text in texts:
        slow.expect_text(text)
    client.text("live")
    slow.expect_text("live")
    slow.leave()
    slow.disconnect()
    assert server.wait_for_access_log()["websocket_dropped"] == "0"


def test_reader_of_history_does_not_hold_up_others(server):
    path = "/long?k=fair"
    client = server.connect(path)
    for number in range(300):
        client.binary(b"x" * 60000)
        client.expect_binary(b"x" * 60000)
    pid = server.worker_pids()[0]
    other = connect_to(server, pid, "/none?k=fair")
    late = connect_to(server, pid, f"{path}&since=0")
    waits = []
    for _ in range(50):
        began = time.monotonic()
        other.text("x")
        other.expect_text("x")
        waits.append(time.monotonic() - began)
    for _ in range(300):
        late.expect_binary(b"x" * 60000)
    assert max(waits) < seconds(1)


# Coming back again and again

@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
def test_reconnects_resume_without_loss_or_duplicates(server, protocols):
    path = f"/long?k=again{len(protocols)}"
    speakers = [join(server, path, pid) for pid in server.worker_pids()]
    done = threading.Event()
    counts = [0, 0]

    def talk(index):
        speaker = speakers[index]
        while not done.is_set() or counts[index] < 100:
            send_text(speaker, f"{index} {counts[index]}", ref=0)
            while read(speaker)["type"] != "published":
                pass
            counts[index] += 1

    threads = [threading.Thread(target=talk, args=(index,))
               for index in range(2)]
    for thread in threads:
        thread.start()
    seed = random.randrange(2**32)
    print("seed", seed)
    try:
        received = read_in_pieces(server, path, protocols, random.Random(seed))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert received == list(range(1, len(received) + 1))
    assert len(received) > 200


def read_in_pieces(server, path, protocols, chance, rounds=150):
    """The numbers of the messages that a client has got which lost its
    connection so often. A raw one knows their ids by counting."""
    epoch = join(server, path).welcome["last"].split("-")[0]
    received, since = [], f"{epoch}-0"
    for _ in range(rounds):
        client = server.connect(f"{path}&since={since}",
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
                assert frame.opcode == wire.TEXT
                received.append(frame.payload.decode())
                since = f"{epoch}-{len(received)}"
        chance.choice([client.abort, client.disconnect])()
    return received if protocols else numbers_of(server, path, received)


def numbers_of(server, path, texts):
    """Which numbers in the room these messages have."""
    reader = resume(server, path, "0")
    known = {}
    while len(known) < len(texts):
        message = read_type(reader, "message")
        known[message["data"]] = sequence(message["id"])
    return [known[text] for text in texts]


def test_many_reconnecting_clients_receive_the_same(server):
    """Each keeps reading for a while; together they overlap everywhere."""
    path = "/long?k=many"
    speaker = join(server, path)
    stop = threading.Event()

    def talk():
        number = 0
        while not stop.is_set():
            number += 1
            send_text(speaker, str(number))
            assert read_data(speaker) == [str(number)]

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        for _ in range(60):
            clients = [resume(server, path, "0"), join(server, path)]
            for client in clients:
                first = read_type(client, "message")
                numbers = [sequence(first["id"])]
                numbers += [sequence(read_type(client, "message")["id"])
                            for _ in range(20)]
                assert numbers == list(range(numbers[0], numbers[0] + 21))
            assert sequence(clients[1].welcome["last"]) <= numbers[0] - 1
            for client in clients:
                client.disconnect()
    finally:
        stop.set()
        thread.join()
