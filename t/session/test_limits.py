"""The resources that hostile clients can use. Each limit has a code, a log line
and a variable; memory is bounded, and other clients are served."""

import contextlib
import json
import time

import pytest

import wire
from nginx_server import seconds, wait_until
from tuned_client import (TIGHT_LISTEN, connect_tight, framed, numbered,
                          send_until_refused)
from worker_probe import memory, memory_is_exact, only_worker

LOCATIONS = """
location /echo { websocket echo; }
location /room { websocket room lobby; websocket_send_queue 64k close;
                 websocket_close_timeout 300ms; }
location /drop { websocket room lobby; websocket_send_queue 64k drop; }
location /send { websocket echo; websocket_send_timeout 300ms; }
location /slow { websocket echo; websocket_timeout 300ms;
                 websocket_ping_interval off; }
location /size { websocket echo; websocket_max_message_size 1k; }
location /frame { websocket echo; websocket_max_frame_size 1k; }
location /kind { websocket echo; websocket_accept text; }
location /rate { websocket echo; websocket_limit_messages rate=1/m burst=0; }
location /few { websocket echo; websocket_max_clients 1; }
location = /status { websocket_status json; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, listen=TIGHT_LISTEN)


def expect_quick_echoes(client, count=30):
    for index in range(count):
        began = time.monotonic()
        client.text(str(index))
        client.expect_text(str(index))
        assert time.monotonic() - began < seconds(1)


@contextlib.contextmanager
def others_served(server):
    """Another client gets quick echoes before and after the block."""
    other = server.connect()
    expect_quick_echoes(other)
    yield other
    expect_quick_echoes(other)


def counted(server):
    """The totals of websocket_status."""
    answer = server.request(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
    return json.loads(answer.body)["total"]


def assert_counted(server, before, code, dropped=False):
    """One more connection has ended with this code."""
    now = counted(server)
    name = str(code)
    assert now["close_codes"][name] == before["close_codes"].get(name, 0) + 1
    assert (now["dropped"] > before["dropped"]) == dropped


def assert_ended(server, code, by, reason, dropped="0"):
    """Checks the access log entry and the log line of the closed client, of
    which others may exist."""
    entry = server.wait_for_access_log(websocket_close_code=code,
                                       websocket_close_by=by)
    if dropped == "0":
        assert entry["websocket_dropped"] == "0"
    else:
        assert int(entry["websocket_dropped"]) > 0
    server.wait_for_log(
        rf'\[info\].*closed by {by}, code {code}, reason "{reason}')
    return entry


# A client that breaks a rule

FAULTS = {
    "size": ("/size", wire.header(wire.BINARY, 1025), 1009, "error",
             "message is too big"),
    "frame": ("/frame", wire.header(wire.BINARY, 1025), 1009, "error",
              "frame is too big"),
    "kind": ("/kind", wire.header(wire.BINARY, 1), 1003, "error",
             "this kind of message is not accepted"),
    "rate": ("/rate", wire.ping() * 2, 1008, "server", "more messages than"),
    "timeout": ("/slow", b"", 1001, "timeout", "nothing received"),
}


@pytest.mark.parametrize("path, data, code, by, reason", FAULTS.values(),
                         ids=FAULTS)
def test_limit_is_reported_to_client_and_logs(server, path, data, code,
                                              by, reason):
    before = counted(server)
    client = server.connect(path)
    client.send(data)
    while (frame := client.read_frame()).opcode == wire.PONG:
        pass
    assert (frame.opcode, frame.close_code) == (wire.CLOSE, code)
    assert frame.close_reason.startswith(reason)
    client.close(code)
    client.expect_eof()
    client.disconnect()
    assert_ended(server, code, by, reason)
    assert_counted(server, before, code)


def test_client_over_the_limit_is_refused(server):
    before = counted(server)["handshakes"]["refused"].get("503", 0)
    server.connect("/few").expect_alive()
    assert server.request(wire.upgrade_request("/few")).status == 503
    entry = server.wait_for_access_log(status=503)
    assert entry["uri"] == "/few" and entry["websocket_close_code"] == ""
    server.wait_for_log(r"\[info\].*refused with 503: "
                        r"websocket_max_clients \(1\) reached")
    assert counted(server)["handshakes"]["refused"]["503"] == before + 1


# A client that never reads

def flood_room(server, path):
    """Fills the queue of a client that does not read; returns it and the
    publisher."""
    stuck = connect_tight(server, path)
    speaker = server.connect("/room")
    for message in numbered(300, 4000):
        speaker.text(message)
        speaker.expect_text(message)
    return stuck, speaker


def test_full_queue_closes_with_1013_and_others_go_on(server):
    before = counted(server)
    with others_served(server):
        _, speaker = flood_room(server, "/room")
        assert_ended(server, 1013, "server", "send queue is full", dropped="+")
    speaker.expect_alive()
    assert_counted(server, before, 1013, dropped=True)
    assert counted(server)["slow_closes"] == before["slow_closes"] + 1


def test_full_queue_drops_and_logs_once(server):
    with others_served(server):
        stuck, speaker = flood_room(server, "/drop")
    speaker.expect_alive()
    stuck.disconnect()
    wait_until(lambda: [entry for entry in server.access_log(uri="/drop")
                        if int(entry["websocket_dropped"]) > 0],
               seconds(5), "the entry of the stuck client")
    assert server.log().count("send queue is full, dropping messages") == 1


def test_client_that_reads_nothing_is_ended(server):
    with others_served(server):
        client = connect_tight(server, "/send")
        send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
        entry = assert_ended(server, 1006, "timeout",
                             "client does not read: websocket_send_timeout "
                             "exceeded")
    assert int(entry["websocket_messages_in"]) > 0


# Clients that do not finish a message

def grown_by(server, act):
    """The growth of the worker's memory in bytes during `act`."""
    pid = only_worker(server)
    before = memory(pid, "Anonymous")
    act()
    return memory(pid, "Anonymous") - before if memory_is_exact() else 0


PARTS = {
    # name: part of a message, and the bytes that it may cost beyond a client
    "header": (wire.header(wire.BINARY, 1 << 20)[:-1], 1024),
    "payload": (wire.header(wire.BINARY, 1 << 20) + b"12345", 8192),
    "fragment": (wire.binary(bytes(100), fin=False), 8192),
    "half": (wire.header(wire.BINARY, 1 << 20) + bytes(1 << 19),
             (1 << 19) + 16384),
}
IDLE = 16384


@pytest.mark.parametrize("part, cost", PARTS.values(), ids=PARTS)
def test_unfinished_messages_cost_their_received_bytes(server, part, cost):
    clients = []

    def hold():
        for _ in range(100):
            client = server.connect()
            client.send(part)
            clients.append(client)
        for client in clients:
            client.wait_until_read()

    with others_served(server):
        assert grown_by(server, hold) < 100 * (IDLE + cost)
    for client in clients:
        client.disconnect()
    server.release_clients()


def test_bytewise_message_delays_no_other(server):
    clients = [server.connect() for _ in range(100)]
    message = wire.text("slowly" * 5)
    with others_served(server) as other:
        for at in range(len(message)):
            for client in clients:
                client.send(message[at:at + 1])
            other.expect_alive()
    for client in clients:
        client.expect_text("slowly" * 5)


# Floods of small frames

FLOODS = {
    "ping": wire.ping(),
    "pong": wire.pong(b"x" * 125),
    "one-byte": wire.binary(b"x"),
    "empty": wire.text(),
    "empty-fragments": wire.frame(wire.CONTINUATION, fin=False),
}


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
def test_flood_takes_no_memory_and_delays_no_other(server, frame):
    clients = [server.connect() for _ in range(4)]
    first = wire.text("a", fin=False) if frame[0] == wire.CONTINUATION else b""
    block = frame * (60000 // len(frame))

    def flood():
        for client in clients:
            client.send(first)
        for _ in range(10):
            for client in clients:
                client.send(block)
                client.buffer.clear()

    with others_served(server):
        # The queues of four clients, and buffers that the worker keeps for
        # reuse
        assert grown_by(server, flood) < 6 << 20
    for client in clients:
        client.disconnect()
    server.release_clients()
