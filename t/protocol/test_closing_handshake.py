"""The end of a connection after a Close of the server. The server reads up to
the client's Close, which may follow other data, and then ends the connection at
once."""

import time

import pytest

import wire
from input_splits import whole_and_bytewise
from nginx_server import seconds
from publish_client import request

MEBIBYTE = 1 << 20
# The server discards at most so many bytes after its Close.
MAX_DISCARDED = 64 * MEBIBYTE

LOCATIONS = """
location /echo { websocket echo; }
location /binary { websocket echo; websocket_accept binary; }
location /small {
    websocket echo;
    websocket_max_message_size 1k;
    websocket_max_frame_size 500;
}
location /subscribe { websocket room a publish=off; }
location /delete { websocket_publish room a; }
location /idle {
    websocket echo;
    websocket_timeout 300ms;
    websocket_ping_interval off;
}
location /limited { websocket echo; websocket_limit_messages rate=1/s; }
location /packed { websocket echo; websocket_deflate on; }
"""
# A long timeout, so that no test passes because of it.
PATIENT = "websocket_close_timeout 60s;"


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=PATIENT, tls=True)


# The path, the bytes that a client sends, and the code of the Close that
# follows
CLOSES = {
    "kind": ("/binary", wire.text("unwanted"), 1003),
    "message": ("/small", wire.fragments(wire.BINARY, *[bytes(400)] * 3),
                1009),
    "frame": ("/small", wire.binary(bytes(600)), 1009),
    "huge": ("/small", wire.binary(bytes(5 * MEBIBYTE)), 1009),
    "policy": ("/subscribe", wire.text("not here"), 1008),
    "idle": ("/idle", b"", 1001),
    "deleted": ("/subscribe", None, 4001),
}
# Bytes that break the protocol, and the code of the Close that follows.
FAILURES = {
    "opcode": (wire.frame(5, "reserved"), 1002),
    "bits": (wire.text("reserved", rsv=6), 1002),
    "unmasked": (wire.text("plain", mask=None), 1002),
    "length": (wire.binary(bytes(5), length_bytes=8), 1002),
    "long-ping": (wire.frame(wire.PING, bytes(1000)), 1002),
    "cut-ping": (wire.ping("cut", fin=False), 1002),
    "continuation": (wire.frame(wire.CONTINUATION, "of nothing"), 1002),
    "text": (wire.text(b"\xff" + bytes(300)), 1007),
    "late-text": (wire.text(bytes(70000) + b"\xe2\x82"), 1007),
}
BROKEN_CLOSES = {
    "code": wire.close(1005),
    "body": wire.frame(wire.CLOSE, b"\3"),
    "reason": wire.close(1000, b"\xff"),
    "unmasked": wire.close(1000, mask=None),
}
closes = pytest.mark.parametrize("path, data, code", CLOSES.values(),
                                 ids=CLOSES.keys())
failures = pytest.mark.parametrize("data, code", FAILURES.values(),
                                   ids=FAILURES.keys())
over_both = pytest.mark.parametrize("tls", [False, True],
                                    ids=["plain", "tls"])


def provoke(server, path, data, tls=False):
    """Connects a client and provokes a Close of the server."""
    client = server.connect(path, tls=tls)
    if data is None:
        server.request(request("DELETE", "/delete?code=4001"))
    else:
        client.send(data)
    return client


def expect_end(server, client, code):
    """The server ends the connection, and nginx logs it, although the client
    keeps its side open. Returns the line of the access log."""
    client.expect_eof()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_code"] == str(code)
    return entry


@closes
@over_both
def test_close_of_the_server_waits_for_the_one_of_the_client(
        server, path, data, code, tls):
    client = provoke(server, path, data, tls)
    client.expect_close(code)
    client.ping("still there?")
    client.wait_until_read()
    client.expect_nothing()
    client.close(code)
    expect_end(server, client, code)


@closes
@whole_and_bytewise
def test_close_of_the_client_is_found_after_what_it_sent_before(
        server, path, data, code, cut):
    client = provoke(server, path, data)
    client.expect_close(code)
    client.send([wire.fragments(wire.TEXT, "never", "delivered"),
                 wire.ping("no"), wire.pong("no"), wire.text(b"\xff" * 200),
                 wire.frame(7), wire.close(code)], cut)
    expect_end(server, client, code)


@failures
@over_both
def test_close_of_the_client_is_found_after_a_failure(
        server, data, code, tls):
    client = server.connect(tls=tls)
    client.send([wire.text("echoed"), data, wire.text("not echoed"),
                 wire.frame(3), wire.close(code)])
    client.expect_text("echoed")
    client.expect_close(code)
    assert expect_end(server, client, code)["websocket_close_by"] == "error"


@pytest.mark.parametrize("data", BROKEN_CLOSES.values(),
                         ids=BROKEN_CLOSES.keys())
@whole_and_bytewise
def test_broken_close_of_the_client_is_its_last_frame(server, data, cut):
    client = server.connect()
    client.send(data, cut)
    client.expect_close(1002)
    expect_end(server, client, 1002)


@pytest.mark.parametrize("data", BROKEN_CLOSES.values(),
                         ids=BROKEN_CLOSES.keys())
@over_both
def test_answer_after_a_broken_close_of_the_client_meets_no_reset(
        server, data, tls):
    client = server.connect(tls=tls)
    client.send(data)
    client.expect_close(1002)
    client.expect_eof()
    for _ in range(3):
        client.close(1002)
        client.wait_until_read()
    client.disconnect()
    server.wait_for_access_log(websocket_close_code=1002)


@failures
@over_both
def test_failure_ends_soon_without_a_close_of_the_client(
        server, data, code, tls):
    client = server.connect(tls=tls)
    client.send(data)
    client.expect_close(code)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(websocket_close_code=code)


@pytest.mark.parametrize("path, data, code", [
    ("/small", wire.header(wire.BINARY, 5000) + bytes(10), 1009),
    ("/binary", wire.header(wire.TEXT, 100), 1003),
], ids=["too-big", "kind"])
@over_both
def test_silence_within_a_refused_frame_ends_soon(
        server, path, data, code, tls):
    client = server.connect(path, tls=tls)
    client.send(data)
    client.expect_close(code)
    client.close(code)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(websocket_close_code=code)


def test_frame_that_still_comes_is_waited_for(server):
    """The server waits longer than for a silent client."""
    client = server.connect("/small")
    client.send(wire.header(wire.BINARY, 5000))
    client.expect_close(1009)
    for _ in range(5):
        client.expect_nothing(0.4)
        client.send(bytes(1000))
    client.close(1009)
    expect_end(server, client, 1009)


def test_silence_within_another_frame_is_waited_for(server):
    client = server.connect("/idle")
    client.send(wire.header(wire.BINARY, 1000))
    client.expect_close(1001)
    client.expect_nothing(1.5)
    client.send(bytes(1000))
    client.close(1001)
    expect_end(server, client, 1001)


def test_flood_is_not_read_for_a_close(server):
    client = server.connect("/limited")
    client.send(wire.text("x") * 3)
    while (came := client.read_frame()).opcode == wire.TEXT:
        pass
    assert came.close_code == 1008
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log()


@over_both
def test_frame_too_long_to_be_dropped_ends_at_once(server, tls):
    client = server.connect(tls=tls)
    client.send(wire.header(wire.BINARY, MAX_DISCARDED + 2) + b"x")
    client.expect_close(1009)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(websocket_close_code=1009)


def test_close_inside_a_compressed_message_is_answered(server):
    client = server.connect(
        "/packed", headers=[("Sec-WebSocket-Extensions",
                             "permessage-deflate")])
    client.send([wire.frame(wire.TEXT, b"\xff\xff", rsv=4, fin=False),
                 wire.frame(wire.CONTINUATION, bytes(3000))])
    client.expect_close(1007)
    client.close(1007)
    expect_end(server, client, 1007)


# The close timeout, if the client's Close does not arrive

def test_close_timeout_ends_a_client_that_does_not_answer(nginx):
    server = nginx(LOCATIONS, http="websocket_close_timeout 500ms;")
    began = time.monotonic()
    client = provoke(server, *CLOSES["frame"][:2])
    client.expect_close(1009)
    client.expect_eof()
    assert time.monotonic() - began > 0.48
    entry = server.wait_for_access_log()
    assert entry["websocket_close_code"] == "1009"


def send_on(client, data):
    """Sends the same data repeatedly until the connection is reset; returns the
    number of bytes sent."""
    client.socket.setblocking(True)
    client.socket.settimeout(seconds(30))
    sent = 0
    try:
        while True:
            sent += client.socket.send(data)
    except (ConnectionResetError, BrokenPipeError):
        return sent


@pytest.mark.parametrize("first", [wire.close(1000), wire.frame(5),
                                   wire.header(wire.BINARY, 1 << 40)],
                         ids=["after-close", "after-failure", "too-big"])
def test_client_that_sends_on_and_on_is_ended(server, first):
    client = server.connect()
    client.send(first + bytes(1000))
    assert client.read_frame().opcode == wire.CLOSE
    sent = send_on(client, bytes(MEBIBYTE))
    assert sent > MAX_DISCARDED
    line = server.wait_for_log("keeps sending after the Close")
    assert f"closed after {MAX_DISCARDED} bytes" in line
    server.wait_for_access_log()


def test_close_timeout_ends_a_client_that_sends_on(nginx):
    server = nginx(LOCATIONS, http="websocket_close_timeout 500ms;")
    client = server.connect()
    client.send(wire.header(wire.BINARY, 1 << 40))
    client.expect_close(1009)
    began = time.monotonic()
    client.socket.setblocking(True)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while time.monotonic() - began < seconds(5):
            client.socket.send(bytes(1000))
            time.sleep(0.01)
    server.wait_for_access_log(websocket_close_code=1009)


# A complete closing handshake

@over_both
@whole_and_bytewise
def test_complete_handshake_ends_the_connection_at_once(server, tls, cut):
    client = server.connect(tls=tls)
    client.send([wire.text("last"), wire.close(1000)], cut)
    client.expect_text("last")
    client.expect_close(1000)
    entry = expect_end(server, client, 1000)
    assert entry["websocket_close_by"] == "client"
    assert float(entry["request_time"]) < 30


@pytest.mark.parametrize("late", [wire.text("late"), bytes(4 * MEBIBYTE)],
                         ids=["little", "much"])
@over_both
def test_close_arrives_though_the_client_sends_on_after_its_own(
        server, late, tls):
    for _ in range(10):
        client = server.connect(tls=tls)
        client.send(wire.close(1000) + late, duplex=False)
        client.expect_close(1000)
        client.expect_eof()
        client.disconnect()
