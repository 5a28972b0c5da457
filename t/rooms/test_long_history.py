"""A client that resumes with a long history delays others by at most a turn of
the event loop, even if few bytes are sent."""

import zlib

import pytest

import plugin_builder
import wire
from strace import SENDING, traced
from worker_probe import only_worker, stopped

pytestmark = pytest.mark.alone

LOCATIONS = """
websocket_send_queue 2m;
location /tiny { websocket room tiny history=20000; }
location /packed {
    websocket room packed history=20000;
    websocket_deflate on;
}
location /reader { websocket reader all; }
location /alone {
    websocket room alone history=20000;
    websocket_deflate on; websocket_deflate_context_takeover on;
}
"""
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
# The size of a message in bytes, the number of messages, and the most that one
# turn may send. A part has 512 messages or 64 KB and an event of its own; a
# turn may have several.
HISTORIES = {
    "/tiny": (1, 20000, 2000),
    "/packed": (4000, 1500, 80),
    "/alone": (4000, 1500, 80),
}


@pytest.fixture(scope="module")
def server(module_nginx):
    plugin = plugin_builder.build_file("reader.cpp")
    return module_nginx(LOCATIONS, http=f"""websocket_shared_memory 64m;
        websocket_room_memory 32m; websocket_plugin {plugin};""")


def fill(server, path, payload, count):
    """Fills the history; returns a client that keeps the room in use."""
    client = server.connect(path, headers=DEFLATE)
    for at in range(0, count, 10):
        client.send(wire.binary(payload) * 10)
    client.ping("all there")
    while client.read_frame().opcode != wire.PONG:
        pass
    return client


def read_history(client, inflater, payload, count):
    """Reads the history; returns the size of its frames."""
    total = 0
    for _ in range(count):
        frame = client.read_frame()
        got = frame.payload
        total += len(got) + (2 if len(got) < 126 else 4)
        if frame.rsv:
            got = inflater.decompress(got + b"\0\0\xff\xff")
        assert got == payload
    return total


@pytest.mark.parametrize("path", HISTORIES)
def test_long_history_is_sent_in_parts(server, path):
    size, count, max_messages = HISTORIES[path]
    payload = bytes(size)
    fill(server, path, payload, count)
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        client = server.connect(path + "?since=0", headers=DEFLATE)
        total = read_history(client, zlib.decompressobj(-15), payload, count)
    client.expect_alive()
    turns = [max(sent.values(), default=0)
             for sent in trace.bytes_per_turn(SENDING)]
    assert sum(turns) >= total
    assert max(turns) <= max_messages * total / count + 1000, max(turns)


def test_histories_of_many_resuming_clients_are_sent_in_turns(server):
    """Their compression uses the budget of the turn."""
    size, count, max_messages = HISTORIES["/packed"]
    payload = bytes(size)
    fill(server, "/packed", payload, count)
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            clients = [server.open() for _ in range(40)]
            for client in clients:
                client.send(wire.upgrade_request("/packed?since=0",
                                                 headers=DEFLATE))
        total = 0
        for client in clients:
            assert client.read_response().status == 101
            total += read_history(client, zlib.decompressobj(-15), payload,
                                  count)
    turns = [sum(sent.values()) for sent in trace.bytes_per_turn(SENDING)]
    each = total / len(clients) / count
    assert max(turns) <= 2 * max_messages * each, max(turns) / each


def test_history_that_a_client_asks_for_is_handed_over_in_parts(server):
    """This holds even if the socket accepts all of it in one turn."""
    fill(server, "/reader", b"x", 2000)
    client = server.connect("/reader")
    client.text("history")
    for _ in range(2000):
        client.expect_binary(b"x")
    client.text("largest part")
    assert int(client.read_frame().payload) < 600
