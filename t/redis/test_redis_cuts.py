"""A host that was cut off receives the missed messages afterwards, or reports a
gap. An emptied Redis is also reported as a gap."""

import pytest

from hosts import Host, log_of, stream_of
from nginx_server import seconds
from publish_client import Publisher
from redis_faults import (RECOVERY_SECONDS, Received, read_raw_until,
                          start_for_faults, try_to_post, wait_until_joined,
                          wait_until_published)
from room_client import publish, read, read_data, send_text, sequence
from sequence_publisher import SequencePublisher

LOCATIONS = """
location /room { websocket room room$arg_k history=10000; }
location /five { websocket room five$arg_k history=5; }
location /publish-room { websocket_publish room room$arg_k; }
location /publish-five { websocket_publish room five$arg_k; }
"""

# Bytes: 500 such messages exceed what Redis keeps for a shard
LARGE = 8000


@pytest.fixture
def pair(hosts, start_redis):
    """Two hosts with two workers and a proxy each."""
    return start_for_faults(hosts, start_redis, LOCATIONS)


def cut_off(host, way):
    if way == "kill":
        for connection in host.redis.subscribers():
            host.redis.client_kill(connection)
    else:
        getattr(host.proxy, way)()


def post_many(host, path, count, first=1, width=0):
    """Publishes so many messages of at least `width` bytes; returns their
    texts."""
    publisher = Publisher(host.server, path)
    texts = [f"{number}".rjust(width)
             for number in range(first, first + count)]
    for text in texts:
        publisher.post(text)
    publisher.client.disconnect()
    return texts


def restore(host, way):
    if way == "pause":
        host.proxy.reset()
    host.proxy.restore()


# Cut off for a short time

@pytest.mark.parametrize("way", ["cut", "pause", "blackhole", "reset"])
def test_host_receives_missed_messages_after_a_cut(pair, way):
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    raw = [pair[0].connect("/room", worker) for worker in (0, 1)]
    far = pair[1].join("/room")
    texts = post_many(pair[1], "/publish-room", 10)
    cut_off(pair[0], way)
    texts += post_many(pair[1], "/publish-room", 100, 11)
    restore(pair[0], way)
    texts += post_many(pair[1], "/publish-room", 10, 111)
    for client in near + [far]:
        received = Received(client, "120")
        received.check()
        assert received.data == texts and not received.gaps
    for client in raw:
        assert read_raw_until(client, "120") == texts
    publish_everywhere(pair, near + [far])


def publish_everywhere(pair, clients):
    """Checks that messages of each host reach all clients."""
    for index, host in enumerate(pair):
        text = wait_until_published(host, "/publish-room", f"end {index}")
        for client in clients:
            assert Received(client, text).data[-1] == text


def test_connection_paused_and_resumed_duplicates_nothing(pair):
    """Messages sent before the interruption arrive late."""
    near = pair[0].join("/room")
    far = pair[1].join("/room")
    texts = []
    for number in range(5):
        pair[0].proxy.pause("down")
        texts += post_many(pair[1], "/publish-room", 20, number * 20 + 1)
        pair[0].proxy.release()
    for client in (near, far):
        received = Received(client, texts[-1])
        received.check()
        assert received.data == texts


def test_cuts_under_a_stream_of_messages(pair):
    """A cut may fall at any time, also while a host reads missed messages and
    already receives new ones."""
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    with SequencePublisher(pair[1], "/publish-room") as stream:
        for number in range(8):
            stream.wait_for(20)
            way = ["reset", "cut", "kill", "reset"][number % 4]
            cut_off(pair[0], way)
            stream.wait_for(20)
            restore(pair[0], way)
        stream.wait_for(20)
        last = stream.stop()
    for client in near:
        received = Received(client, f"{last}")
        received.check()
        assert received.data == [f"{number}" for number in range(1, last + 1)]
        assert not received.gaps
    assert not stream.refused and not stream.unknown


def test_new_clients_while_a_host_catches_up(pair):
    """New clients get the missed messages, or only later ones."""
    first = pair[0].join("/room")
    start = publish(first, "0")["id"]
    pair[0].proxy.cut()
    texts = post_many(pair[1], "/publish-room", 500)
    pair[0].proxy.restore()
    late = wait_until_joined(pair[0], "/room")
    back = wait_until_joined(pair[0], f"/room?since={start}")
    assert back.welcome["recovered"] is True
    end = wait_until_published(pair[1], "/publish-room", "end")
    received = Received(first, end)
    received.check()
    assert received.data[:500] == texts
    again = Received(back, end)
    assert again.messages == received.messages and not again.gaps
    fresh = Received(late, end)
    assert fresh.messages == received.messages[-len(fresh.messages):]
    assert sequence(fresh.messages[0]["id"]) == \
        sequence(late.welcome["last"]) + 1


def test_rooms_without_messages_have_no_gap(pair):
    clients = [pair[0].join(f"/five?k={number}") for number in range(20)]
    for client in clients:
        publish(client, "before")
    pair[0].proxy.cut()
    pair[0].proxy.restore()
    wait_until_published(pair[0], "/publish-room", "end")
    for number, client in enumerate(clients):
        wait_until_published(pair[1], f"/publish-five?k={number}", "after")
        received = read(client, seconds(RECOVERY_SECONDS))
        assert received["type"] == "message", received


# Cut off for too long

@pytest.mark.parametrize("way", ["cut", "pause", "blackhole"])
def test_host_cut_off_for_too_long_reports_a_gap(pair, way):
    near, raw = pair[0].join("/five"), pair[0].connect("/five")
    far = pair[1].join("/five")
    publish(near, "0")
    raw.expect_text("0")
    cut_off(pair[0], way)
    last = post_many(pair[1], "/publish-five", 500, width=LARGE)[-1]
    restore(pair[0], way)
    received = Received(near, last)
    received.check()
    assert received.gaps == [0]
    assert len(received.messages) == 5
    assert read_raw_until(raw, "never") == [None]
    raw.close(1013)
    raw.expect_eof()
    received = Received(far, last)
    received.check()
    assert len(received.messages) == 501 and not received.gaps
    assert publish(near, "on it goes") == read(far)


def test_trimmed_stream_is_a_gap_for_those_that_were_cut_off(pair):
    """A command trims the log and the history, or Redis with another policy
    when its memory is full."""
    near, far = pair[0].join("/room"), pair[1].join("/room")
    publish(near, "0")
    pair[0].proxy.cut()
    post_many(pair[1], "/publish-room", 50)
    for key in stream_of("room:room"), log_of("room:room"):
        assert pair.redis.command("XTRIM", key, "MAXLEN", 10) > 0
    pair[0].proxy.restore()
    received = Received(near, "50")
    received.check()
    assert received.gaps == [0] and len(received.messages) == 10
    assert Received(far, "50").gaps == []


def test_log_that_was_deleted_grows_again(pair):
    """Redis has a log of two MiB, so it removed entries."""
    log = log_of("room:five")
    post_many(pair[0], "/publish-five", 280, width=LARGE)
    assert pair.redis.command("DEL", log) == 1
    post_many(pair[0], "/publish-five", 100, width=LARGE)
    assert pair.redis.command("XLEN", log) > 50


# An emptied Redis

def new_epoch(client, text):
    """A gap comes first, because the messages of the old epoch are unknown."""
    received = Received(client, text)
    received.check()
    assert received.gaps == [0], received.gaps
    return received


@pytest.mark.parametrize("way", ["restart", "flushall"])
def test_emptied_redis_starts_a_new_epoch(pair, way):
    clients = pair.on_each_worker(Host.join, "/room")
    raw = pair.on_each_worker(Host.connect, "/room")
    for number in range(3):
        send_text(clients[0], f"{number}")
    for client in clients:
        old = Received(client, "2").ids
    for client in raw:
        read_raw_until(client, "2")
    if way == "restart":
        pair.redis.restart(empty=True)
    else:
        pair.redis.flushall()
    text = wait_until_published(pair[0], "/publish-room", "new")
    results = [new_epoch(client, text) for client in clients]
    assert len({one.ids[-1] for one in results}) == 1
    epoch, number = results[0].ids[-1]
    assert epoch > old[-1][0] and number >= 1
    for client in raw:
        assert read_raw_until(client, text) == [None]
    for host in pair:
        since = f"{old[-1][0]}-{old[-1][1]}"
        back = wait_until_joined(host, f"/room?since={since}")
        assert back.welcome["recovered"] is False
        back.disconnect()
    for client in clients:
        send_text(client, f"{id(client)}")
        seen = [Received(other, f"{id(client)}") for other in clients]
        assert len({one.ids[-1] for one in seen}) == 1
        for one in seen:
            one.check()


def test_new_epoch_for_a_host_that_was_cut_off_meanwhile(pair):
    near, far = pair[0].join("/room"), pair[1].join("/room")
    raw = pair[0].connect("/room")
    send_text(far, "old")
    for client in (near, far):
        assert read_data(client) == ["old"]
    raw.expect_text("old")
    pair[0].proxy.cut()
    pair.redis.flushall()
    post_many(pair[1], "/publish-room", 5)
    pair[0].proxy.restore()
    received = Received(near, "5")
    assert received.data == list("12345"), "the new stream has all messages"
    assert received.gaps == [0], "messages of the old stream are unknown"
    assert received.ids == Received(far, "5").ids
    assert read_raw_until(raw, "never") == [None]


def test_silent_room_in_an_emptied_redis(pair):
    """Nobody publishes. Clients stay connected, and resume with their last
    id."""
    near, far = pair[0].join("/room"), pair[1].join("/room")
    last = publish(near, "0")["id"]
    assert read_data(far) == ["0"]
    pair.redis.restart(empty=True)
    for host in pair:
        wait_until_joined(host, "/room?k=other").disconnect()
    back = wait_until_joined(pair[0], f"/room?since={last}")
    text = wait_until_published(pair[1], "/publish-room", "new")
    for client in (near, far):
        new_epoch(client, text)
    assert back.welcome["recovered"] is False
    assert Received(back, text).data[-1] == text


def test_one_of_three_is_cut_off(hosts, start_redis):
    group = start_for_faults(hosts, start_redis, LOCATIONS, count=3,
                             workers=1)
    clients = [host.join("/room") for host in group]
    with SequencePublisher(group[1], "/publish-room") as stream:
        for host in (group[0], group[2], group[0]):
            stream.wait_for(20)
            host.proxy.cut()
            stream.wait_for(20)
            assert try_to_post(host, "/publish-room", "x") == 503
            host.proxy.restore()
            host.wait_for_clients("/publish-room", 3, RECOVERY_SECONDS)
        last = stream.stop()
    for client in clients:
        received = Received(client, f"{last}")
        received.check()
        assert received.data == [f"{number}" for number in range(1, last + 1)]
