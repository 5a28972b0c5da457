"""History in Redis: hosts that were not subscribed, and the lifetime of
keys."""

import pytest

from hosts import key_of, log_of, stream_of
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import publish, read, read_data, sequence

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
    It has unsubscribed since, because its clients have left."""
    ids = {}
    for path in ("/long?k=resume", "/five?k=new", "/five?k=more"):
        client = pair[1].join(path)
        ids[path] = [publish(client, f"{number}")["id"]
                     for number in range(1, 6)]
        leave(client)
    wait_until(lambda: not pair.redis.subscriptions("ws:*n:0"),
               seconds(15), "the end of subscriptions")
    return ids


# Messages published while a host was not subscribed

def test_client_resumes_on_a_host_that_had_unsubscribed(pair, abandoned):
    path = "/long?k=resume"
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


# Length and time of the history

def test_history_lost_to_another_room_is_read_again(hosts):
    """The host still follows the room when its last client has left. A message
    that comes then belongs behind the history, which is in Redis."""
    group = hosts(LOCATIONS, 1, workers=1, http="websocket_room_memory 1m;"
                  "websocket_shared_memory 1m;")
    hog = group[0].connect("/long?k=hog")
    client = group[0].join("/long?k=few")
    ids = [publish(client, f"{number}")["id"] for number in range(1, 6)]
    publisher = Publisher(group[0].server, "/publish-long?k=hog")
    for number in range(110):
        publisher.post(f"{number}".rjust(8000))
        hog.expect_text(f"{number}".rjust(8000))
    leave(client)
    for number in range(40):
        publisher.post(f"{number}".rjust(8000))
        hog.expect_text(f"{number}".rjust(8000))
    again = resume(group[0], "/long?k=few", ids[1])
    assert again.welcome["recovered"]
    assert read_data(again, 3) == ["3", "4", "5"]
    assert publish(again, "6")["id"].partition("-")[2] == "6"


def test_history_may_be_as_long_as_on_one_host(pair):
    """A history longer than the numbers of Redis, in messages and
    milliseconds."""
    client = pair[0].join("/all")
    texts = ["0", "1", publish(client, "2")["data"]]
    fill(pair[1], "/all", range(2))
    assert read_data(client, 2) == texts[:2]
    for host in pair:
        late = host.join("/all?since=0")
        assert read_data(late, 3) == texts[2:] + texts[:2]
        # The other host may still count the client that has left
        wait_until(lambda host=host: host.get_state("/publish-all")[:2]
                   == (2, 3), seconds(5), "two clients, three messages")
        leave(late)


def test_keys_of_a_room_with_clients_do_not_expire(pair):
    client = pair[0].join("/five?k=kept")
    publish(client, "x")
    keys = [key_of(kind, "room:fivekept") for kind in "mhc"]
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
    for name, kept in (("five", 5), ("short", 3)):
        stream = stream_of(f"room:{name}trim")
        assert redis.command("XLEN", stream) == kept, name
        assert redis.command("TTL", stream) > 0, name
    assert redis.command("EXISTS", stream_of("room:nonetrim")) == 0


@pytest.mark.alone
def test_history_of_large_messages_does_not_block_redis(pair):
    """A page of a sync reads only what it returns."""
    publisher = Publisher(pair[0].server, "/publish-long?k=large")
    for _ in range(60):
        publisher.post("x" * (1 << 20))
    pair.redis.config_set("slowlog-log-slower-than", "150000")
    pair.redis.command("SLOWLOG", "RESET")
    client = pair[1].join("/long?k=large&since=0")
    assert len(read(client, seconds(20))["data"]) == 1 << 20
    assert pair.redis.command("SLOWLOG", "LEN") == 0


def test_visit_of_an_empty_room_leaves_no_key(pair):
    """A visitor who comes back has missed nothing, on either host."""
    visitor = pair[0].join("/five?k=empty")
    assert pair.redis.command("EXISTS", key_of("m", "room:fiveempty")) == 1
    last = visitor.welcome["last"]
    visitor.leave()
    wait_until(lambda: not pair.redis.keys("ws:*:room:fiveempty"), seconds(5),
               "the end of the keys")
    back = pair[0].join(f"/five?k=empty&since={last}")
    assert back.welcome["recovered"] is True and back.welcome["last"] == last
    far = pair[1].join("/five?k=empty")
    assert publish(far, "x") == read(back)


def test_log_that_was_deleted_expires(pair):
    """No host has clients in its shard."""
    log = log_of("room:fivedeleted")
    for number in range(2):
        pair[0].post("/publish-five?k=deleted", f"{number}")
        if number == 0:
            assert pair.redis.command("DEL", log) == 1
    wait_until(lambda: pair.redis.command("PTTL", log) > 0, seconds(10),
               "the expiry of the log")


def test_all_keys_expire(pair):
    """Keys of hosts expire too."""
    client = pair[0].join("/five?k=keys")
    publish(client, "x")
    keys = pair.redis.keys()
    assert stream_of("room:fivekeys") in keys
    for key in keys:
        assert pair.redis.command("PTTL", key) != -1, key
