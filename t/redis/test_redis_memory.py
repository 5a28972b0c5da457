"""The memory of logs and histories in Redis, and the cost of their rollback."""

import re

import pytest

import wire
from hosts import key_of, log_of, stream_of
from nginx_server import seconds, wait_until
from redis_faults import Received, wait_until_joined
from room_client import read_data, read_type, sequence

LOCATIONS = """
location /plain { websocket room plain self=off; }
location /kept { websocket room kept history=100 self=off; }
location /long { websocket room long history=1000; }
location /publish { websocket_publish room $arg_k; }
"""

MEGABYTE = 1 << 20
ROOM_MEMORY = "websocket_room_memory 1m;"


@pytest.fixture
def group(hosts, start_redis):
    started = hosts(LOCATIONS, redis=start_redis(), workers=1,
                    http=ROOM_MEMORY)
    started.allow_redis_errors()
    return started


def memory_of(redis, key):
    return redis.command("MEMORY", "USAGE", key, "SAMPLES", "0")


def publish_small(group, path, room, count):
    """Publishes as one client, and waits until Redis has the messages."""
    client = group[0].connect(path)
    for number in range(count):
        client.text(f"{number}")
    wait_until(lambda: group.redis.command("HGET", key_of("m", f"room:{room}"),
                                           "q") == f"{count}",
               seconds(20), "all messages")
    client.disconnect()


def post_all(group, room, texts):
    publisher = group[0].publisher(f"/publish?k={room}")
    for text in texts:
        publisher.post(text)


# Memory

def test_log_of_a_shard_has_two_megabytes(group):
    """Also if many small entries are followed by large ones."""
    publish_small(group, "/plain", "plain", 5000)
    post_all(group, "plain", ["x" * 600_000] * 20)
    log = log_of("room:plain")
    size = memory_of(group.redis, log)
    assert 2 * MEGABYTE < size < 2.8 * MEGABYTE
    # Beside them there may be the entry of the client that has left.
    entries = group.redis.command("XRANGE", log, "-", "+")
    large = [each for each in entries if len(str(each)) > 600_000]
    assert len(large) == size // 600_000


def test_history_in_redis_has_the_bytes_of_a_room(group):
    """Hosts keep no more either. A host that has no message yet misses
    none."""
    texts = [f"{number:02}" * 50_000 for number in range(40)]
    post_all(group, "kept", texts)
    stream = stream_of("room:kept")
    kept = group.redis.command("XLEN", stream)
    size = memory_of(group.redis, stream)
    assert MEGABYTE < size < 1.3 * MEGABYTE and kept < 14
    newcomer = group.add()
    client = newcomer.join("/kept?since=0")
    found = Received(client, texts[-1])
    found.check()
    assert found.data == texts[-len(found.data):] and len(found.data) > 8
    assert not found.gaps
    client.expect_alive()
    assert "no longer has all messages" not in newcomer.server.log()


def test_history_of_small_messages_has_their_number(group):
    publish_small(group, "/kept", "kept", 300)
    assert group.redis.command("XLEN", stream_of("room:kept")) == 100


# Rollbacks

def test_rollback_of_a_long_history_costs_no_write_for_each_message(group):
    """Its messages get a new epoch."""
    publisher = group[1].publisher("/publish?k=long")
    client = group[0].join("/long")
    for number in range(900):
        publisher.post(f"{number}")
    group.redis.command("SAVE")
    lost = publisher.post("lost")
    assert Received(client, "lost").data[-1] == "lost"
    group.redis.kill()
    group.redis.start()
    read_type(client, "gap", seconds(10))
    back = wait_until_joined(group[0], f"/long?since={lost[0]}-890")
    assert back.welcome["recovered"] is False
    assert sequence(back.welcome["last"]) == 900
    assert not back.welcome["last"].startswith(f"{lost[0]}-")
    fresh = group.add().join("/long?since=0")
    assert read_data(fresh, 900) == [f"{number}" for number in range(900)]
    written = re.findall(r"cmdstat_(?:xadd|xdel):calls=(\d+)",
                         group.redis.command("INFO", "commandstats"))
    assert sum(map(int, written)) < 100
