"""Input of clients that wait for Redis: their pings and their Close are answered,
and their messages are kept until they join."""

import json

import pytest

import wire
from nginx_server import seconds, wait_until
from redis_faults import injected_fault, wait_until_joined
from room_client import JSON, read
from status_reader import report_of

LOCATIONS = """
location /room { websocket room room history=100; }
location /released {
    websocket room room history=100; websocket_request release;
}
location /slow {
    websocket room slow; websocket_limit_messages rate=1r/m burst=2;
}
location /timed { websocket room timed; websocket_timeout 2s; }
location = /status { websocket_status; keepalive_timeout 2s; }
"""

TIMEOUTS = "connect_timeout=500ms command_timeout=500ms wait=20s"
TRANSPORTS = pytest.mark.parametrize("tls", [False, True],
                                     ids=["plain", "tls"])


@pytest.fixture
def host(hosts, start_redis):
    group = hosts(LOCATIONS, count=1, redis=start_redis(keep=True),
                  proxies=True, options=TIMEOUTS, workers=1, tls=True)
    group.allow_redis_errors()
    return group[0]


def outage(host):
    return injected_fault([host], "cut")


def wait_for_waiting(host, count):
    wait_until(
        lambda: report_of(host.server)["redis"]["waiting"] == count,
        seconds(5), f"{count} waiting clients")


def waiting_client(host, path="/room", **options):
    client = host.server.connect(path, subprotocols=[JSON], **options)
    wait_for_waiting(host, 1)
    return client


def message(text):
    return wire.text(json.dumps({"data": text}))


def expect_messages(client, texts):
    assert read(client, seconds(20))["type"] == "welcome"
    assert [read(client)["data"] for _ in texts] == texts


@TRANSPORTS
@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "bytewise"])
def test_pings_are_answered_and_messages_kept(host, tls, cut):
    """A ping may come between the fragments of a message."""
    with outage(host):
        client = waiting_client(host, tls=tls)
        first, second = message("first"), message("second")
        half = json.dumps({"data": "third"})
        client.send(wire.ping("a") + first + wire.ping("") + second
                    + wire.frame(wire.TEXT, half[:5], fin=False)
                    + wire.ping("b") + wire.pong("unsolicited")
                    + wire.frame(wire.CONTINUATION, half[5:])
                    + wire.ping("c" * 125), cut)
        for payload in (b"a", b"", b"b", b"c" * 125):
            client.expect_pong(payload)
        client.expect_nothing()
    expect_messages(client, ["first", "second", "third"])
    client.expect_alive()


@pytest.mark.parametrize("path", ["/room", "/released"])
def test_pings_with_the_handshake_are_answered(host, path):
    with outage(host):
        client = waiting_client(
            host, path,
            pipelined=wire.ping("a") + message("first") + wire.ping("b"))
        client.expect_pong(b"a")
        client.expect_pong(b"b")
        client.send(message("second"))
    expect_messages(client, ["first", "second"])
    client.expect_alive()


@TRANSPORTS
def test_many_messages_are_not_read_before_the_client_joins(host, tls):
    """Some KB are kept. The Ping behind them waits too."""
    texts = [f"{number}" * 1000 for number in range(9)]
    with outage(host):
        client = waiting_client(host, tls=tls)
        client.send(wire.ping("a"))
        client.expect_pong(b"a")
        client.send(b"".join(map(message, texts)) + wire.ping("b"))
        client.expect_nothing()
    assert read(client, seconds(20))["type"] == "welcome"
    found = [client.read_frame(seconds(5)) for _ in range(10)]
    assert [frame.payload for frame in found
            if frame.opcode == wire.PONG] == [b"b"]
    assert [json.loads(frame.payload)["data"] for frame in found
            if frame.opcode == wire.TEXT] == texts


@TRANSPORTS
@pytest.mark.parametrize("before", [b"", message("unsent")],
                         ids=["at once", "behind a message"])
def test_close_is_answered(host, tls, before):
    with outage(host):
        client = waiting_client(host, tls=tls)
        client.send(before + wire.close(4000, "bye"))
        client.expect_close(4000)
        client.expect_eof()
        wait_for_waiting(host, 0)
        host.server.wait_for_log(
            'closed by client, code 4000, reason "bye"')


def test_invalid_control_frame_closes_the_waiting_client(host):
    with outage(host):
        client = waiting_client(host)
        client.send(wire.ping("a" * 126))
        client.expect_failure(1002)
        wait_for_waiting(host, 0)


def test_pings_count_for_the_limit_of_messages(host):
    with outage(host):
        client = waiting_client(host, "/slow")
        client.send(wire.ping("a") * 4)
        for _ in range(3):
            client.expect_pong(b"a")
        client.expect_failure(1008, "websocket_limit_messages")


def test_messages_of_a_half_closed_client_are_published(host):
    """The end of its input is read after them."""
    with outage(host):
        client = waiting_client(host)
        client.send(message("last"))
        client.half_close()
        client.expect_nothing()
    assert read(client, seconds(20))["type"] == "welcome"
    later = wait_until_joined(host, "/room?since=0")
    assert read(later)["data"] == "last"
    wait_for_waiting(host, 0)


def test_silent_client_is_not_closed_when_it_joins(host):
    """It has waited for longer than websocket_timeout."""
    with outage(host):
        client = waiting_client(host, "/timed")
        later = host.server.open()
        later.send(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert later.read_response().status == 200
        later.expect_eof()  # after keepalive_timeout
        client.send(message("kept"))
    expect_messages(client, ["kept"])
