"""The history of rooms: resuming clients get each message exactly once.

The fixture `group` is one host, then two with a Redis. With two, clients resume
on another host than the one where messages were published.
"""

import time

import pytest

import wire
from hosts import Host, Hosts, channel_of, one_host
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import (JSON, publish, read_data, read_type, send_text,
                         sequence)
from tuned_client import TIGHT_LISTEN, connect_tight
from worker_picking import connect_to

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
location /publish-none { websocket_publish room none$arg_k; }
location /publish-five { websocket_publish room five$arg_k; }
location /publish-long { websocket_publish room long$arg_k; }
"""

by_client_and_over_http = pytest.mark.parametrize("source",
                                                  ["client", "http"])


@pytest.fixture(scope="module")
def group(module_group):
    """One or two hosts with two workers each."""
    return module_group(LOCATIONS, http="websocket_room_memory 32m;")


def resume(host, path, since, worker=None, **options):
    """A JSON client with the id of the last message that it has seen."""
    return host.join(f"{path}&since={since}", worker, **options)


def filled(host, path, count):
    """Connects a client to a new room in which so many messages are published;
    returns it and their ids."""
    client = host.join(path)
    return client, [publish(client, str(number))["id"]
                    for number in range(1, count + 1)]


def fill(host, path, count, source):
    """Publishes so many messages, from a client that remains or over HTTP
    without a client in the room; returns their ids."""
    if source == "client":
        return filled(host, path, count)[1]
    publisher = Publisher(host.server, path.replace("/", "/publish-"))
    ids = ["%d-%d" % publisher.post(str(number))
           for number in range(1, count + 1)]
    publisher.client.disconnect()
    return ids


def leave(client):
    client.leave()
    client.disconnect()


def upgrade(server, path, **fields):
    return server.request(wire.upgrade_request(path, **fields)).status


# Resuming

@pytest.mark.parametrize("seen", range(11))
def test_resume_returns_what_was_missed_on_each_worker(group, seen):
    path = f"/five?k=count{seen}"
    client, ids = filled(group[0], path, 10)
    since = ids[seen - 1] if seen else client.welcome["last"]
    expected = list(map(str, range(max(seen + 1, 6), 11)))
    all_back = group.on_each_worker(Host.join, f"{path}&since={since}")
    for back in all_back:
        assert back.welcome["last"] == ids[-1]
        assert back.welcome["recovered"] is (seen >= 5)
        assert read_data(back, len(expected)) == expected
        back.expect_alive()
    clients = [client, *all_back]
    for speaker in (clients[0], clients[-1]):
        publish(speaker, "live")
        for other in clients:
            if other is not speaker:
                assert read_data(other) == ["live"]


@by_client_and_over_http
@pytest.mark.parametrize("path, kept", [("/none", 0), ("/five", 5),
                                        ("/long", 9)])
def test_since_0_returns_the_whole_history(group, source, path, kept):
    path = f"{path}?k=all-{source}"
    fill(group[0], path, 9, source)
    expected = [str(number) for number in range(10 - kept, 10)]
    for host in reversed(group):
        back = resume(host, path, "0")
        assert back.welcome["recovered"] is (kept == 9)
        assert read_data(back, kept) == expected
        raw = host.connect(f"{path}&since=0")
        for text in expected:
            raw.expect_text(text)
        raw.expect_alive()
    publish(group[0].join(path), "live")
    assert read_data(back) == ["live"]
    raw.expect_text("live")


@by_client_and_over_http
def test_without_since_there_is_no_history(group, source):
    path = f"/five?k=nothing-{source}"
    ids = fill(group[0], path, 9, source)
    late, raw = group[-1].join(path), group[-1].connect(path)
    assert late.welcome["recovered"] is False
    assert late.welcome["last"] == ids[-1]
    publish(group[0].join(path), "live")
    assert read_data(late) == ["live"]
    raw.expect_text("live")


def test_since_0_in_an_empty_room(group):
    client = resume(group[-1], "/five?k=empty", "0")
    assert client.welcome["recovered"] is True
    assert sequence(client.welcome["last"]) == 0
    assert sequence(publish(client, "first")["id"]) == 1


def test_last_event_id_is_as_since(group):
    path, host = "/five?k=header", group[-1]
    client, ids = filled(group[0], path, 9)
    header = [("Last-Event-ID", ids[6])]
    back = host.join(path, headers=header)
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["8", "9"]
    back = resume(host, path, ids[7], headers=header)
    assert read_data(back) == ["9"], '"since" precedes Last-Event-ID'
    raw = host.connect(path, headers=[("last-event-id", "0")])
    for number in range(5, 10):
        raw.expect_text(str(number))
    publish(client, "live")


def test_raw_client_resumes(group):
    client, ids = filled(group[0], "/five?k=raw", 9)
    client.binary(b"\0")
    read_type(client, "message")
    for since, expected in [(ids[4], 4), (ids[8], 0), (ids[6], 2)]:
        raw = group[-1].connect(f"/five?k=raw&since={since}")
        for number in range(10 - expected, 10):
            raw.expect_text(str(number))
        raw.expect_binary(b"\0")
        raw.expect_alive()


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_raw_client_that_missed_messages_is_closed(group, seen):
    path = f"/five?k=miss{seen}"
    client, ids = filled(group[0], path, 9)
    since = ids[seen - 1] if seen else client.welcome["last"]
    raw = group[-1].connect(f"{path}&since={since}")
    raw.expect_failure(1013, "no longer kept: connect with since=0 or without")
    publish(client, "live")


@by_client_and_over_http
@pytest.mark.parametrize("since", ["1-1", "9999999999999999999-1",
                                   "future"])
def test_id_that_the_room_does_not_know(group, source, since):
    path = f"/five?k=unknown{since}-{source}"
    ids = fill(group[0], path, 3, source)
    if since == "future":
        since = ids[0].split("-")[0] + "-4"
    back = resume(group[-1], path, since)
    assert back.welcome["recovered"] is False
    assert read_data(back, 3) == ["1", "2", "3"]
    group[-1].connect(f"{path}&since={since}").expect_failure(
        1013, "no longer kept")
    publish(group[0].join(path), "live")
    assert read_data(back) == ["live"]


@one_host
@pytest.mark.parametrize("since", [
    "", "x", "1", "-", "1-", "-1", "1-2-3", "1-x", "+1-1", "1--1", "%00", "00",
    "99999999999999999999-1", "1-99999999999999999999", "1-1%20", "none",
])
def test_malformed_since_is_refused(group, since):
    server = group[0].server
    assert upgrade(server, f"/five?since={since}") == 400
    server.wait_for_log("refused with 400")
    if since and "%" not in since:
        assert upgrade(server, "/five",
                       headers=[("Last-Event-ID", since)]) == 400
    assert upgrade(server, f"/five?since={since}",
                   headers=[("Last-Event-ID", "0")]) == 400


def test_resuming_client_gets_its_own_messages(group):
    """self=off concerns one connection, so messages of an earlier connection of
    the client are sent."""
    client = group[0].join("/quiet?k=1")
    send_text(client, "mine", ref=1)
    read_type(client, "published")
    client.expect_alive()
    back = resume(group[-1], "/quiet?k=1", "0")
    assert read_data(back) == ["mine"]


# How much is kept

def test_history_ends_with_age(group):
    path = "/short?k=age"
    client, ids = filled(group[0], path, 3)
    back = resume(group[-1], path, ids[0])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["2", "3"]
    leave(back)

    def gone():
        late = resume(group[-1], path, ids[1])
        if late.welcome["recovered"] is False:
            return late
        late.disconnect()
        return None
    late = wait_until(gone, seconds(5), "the end of history")
    late.expect_alive()
    kept = publish(client, "young")
    assert read_data(late) == ["young"]
    back = resume(group[-1], path, ids[2])
    assert back.welcome["recovered"] is True
    assert read_data(back) == ["young"]
    assert back.welcome["last"] == kept["id"]


def test_history_outlives_its_clients(group):
    """Hosts that have unsubscribed return it as well."""
    path = "/five?k=alone"
    client, ids = filled(group[-1], path, 7)
    leave(client)
    if group.redis:
        channel = channel_of("room:fivealone")
        wait_until(lambda: not group.redis.subscriptions(channel),
                   seconds(15), "the end of the subscription")
    for host in reversed(group):
        back = resume(host, path, ids[4])
        assert back.welcome["recovered"] is True
        assert read_data(back, 2) == ["6", "7"]
        back.disconnect()


def test_history_outlives_a_reload(nginx):
    host = Hosts(nginx, None, LOCATIONS, 1)[0]
    client, ids = filled(host, "/five?k=1", 7)
    old = host.server.reload()
    client.expect_failure(1001)
    client.disconnect()
    host.server.wait_for_workers_gone(old)
    back = resume(host, "/five?k=1", ids[4])
    assert back.welcome["recovered"] is True
    assert read_data(back, 2) == ["6", "7"]
    assert sequence(publish(back, "8")["id"]) == 8


# Large histories

@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
@pytest.mark.parametrize("path, count, size", [
    ("/long", 5000, 10), ("/long", 1000, 3000), ("/long", 300, 20000),
    ("/small", 5000, 100), ("/small", 100, 20000), ("/small", 3, 1000000),
])
def test_large_history_arrives_whole(group, protocols, path, count, size):
    path = f"{path}?k={count}-{size}-{len(protocols)}"
    if len(group) > 1:
        count = min(count, 1000)
    client = group[0].connect(path)
    texts = [f"{number:06}".ljust(size, ".") for number in range(count)]
    for text in texts:
        client.text(text)
        client.expect_text(text)
    late = group[-1].connect(f"{path}&since=0", subprotocols=protocols)
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
    """Messages published meanwhile follow the history."""
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


@one_host
def test_reader_of_history_does_not_hold_up_others(group):
    path, server = "/long?k=fair", group[0].server
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
