"""permessage-deflate (RFC 7692) against Python's zlib: negotiation, both
directions with and without context takeover, limits."""

import os
import zlib

import pytest

import wire
from deflating_peer import RSV1, TAIL, DeflatingPeer
from worker_probe import memory, memory_is_exact, only_worker

TEXT = "so much depends upon a red wheel barrow glazed with rain water "
ECHO = "websocket echo; websocket_deflate on;"
LOCATIONS = f"""
location /off {{ websocket echo; }}
location /echo {{ {ECHO} }}
location /kept {{ {ECHO} websocket_deflate_context_takeover on; }}
location /small {{
    {ECHO} websocket_deflate_window 9; websocket_deflate_client_window 8;
    websocket_deflate_context_takeover on;
}}
location /all {{ {ECHO} websocket_deflate_min_length 0; }}
location /long {{ {ECHO} websocket_deflate_min_length 1k; }}
location /strict {{ {ECHO} websocket_max_message_size 100k; }}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


# Negotiation

PLAIN = "permessage-deflate"
BOTH = (PLAIN + "; server_no_context_takeover; client_no_context_takeover")


@pytest.mark.parametrize("path, offer, answer", [
    ("/off", PLAIN, None), ("/echo", "", None), ("/echo", PLAIN, BOTH),
    ("/kept", PLAIN, PLAIN), ("/echo", "x-other, " + PLAIN, BOTH),
    ("/kept", PLAIN + "; server_no_context_takeover",
     PLAIN + "; server_no_context_takeover"),
    ("/kept", PLAIN + "; client_no_context_takeover",
     PLAIN + "; client_no_context_takeover"),
    ("/kept", PLAIN + "; server_max_window_bits=10",
     PLAIN + "; server_max_window_bits=10"),
    ("/kept", PLAIN + "; server_max_window_bits=8", None),
    ("/kept", PLAIN + "; server_max_window_bits", None),
    ("/kept", PLAIN + "; server_max_window_bits=8, " + PLAIN, PLAIN),
    ("/kept", PLAIN + "; unknown", None),
    ("/kept", PLAIN + "; client_max_window_bits; client_max_window_bits",
     None),
    ("/kept", PLAIN + "; client_max_window_bits=16", None),
    ("/kept", PLAIN + '; server_max_window_bits="12"',
     PLAIN + "; server_max_window_bits=12"),
    ("/kept", PLAIN + "; ; =", None),
    ("/small", PLAIN + "; client_max_window_bits",
     PLAIN + "; client_max_window_bits=8"),
])
def test_offer_is_answered(server, path, offer, answer):
    peer = DeflatingPeer(server, path, offer)
    assert peer.answer == answer
    if peer.agreed:
        peer.send(TEXT * 3)
        peer.expect(TEXT * 3)
    peer.client.leave()
    peer.client.disconnect()
    entry = server.wait_for_access_log(uri=path)
    assert entry["websocket_extensions"] == (answer or "")


def test_offers_of_several_fields_are_tried_in_order(server):
    client = server.connect("/kept", headers=[
        ("Sec-WebSocket-Extensions", PLAIN + "; server_max_window_bits=8"),
        ("Sec-WebSocket-Extensions", PLAIN + "; server_max_window_bits=9")])
    assert client.response.all("Sec-WebSocket-Extensions") == [
        PLAIN + "; server_max_window_bits=9"]


# Messages

@pytest.mark.parametrize("path", ["/echo", "/kept", "/small", "/all"])
@pytest.mark.parametrize("cut", [None, "each"])
def test_messages_in_both_directions(server, path, cut):
    peer = DeflatingPeer(server, path, PLAIN + "; client_max_window_bits")
    for payload in (TEXT * 2, "grüße €😀 " * 20, "x" * 300, TEXT * 50):
        peer.send(payload, cut=cut)
        assert peer.expect(payload) == wire.TEXT
    peer.send(bytes(range(256)) * 4, wire.BINARY, cut=cut)
    assert peer.expect(bytes(range(256)) * 4) == wire.BINARY
    peer.client.expect_alive()


def test_context_is_taken_over_where_it_is_agreed(server):
    peer = DeflatingPeer(server, "/kept")
    sizes = []
    for _ in range(3):
        peer.send(TEXT * 4)
        frame = peer.client.read_frame()
        sizes.append(len(frame.payload))
        assert peer.decompress(frame.payload).decode() == TEXT * 4
    assert sizes[1] < sizes[0] / 2


def test_messages_stand_by_themselves_without_takeover(server):
    peer = DeflatingPeer(server, "/echo")
    for _ in range(3):
        peer.send(TEXT * 4)
        payload = peer.client.read_frame().payload
        alone = zlib.decompressobj(wbits=-15).decompress(payload + TAIL)
        assert alone.decode() == TEXT * 4


@pytest.mark.parametrize("path", ["/echo", "/kept"])
def test_message_in_fragments_with_control_frames_between(server, path):
    peer = DeflatingPeer(server, path)
    for _ in range(2):
        payload = peer.compress((TEXT * 9).encode())
        third = len(payload) // 3
        peer.client.send(
            wire.frame(wire.TEXT, payload[:third], fin=False, rsv=RSV1)
            + wire.ping("between")
            + wire.frame(wire.CONTINUATION, payload[third:2 * third], fin=False)
            + wire.frame(wire.CONTINUATION, b"", fin=False)
            + wire.frame(wire.CONTINUATION, payload[2 * third:]))
        peer.client.expect_pong("between")
        peer.expect(TEXT * 9)


def test_uncompressed_messages_are_taken_too(server):
    peer = DeflatingPeer(server, "/kept")
    for _ in range(2):
        peer.client.text(TEXT * 2)
        peer.expect(TEXT * 2)
        peer.send(TEXT)
        peer.expect(TEXT, compressed=len(TEXT) >= 64)


@pytest.mark.parametrize("path, length, compressed", [
    ("/echo", 63, False), ("/echo", 64, True), ("/long", 1023, False),
    ("/long", 1024, True),
])
def test_short_messages_are_not_compressed(server, path, length, compressed):
    peer = DeflatingPeer(server, path)
    peer.client.text("x" * length)
    peer.expect("x" * length, compressed)


def test_payload_that_would_grow_is_sent_uncompressed(server):
    peer = DeflatingPeer(server)
    payload = os.urandom(1000)
    peer.send(payload, wire.BINARY)
    peer.expect(payload, compressed=False)


def test_empty_message(server):
    peer = DeflatingPeer(server, "/kept")
    peer.client.send(wire.frame(wire.TEXT, b"\x00", rsv=RSV1))
    peer.expect("", compressed=False)
    peer.send(TEXT * 2)
    peer.expect(TEXT * 2)


def test_final_blocks_are_taken(server):
    peer = DeflatingPeer(server)
    whole = zlib.compressobj(wbits=-15)
    payload = whole.compress(b"final " * 20) + whole.flush(zlib.Z_FINISH)
    peer.client.send(wire.frame(wire.TEXT, payload + b"\x00", rsv=RSV1))
    peer.expect("final " * 20)


# Limits and errors

def test_bomb_is_stopped_at_the_limit(server):
    peer = DeflatingPeer(server, "/strict")
    bomb = peer.compress(bytes(300 * 1024 * 1024), 9)
    assert len(bomb) < 400 * 1024
    pid = only_worker(server)
    before = memory(pid)
    peer.client.send(wire.frame(wire.BINARY, bomb, rsv=RSV1), duplex=False)
    peer.client.expect_failure(1009)
    if memory_is_exact():
        assert memory(pid) - before < 1024 * 1024


@pytest.mark.parametrize("size, code", [(100 * 1024, None),
                                        (100 * 1024 + 1, 1009)])
def test_limit_counts_inflated_bytes(server, size, code):
    peer = DeflatingPeer(server, "/strict")
    peer.send("x" * size)
    if code is None:
        peer.expect("x" * size)
    else:
        peer.client.expect_failure(code)


@pytest.mark.parametrize("path, frame, code", [
    ("/off", wire.frame(wire.TEXT, b"x", rsv=RSV1), 1002),
    ("/echo", wire.frame(wire.TEXT, b"\xff\xff\xff", rsv=RSV1), 1007),
    ("/echo", wire.frame(wire.PING, b"", rsv=RSV1), 1002),
    ("/echo", wire.frame(wire.TEXT, b"x", rsv=2), 1002),
    ("/echo", wire.frame(wire.TEXT, b"", fin=False, rsv=RSV1)
     + wire.frame(wire.CONTINUATION, b"", rsv=RSV1), 1002),
])
def test_wrong_frames(server, path, frame, code):
    peer = DeflatingPeer(server, path)
    peer.client.send(frame)
    peer.client.expect_failure(code)


def test_inflated_text_has_to_be_utf_8(server):
    peer = DeflatingPeer(server)
    peer.send(b"caf\xe9 " * 20)
    peer.client.expect_failure(1007)


# Directives

@pytest.mark.parametrize("directive, error", [
    ("websocket_deflate maybe;", '"on" or "off"'),
    ("websocket_deflate_comp_level 0;",
     'invalid value "0" in "websocket_deflate_comp_level" directive; '
     "expected a number from 1 to 9"),
    ("websocket_deflate_comp_level 10;", "from 1 to 9"),
    ("websocket_deflate_window 8;", "from 9 to 15"),
    ("websocket_deflate_window 16;", "from 9 to 15"),
    ("websocket_deflate_client_window 7;", "from 8 to 15"),
    ("websocket_deflate_client_window x;", "from 8 to 15"),
    ("websocket_deflate_min_length x;",
     'in "websocket_deflate_min_length" directive; expected a size'),
    ("websocket_deflate_window 9; websocket_deflate_window 9;", "duplicate"),
    ("websocket_deflate_context_takeover 1;", '"on" or "off"'),
])
def test_directives_refuse(nginx, directive, error):
    passed, output = nginx.check(http=directive)
    assert not passed
    assert error in output


def test_directives_are_inherited(nginx):
    server = nginx("location /echo { websocket echo; }", http="""
        websocket_deflate on; websocket_deflate_comp_level 9;
        websocket_deflate_min_length 0; websocket_deflate_window 12;
        websocket_deflate_client_window 11;
        websocket_deflate_context_takeover on;""")
    offer = (PLAIN + "; server_max_window_bits=15; client_max_window_bits")
    peer = DeflatingPeer(server, "/echo", offer)
    assert peer.terms == {"server_max_window_bits": "12",
                          "client_max_window_bits": "11"}
    peer.send("x")
    peer.expect("x")
