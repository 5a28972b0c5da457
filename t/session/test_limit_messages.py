"""websocket_limit_messages: messages that count, the rate that passes, and the
Close 1008 after it."""

import time
import zlib

import pytest

import wire
from input_splits import whole_and_bytewise
from nginx_server import seconds
from worker_probe import memory, only_worker

LOCATIONS = """
location /echo { websocket echo; }
location /four { websocket echo; websocket_limit_messages rate=1/m burst=3; }
location /one { websocket echo; websocket_limit_messages burst=0 rate=1r/m; }
location /steady { websocket echo; websocket_limit_messages rate=20/s burst=0; }
location /second { websocket echo; websocket_limit_messages rate=50r/s; }
location /minute { websocket echo; websocket_limit_messages rate=121/m; }
location /pinged { websocket echo; websocket_limit_messages rate=1/m burst=0;
                   websocket_ping_interval 30ms; }
location /deflate { websocket echo; websocket_limit_messages rate=1/m burst=1;
                    websocket_deflate on; }
location /room { websocket room lobby;
                 websocket_limit_messages rate=1/m burst=3; }
location /hasty { websocket echo; websocket_close_timeout 300ms;
                  websocket_limit_messages rate=1/m burst=3; }
"""
INHERITING = """
location /inherits { websocket echo; }
location /overrides { websocket echo; websocket_limit_messages rate=1/m burst=3;
    location /overrides/nested { websocket echo; }
    location /overrides/off { websocket echo; websocket_limit_messages off; }
}
location /off { websocket echo; websocket_limit_messages off; }
"""
REASON = "more messages than websocket_limit_messages"


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def expect_limit(client):
    """The Close for too many messages, and the end of the connection."""
    client.expect_failure(1008, REASON)


def echoes(client):
    """The number of messages that come back before the Close 1008."""
    count = 0
    while True:
        frame = client.read_frame()
        if frame.opcode == wire.CLOSE:
            assert frame.close_code == 1008, frame
            return count
        count += 1


@whole_and_bytewise
def test_messages_beyond_burst_and_rate_close_with_1008(server, cut):
    client = server.connect("/four")
    client.send(wire.text("a") + wire.binary(b"b") + wire.text("c") * 2, cut)
    for payload in "a", b"b", "c", "c":
        client.expect(wire.BINARY if payload == b"b" else wire.TEXT, payload)
    client.text("too much")
    expect_limit(client)
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_code"] == "1008"
    assert entry["websocket_close_by"] == "server"
    assert entry["websocket_messages_in"] == "4"
    assert entry["websocket_bytes_in"] == "4"
    line = server.wait_for_log("websocket: closed")
    assert f'by server, code 1008, reason "{REASON}' in line


@pytest.mark.parametrize("frame", [
    wire.text("x"), wire.binary(b"x" * 100000), wire.ping(b"x"), wire.pong(),
    wire.fragments(wire.TEXT, *"fragments"),
], ids=["text", "binary", "ping", "pong", "fragments"])
def test_flood_in_one_packet_is_cut_off(server, frame):
    client = server.connect("/four", pipelined=frame * 50)
    passed = echoes(client)
    assert passed == (0 if frame == wire.pong() else 4)
    client.close(1008)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(websocket_close_code=1008)


def test_pings_and_messages_count_together(server):
    client = server.connect("/four")
    client.send(wire.text("a") + wire.ping(b"b") + wire.pong() + wire.text("c"))
    client.expect_text("a")
    client.expect_pong(b"b")
    client.expect_text("c")
    client.ping()
    expect_limit(client)


@whole_and_bytewise
def test_fragments_count_as_one_message(server, cut):
    client = server.connect("/one")
    parts = ["", "a", ""] * 20
    client.send(wire.fragments(wire.TEXT, *parts), cut)
    client.expect_text("a" * 20)
    client.send(wire.text("b", fin=False))
    expect_limit(client)


def test_pongs_that_were_asked_for_do_not_count(server):
    client = server.connect("/pinged")
    for _ in range(5):
        client.expect(wire.PING, b"")
        client.send(wire.pong())
    client.text("one")
    while (frame := client.read_frame()).opcode == wire.PING:
        client.send(wire.pong())
    assert frame.payload == b"one"
    client.text("two")
    while (frame := client.read_frame()).opcode == wire.PING:
        pass
    assert frame.close_code == 1008


def test_refusal_needs_no_payload(server):
    client = server.connect("/one")
    client.text("one")
    client.expect_text("one")
    client.send(wire.header(wire.BINARY, 1000000))
    expect_limit(client)


@whole_and_bytewise
def test_compressed_message_is_refused_before_it_is_inflated(server, cut):
    deflated = zlib.compressobj(wbits=-15)
    bomb = deflated.compress(bytes(10 << 20)) + deflated.flush(
        zlib.Z_SYNC_FLUSH)
    client = server.connect(
        "/deflate", headers=[("Sec-WebSocket-Extensions",
                              "permessage-deflate")])
    assert client.response.header("Sec-WebSocket-Extensions")
    client.text("one")
    client.text("two")
    client.expect_text("one")
    client.expect_text("two")
    # Inflated it would be too large: 1009
    client.send(wire.frame(wire.BINARY, bomb[:-4], rsv=4)[:200], cut)
    expect_limit(client)


def test_each_client_has_its_own_rate(server):
    clients = [server.connect("/one") for _ in range(5)]
    for client in clients:
        client.text("one")
        client.expect_text("one")
    clients[0].text("two")
    expect_limit(clients[0])
    clients[1].text("two")
    expect_limit(clients[1])


def test_steady_sender_stays(server):
    client = server.connect("/steady")
    for index in range(8):
        client.text(str(index))
        client.expect_text(str(index))
        time.sleep(0.06)
    client.send([wire.text("a"), wire.text("b")])
    client.expect_text("a")
    expect_limit(client)


@pytest.mark.parametrize("path, least", [("/second", 51), ("/minute", 4)])
def test_default_burst_is_the_rate_of_a_second(server, path, least):
    client = server.connect(path, pipelined=wire.text("x") * 500)
    # More only if the packet arrived in pieces
    assert least <= echoes(client) < least + 20


def test_last_messages_go_to_the_room_before_the_close(server):
    other, client = server.connect("/room"), server.connect("/room")
    client.send([wire.text(str(index)) for index in range(20)])
    for index in range(4):
        client.expect_text(str(index))
    expect_limit(client)
    for index in range(4):
        other.expect_text(str(index))
    other.expect_alive()


def test_flood_that_continues_after_the_close_is_ended(server):
    pid = only_worker(server)
    client = server.connect("/hasty")
    before = memory(pid)
    block = wire.binary(bytes(60000))
    deadline = time.monotonic() + seconds(5)
    with pytest.raises((ConnectionError, AssertionError)):
        while time.monotonic() < deadline:
            client.send(block)
    assert time.monotonic() < deadline, "nginx never stopped reading"
    assert memory(pid) - before < 2 << 20
    server.wait_for_access_log(websocket_close_code=1008)


def passes(server, path, count):
    """Whether so many messages at once are all echoed."""
    client = server.connect(path, pipelined=wire.text("x") * count)
    for _ in range(count):
        frame = client.read_frame()
        if frame.opcode == wire.CLOSE:
            return False
    return True


@pytest.fixture(scope="module", params=["http", "server"])
def inheriting_server(request, module_nginx):
    return module_nginx(INHERITING, **{
        request.param: "websocket_limit_messages rate=1/m burst=1;"})


@pytest.mark.parametrize("path, limit", [
    ("/inherits", 2), ("/overrides", 4), ("/overrides/nested", 4),
    ("/overrides/off", None), ("/off", None)])
def test_limit_of_the_nearest_level_counts(inheriting_server, path, limit):
    assert passes(inheriting_server, path, limit or 500)
    assert limit is None or not passes(inheriting_server, path, limit + 1)


def test_default_is_no_limit(server):
    client = server.connect(pipelined=wire.ping() * 2000)
    for _ in range(2000):
        client.expect_pong()
    assert passes(server, "/echo", 2000)
