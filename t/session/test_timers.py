"""The timers of a session: idle, ping, close and send."""

import select
import time

import pytest

import wire
from nginx_server import seconds
from tuned_client import (TIGHT_LISTEN, connect_tight, framed, numbered,
                          send_until_refused)

LOCATIONS = """
location /idle { websocket echo; websocket_timeout 200ms;
                 websocket_ping_interval off; websocket_close_timeout 5s; }
location /mute { websocket echo; websocket_timeout 200ms;
                 websocket_ping_interval off; websocket_close_timeout 800ms; }
location /ping { websocket echo; websocket_ping_interval 100ms;
                 websocket_timeout 700ms; }
location /slow-ping { websocket echo; websocket_ping_interval 1s;
                      websocket_timeout 5s; }
location /no-ping { websocket echo; websocket_ping_interval off;
                    websocket_timeout 1s; }
location /default { websocket echo; websocket_timeout 1500ms; }
location /lazy { websocket echo; websocket_ping_interval 10s;
                 websocket_timeout 1500ms; }
location /subscribe { websocket room silent self=off;
                      websocket_ping_interval 200ms; }
location /publish { websocket room silent; websocket_ping_interval 200ms; }
location /close { websocket echo; websocket_close_timeout 800ms; }
location /send { websocket echo; websocket_send_timeout 600ms; }
location /patient { websocket echo; websocket_timeout 200ms;
                    websocket_ping_interval off;
                    websocket_send_timeout 30s; }
"""
# nginx's timers have milliseconds, and its clock is that of the last event
EARLY = 0.02


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, listen=TIGHT_LISTEN)


class Stopwatch:
    """Seconds since its creation, which precedes the start of the server's timer:
    the client may learn of that late."""

    def __init__(self):
        self.began = time.monotonic()

    def assert_between(self, shortest, longest):
        passed = time.monotonic() - self.began
        assert shortest - EARLY <= passed <= seconds(longest), passed


def wait_quietly(client, duration):
    """Waits; fails if something arrives."""
    ready, _, _ = select.select([client.socket], [], [], duration)
    assert not ready, client.socket.recv(1000)


def wait_unread(duration):
    """Waits, and leaves arriving data in the socket."""
    select.select([], [], [], duration)


# websocket_timeout

def test_idle_client_gets_1001_then_the_end(server):
    watch = Stopwatch()
    client = server.connect("/idle")
    client.expect_close(1001, "nothing received")
    watch.assert_between(0.2, 3)
    client.close(1001)
    client.expect_eof()
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_by"] == "timeout"
    assert entry["websocket_close_code"] == "1001"
    assert entry["status"] == "101"


def test_silence_from_the_first_byte_counts(server):
    watch = Stopwatch()
    client = server.connect("/idle", pipelined=wire.text("early"))
    client.expect_text("early")
    client.expect_close(1001)
    watch.assert_between(0.2, 3)


@pytest.mark.parametrize("part", [
    wire.text("whole"), wire.ping("ping"), wire.pong(), b"\x82",
    wire.text("fragment", fin=False),
], ids=["message", "ping", "pong", "byte", "fragment"])
def test_received_bytes_put_the_timeout_off(server, part):
    watch = Stopwatch()
    client = server.connect("/no-ping")
    wait_quietly(client, 0.3)
    client.send(part)
    client.wait_until_read()
    while (frame := client.read_frame()).opcode != wire.CLOSE:
        assert frame.opcode in (wire.TEXT, wire.PONG)
    assert frame.close_code == 1001
    watch.assert_between(1.3, 4)


def test_message_after_the_timeout_close_is_ignored(server):
    client = server.connect("/idle")
    client.expect_close(1001)
    client.send(wire.text("late") + wire.ping("late"))
    client.close(1001)
    client.expect_eof()


def test_idle_client_in_the_middle_of_a_message_gets_1001(server):
    client = server.connect("/idle")
    client.send(wire.header(wire.BINARY, 100000) + bytes(70000))
    client.expect_close(1001)


def test_client_that_is_not_listened_to_does_not_time_out(server):
    messages = numbered(3000, 1000)
    data = framed(messages)  # this takes longer than the timeout
    client = connect_tight(server, "/patient")
    sent = send_until_refused(client, data, 0.8)
    assert sent < len(data)
    client.send(data[sent:])
    for message in messages:
        client.expect_text(message)
    client.expect_close(1001)


# websocket_ping_interval

def test_idle_client_is_pinged_again_and_again(server):
    watch = Stopwatch()
    client = server.connect("/ping")
    for _ in range(3):
        client.expect(wire.PING, b"")
    watch.assert_between(0.3, 3)


def test_client_that_answers_pings_stays(server):
    watch = Stopwatch()
    client = server.connect("/ping")
    for _ in range(12):
        client.expect(wire.PING, b"")
        client.send(wire.pong())
    watch.assert_between(1.2, 10)
    client.text("still here")
    while (frame := client.read_frame()).opcode == wire.PING:
        pass
    assert frame.payload == b"still here"


@pytest.mark.parametrize("path", ["/default", "/lazy"])
def test_pings_come_at_a_third_of_a_shorter_timeout(server, path):
    watch = Stopwatch()
    client = server.connect(path)
    client.expect(wire.PING, b"")
    watch.assert_between(0.5, 3)
    client.send(wire.pong())
    for _ in range(6):
        client.expect(wire.PING, b"")
        client.send(wire.pong())
    watch.assert_between(3.5, 10)
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_by"] == "client"


def test_client_that_only_sends_is_pinged(server):
    """Otherwise a proxy that waits for data of the server cuts the
    connection."""
    watch = Stopwatch()
    client = server.connect("/subscribe")
    pings = 0
    while pings < 5:
        watch.assert_between(0, 10)
        client.text("telemetry")
        ready, _, _ = select.select([client.socket], [], [], 0.05)
        if ready:
            client.expect(wire.PING, b"")
            client.send(wire.pong())
            pings += 1
    watch.assert_between(1.0, 10)


def test_client_that_only_receives_is_pinged(server):
    """Otherwise the client would reach the timeout, or a firewall drop its
    state."""
    watch = Stopwatch()
    client, publisher = server.connect("/subscribe"), server.connect("/publish")
    pings = 0
    while pings < 5:
        publisher.text("news")
        select.select([], [], [], 0.02)
        while select.select([client.socket], [], [], 0)[0]:
            frame = client.read_frame()
            pings += frame.opcode == wire.PING
    watch.assert_between(1.0, 10)


def test_client_that_answers_no_ping_gets_1001(server):
    watch = Stopwatch()
    client = server.connect("/ping")
    pings = 0
    while (frame := client.read_frame()).opcode == wire.PING:
        pings += 1
    assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1001)
    assert 2 <= pings <= 7
    watch.assert_between(0.7, 4)


def test_client_that_talks_is_not_pinged(server):
    client = server.connect("/slow-ping")
    for index in range(20):
        wait_quietly(client, 0.05)
        client.text(str(index))
        client.expect_text(str(index))
    client.expect(wire.PING, b"", timeout=seconds(3))


def test_ping_interval_off_sends_no_ping(server):
    client = server.connect("/no-ping")
    client.expect_close(1001)


# websocket_close_timeout

def test_client_that_never_answers_our_close_is_ended(server):
    watch = Stopwatch()
    client = server.connect("/mute")
    client.expect_close(1001)
    client.expect_eof()
    watch.assert_between(1.0, 5)
    entry = server.wait_for_access_log()
    assert entry["websocket_close_by"] == "timeout"


def test_client_that_talks_on_after_our_close_is_ended(server):
    watch = Stopwatch()
    client = server.connect("/mute")
    client.expect_close(1001)
    while not server.access_log():
        client.send(wire.text("never echoed") * 100)
        ready, _, _ = select.select([client.socket], [], [], 0.01)
        if ready:
            break
        watch.assert_between(0, 5)
    client.expect_eof()
    watch.assert_between(1.0, 5)


@pytest.mark.parametrize("first", [
    wire.close(1000) + wire.text("late"), wire.frame(3), wire.text(b"\xff"),
], ids=["close", "reserved", "bad-text"])
def test_client_that_keeps_the_connection_is_ended(server, first):
    watch = Stopwatch()
    client = server.connect("/close")
    client.send(first)
    assert client.read_frame().opcode == wire.CLOSE
    client.expect_eof()
    assert server.active_connections() == 1
    server.wait_for_access_log(timeout=4)
    watch.assert_between(0.8, 4)


def test_flood_after_a_close_is_ended(server):
    watch = Stopwatch()
    client = server.connect("/close")
    client.send(wire.close(1000) + wire.text("late"))
    client.expect_close(1000)
    sent = 0
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            select.select([], [client.socket], [], 0.5)
            sent += client.socket.send(bytes(4096))
            watch.assert_between(0, 4)
    # The timeout ends it, or the limit of 64 MB after the Close
    watch.assert_between(0 if sent >= 64 << 20 else 0.7, 4)


def test_peer_that_is_gone_is_not_waited_for(server):
    client = server.connect("/idle")
    client.expect_close(1001)
    client.disconnect()
    server.wait_for_access_log(timeout=1)


# websocket_send_timeout

def test_client_that_never_reads_is_ended(server):
    watch = Stopwatch()
    client = connect_tight(server, "/send")
    send_until_refused(client, framed(numbered(4000, 1000)), 0.2)
    entry = server.wait_for_access_log(timeout=4)
    watch.assert_between(0.6, 4)
    assert entry["websocket_close_by"] == "timeout"
    assert entry["websocket_close_code"] == "1006"
    assert "client does not read" in server.log()


def test_client_that_reads_slowly_stays(server):
    messages = numbered(300, 1000)
    watch = Stopwatch()
    client = connect_tight(server, "/send")
    client.send(framed(messages[:200]), duplex=False)
    for index in range(0, 200, 20):
        wait_unread(0.1)
        for message in messages[index:index + 20]:
            client.expect_text(message)
    watch.assert_between(0.8, 20)
    client.expect_alive()


def test_client_that_never_reads_our_close_is_ended(server):
    client = connect_tight(server, "/close")
    data = framed(numbered(200, 1000))
    send_until_refused(client, data + wire.frame(3), 0.1)
    entry = server.wait_for_access_log(timeout=4)
    assert entry["websocket_close_by"] == "error"
