"""History over several hosts: a client resumes on another host without loss or
duplicates."""

import random
import threading

import pytest

import wire
from hosts import PREFIX, Host, channel_of, ids_of, read_message, stream_of
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import (JSON, publish, read, read_data, read_type, send_text,
                         sequence)

LOCATIONS = """
location /none { websocket room none$arg_k; }
location /five { websocket room five$arg_k history=5; }
location /short { websocket room short$arg_k history=1000 history_time=2s; }
location /long { websocket room long$arg_k history=100000; }
location /all {
    websocket room all history=18446744073709551615 history_time=9223372036854775s;
}
location /publish-all { websocket_publish room all; }
location /publish-none { websocket_publish room none$arg_k; }
location /publish-five { websocket_publish room five$arg_k; }
location /publish-short { websocket_publish room short$arg_k; }
location /publish-long { websocket_publish room long$arg_k; }
"""


@pytest.fixture(scope="module")
def pair(module_hosts):
    """Two hosts with two workers each."""
    return module_hosts(LOCATIONS)


def resume(host, path, since, worker=None):
    return host.join(f"{path}&since={since}", worker)


def fill(host, path, numbers):
    """Publishes over HTTP; returns the ids."""
    publisher = Publisher(host.server, path.replace("/", "/publish-"))
    ids = ["%d-%d" % publisher.post(f"{number}") for number in numbers]
    publisher.client.disconnect()
    return ids


def leave(client):
    client.leave()
    client.disconnect()


@pytest.fixture(scope="module")
def abandoned(pair):
    """{path: ids}: rooms with five messages that the second host has received.
    It has unsubscribed, because its clients have left."""
    ids = {}
    for path in ("/long?k=deaf", "/five?k=new", "/five?k=more", "/five?k=all"):
        client = pair[1].join(path)
        ids[path] = [publish(client, f"{number}")["id"]
                     for number in range(1, 6)]
        leave(client)
    wait_until(lambda: not pair.redis.subscriptions(channel_of("room:*")),
               seconds(15), "the end of subscriptions")
    return ids


# Resuming

@pytest.mark.parametrize("seen", [0, 4, 5, 6, 9, 10])
def test_history_is_on_each_worker_of_each_host(pair, seen):
    path = f"/five?k=count{seen}"
    first = pair[0].join(path)
    ids = [publish(first, f"{number}")["id"] for number in range(1, 11)]
    since = ids[seen - 1] if seen else first.welcome["last"]
    expected = list(map(str, range(max(seen + 1, 6), 11)))
    back = pair.on_each_worker(Host.join, f"{path}&since={since}")
    for client in back:
        assert client.welcome["last"] == ids[-1]
        assert client.welcome["recovered"] is (seen >= 5)
        assert read_data(client, len(expected)) == expected
        client.expect_alive()
    publish(back[-1], "live")
    for client in back[:-1]:
        assert read_data(client) == ["live"]


@pytest.mark.parametrize("path, kept", [("/none?k=all", 0), ("/five?k=all", 5),
                                        ("/long?k=all", 9)])
def test_since_0_returns_the_whole_history(pair, path, kept):
    fill(pair[0], path, range(1, 10))
    expected = [f"{number}" for number in range(10 - kept, 10)]
    for host in (pair[1], pair[0]):
        back = resume(host, path, "0")
        assert back.welcome["recovered"] is (kept == 9)
        assert read_data(back, kept) == expected
        raw = host.connect(f"{path}&since=0")
        for text in expected:
            raw.expect_text(text)
        raw.expect_alive()


def test_since_0_in_an_unknown_room_returns_nothing(pair):
    back = resume(pair[0], "/five?k=empty", "0")
    assert back.welcome["recovered"] is True
    assert sequence(back.welcome["last"]) == 0
    assert sequence(publish(back, "x")["id"]) == 1


def test_without_since_there_is_no_history(pair):
    last = fill(pair[0], "/five?k=nothing", range(9))[-1]
    late = pair[1].join("/five?k=nothing")
    assert late.welcome["recovered"] is False
    assert late.welcome["last"] == last
    publish(late, "live")


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_raw_client_that_missed_messages_is_closed(pair, seen):
    path = f"/five?k=miss{seen}"
    first = pair[0].join(path)
    ids = [publish(first, f"{number}")["id"] for number in range(9)]
    since = ids[seen - 1] if seen else first.welcome["last"]
    raw = pair[1].connect(f"{path}&since={since}")
    raw.expect_failure(1013, "no longer kept")


@pytest.mark.parametrize("since", ["1-1", "9999999999999999999-1", "future"])
def test_id_that_the_room_does_not_know(pair, since):
    path = f"/five?k=unknown{since}"
    ids = fill(pair[0], path, range(1, 4))
    if since == "future":
        since = ids[0].split("-")[0] + "-4"
    back = resume(pair[1], path, since)
    assert back.welcome["recovered"] is False
    assert read_data(back, 3) == ["1", "2", "3"]
    pair[1].connect(f"{path}&since={since}").expect_failure(
        1013, "no longer kept")
    publish(back, "live")


def test_large_history_arrives_whole_on_another_host(pair):
    path = "/long?k=large"
    sender = pair[0].connect(path)
    texts = [f"{number:05}".ljust(3000, ".") for number in range(1000)]
    for text in texts:
        sender.text(text)
    for text in texts:
        sender.expect_text(text)
    late = resume(pair[1], path, "0")
    assert late.welcome["recovered"] is True
    assert read_data(late, len(texts)) == texts
    late.expect_alive()


# Messages published while a host was not subscribed

def test_client_resumes_on_a_host_that_had_unsubscribed(pair, abandoned):
    path = "/long?k=deaf"
    ids = abandoned[path] + fill(pair[0], path, range(6, 11))
    back = resume(pair[1], path, ids[2])
    assert back.welcome["recovered"] is True
    assert read_data(back, 7) == [f"{number}" for number in range(4, 11)]
    raw = pair[1].connect(f"{path}&since={ids[7]}")
    raw.expect_text("9")
    raw.expect_text("10")
    publish(back, "live")
    raw.expect_text("live")


def test_client_joins_on_a_host_that_had_unsubscribed(pair, abandoned):
    path = "/five?k=new"
    last = fill(pair[0], path, range(9))[-1]
    late = pair[1].join(path)
    assert late.welcome["last"] == last
    late.expect_alive()
    assert sequence(publish(late, "live")["id"]) == sequence(last) + 1


def test_more_than_the_history_was_missed(pair, abandoned):
    path = "/five?k=more"
    seen = abandoned[path][-1]
    fill(pair[0], path, range(6))
    back = resume(pair[1], path, seen)
    assert back.welcome["recovered"] is False
    assert read_data(back, 5) == list("12345")
    pair[1].connect(f"{path}&since={seen}").expect_failure(
        1013, "no longer kept")
    back.expect_alive()


def test_history_outlives_all_clients(pair, abandoned):
    path = "/five?k=all"
    for host in (pair[1], pair[0]):
        back = resume(host, path, abandoned[path][2])
        assert back.welcome["recovered"] is True
        assert read_data(back, 2) == ["4", "5"]
        back.disconnect()


def test_host_that_starts_later_has_the_history(hosts):
    group = hosts(LOCATIONS, 1, workers=1)
    client = group[0].join("/long?k=1")
    ids = [publish(client, f"{number}")["id"] for number in range(1, 8)]
    group.add()
    back = resume(group[1], "/long?k=1", ids[2])
    assert back.welcome["recovered"] is True
    assert read_data(back, 4) == list("4567")
    assert sequence(publish(back, "8")["id"]) == 8
    assert read_data(client) == ["8"]
    client.disconnect()
    group[0].server.stop()
    group.add()
    late = resume(group[2], "/long?k=1", ids[5])
    assert read_data(late, 2) == ["7", "8"]
    assert group[2].get_state("/publish-long?k=1")[1] == 8


# How much is kept, and how long

def test_history_may_be_as_long_as_on_one_host(pair):
    """Longer than Redis can count, in messages and in milliseconds."""
    client = pair[0].join("/all")
    texts = ["0", "1", publish(client, "2")["data"]]
    fill(pair[1], "/all", range(2))
    assert read_data(client, 2) == texts[:2]
    for host in pair:
        late = host.join("/all?since=0")
        assert read_data(late, 3) == texts[2:] + texts[:2]
        # The other host may still count the one who has left
        wait_until(lambda host=host: host.get_state("/publish-all")[:2]
                   == (2, 3), seconds(5), "two clients, three messages")
        leave(late)


def test_history_ends_with_age_on_all_hosts(pair):
    path = "/short?k=age"
    client = pair[0].join(path)
    ids = [publish(client, f"{number}")["id"] for number in range(1, 4)]
    back = resume(pair[1], path, ids[0])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["2", "3"]
    leave(back)

    def gone():
        late = resume(pair[1], path, ids[1])
        if late.welcome["recovered"] is False:
            return late
        late.disconnect()
        return None
    late = wait_until(gone, seconds(5), "the end of history")
    late.expect_alive()
    publish(client, "young")
    back = resume(pair[1], path, ids[2])
    assert back.welcome["recovered"] is True
    assert read_data(back) == ["young"]


def test_keys_of_a_room_with_clients_do_not_expire(pair):
    client = pair[0].join("/none?k=kept")
    publish(client, "x")
    keys = [f"{PREFIX}{kind}:room:nonekept" for kind in "msc"]
    for key in keys:
        wait_until(lambda key=key: pair.redis.command("PEXPIRE", key, 20000),
                   seconds(5), key)
    for key in keys:
        wait_until(lambda key=key: pair.redis.command("TTL", key) > 100,
                   seconds(15), f"more time for {key}")
    client.disconnect()


def test_stream_is_kept_to_the_history_and_expires(pair):
    redis = pair.redis
    fill(pair[0], "/five?k=trim", range(400))
    fill(pair[0], "/short?k=trim", range(3))
    fill(pair[0], "/none?k=trim", range(400))
    streams = {name: stream_of(f"room:{name}trim")
               for name in ("five", "short", "none")}
    for name, stream in streams.items():
        assert redis.command("TYPE", stream) == "stream", name
        assert redis.command("TTL", stream) > 0, name
    for name in ("five", "none"):  # a few more, for hosts that were away
        assert 5 <= redis.command("XLEN", streams[name]) <= 300, name


def test_all_keys_expire(pair):
    """Keys of hosts expire."""
    client = pair[0].join("/five?k=keys")
    publish(client, "x")
    keys = pair.redis.keys()
    assert stream_of("room:fivekeys") in keys
    for key in keys:
        assert pair.redis.command("TTL", key) > 0, key


# Coming back again and again

def talk(client, prefix, done, least=100):
    """Publishes at full speed until it is over."""
    count = 0
    while not done.is_set() or count < least:
        send_text(client, f"{prefix} {count}", ref=0)
        while read(client)["type"] != "published":
            pass
        count += 1


@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
@pytest.mark.parametrize("hosts_that_talk", [1, 2])
def test_client_that_moves_between_hosts_misses_nothing(pair, protocols,
                                                        hosts_that_talk):
    """Only one host publishes; the other is subscribed for the moving client
    alone."""
    path = f"/long?k=move{len(protocols)}{hosts_that_talk}"
    done = threading.Event()
    threads = []
    for index in range(hosts_that_talk):
        for worker in (0, 1):
            speaker = pair[index].join(path, worker)
            threads.append(threading.Thread(target=talk, args=(
                speaker, f"{index} {worker}", done)))
    for thread in threads:
        thread.start()
    seed = random.randrange(2**32)
    print("seed", seed)
    try:
        received = read_in_pieces(pair, path, protocols, random.Random(seed))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert received == list(range(1, len(received) + 1))
    assert len(received) > 200


def read_in_pieces(group, path, protocols, chance, rounds=80):
    """The numbers of the messages that a client has got which lost its
    connection so often. A raw one knows their ids by counting."""
    epoch = group[0].join(path).welcome["last"].split("-")[0]
    received, since = [], f"{epoch}-0"
    for _ in range(rounds):
        client = chance.choice(group.hosts).server.connect(
            f"{path}&since={since}", subprotocols=protocols)
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
    return received if protocols else numbers_of(group[1], path, received)


def numbers_of(host, path, texts):
    """Which numbers in the room these messages have."""
    reader = resume(host, path, "0")
    known = {}
    while len(known) < len(texts):
        message = read_message(reader)
        known[message["data"]] = sequence(message["id"])
    return [known[text] for text in texts]


def test_clients_that_join_on_all_hosts_receive_the_same(pair):
    """They overlap everywhere: joining never leaves a hole or a double."""
    path = "/long?k=many"
    done = threading.Event()
    thread = threading.Thread(target=talk, args=(
        pair[0].join(path), "x", done, 1))
    thread.start()
    try:
        for _ in range(30):
            clients = [pair[1].join(path), resume(pair[1], path, "0")]
            for client in clients:
                numbers = [number for _, number in ids_of(client, 20)]
                assert numbers == list(range(numbers[0], numbers[0] + 20))
            assert numbers[0] == 1
            for client in clients:
                client.disconnect()
    finally:
        done.set()
        thread.join()
