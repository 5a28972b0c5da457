"""Messages: fragments, interleaving, order, size limits (RFC 6455 5.4)."""

import os
import random

import pytest

import wire
from input_splits import whole_and_bytewise

LOCATIONS = """
location /echo { websocket echo; }
location /small {
    websocket echo;
    websocket_max_message_size 1000;
}
location /small-frames {
    websocket echo;
    websocket_max_message_size 1000;
    websocket_max_frame_size 100;
}
location /text { websocket echo; websocket_accept text; }
location /binary { websocket echo; websocket_accept binary; }
location /both { websocket echo; websocket_accept binary text; }
"""
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


# Fragments

@pytest.mark.parametrize("opcode", [wire.TEXT, wire.BINARY],
                         ids=["text", "binary"])
@pytest.mark.parametrize("parts", [
    ("a", "b"), ("", ""), ("", "a"), ("a", ""), ("", "a", ""),
    ("a", "", "b"), ("", "", "", "a", "", ""), ("abc",) * 20,
    ("x" * 125, "y" * 126, "z" * 127),
], ids=lambda parts: "-".join(str(len(part)) for part in parts)[:20])
@whole_and_bytewise
def test_fragments_are_echoed_as_one_message(server, opcode, parts, cut):
    client = server.connect()
    client.send(wire.fragments(opcode, *parts), cut)
    client.expect(opcode, "".join(parts))


@pytest.mark.parametrize("opcode", [wire.TEXT, wire.BINARY],
                         ids=["text", "binary"])
@pytest.mark.parametrize("count, size", [
    (1000, 1), (1000, 0), (100, 1000), (8, 131072), (17, 60000), (3, 65536),
])
def test_many_fragments_are_echoed_as_one_message(server, opcode, count, size):
    parts = [chr(97 + index % 26) * size for index in range(count)]
    client = server.connect()
    client.send(wire.fragments(opcode, *parts))
    client.expect(opcode, "".join(parts))
    client.expect_alive()


@whole_and_bytewise
def test_fragmented_messages_follow_each_other(server, cut):
    client = server.connect()
    client.send([wire.fragments(wire.TEXT, "a", "b"), wire.text("c"),
                 wire.fragments(wire.BINARY, "d", "", "e"),
                 wire.fragments(wire.TEXT, "", "f")], cut)
    client.expect_text("ab")
    client.expect_text("c")
    client.expect_binary(b"de")
    client.expect_text("f")


@whole_and_bytewise
def test_ping_between_fragments_is_answered_at_once(server, cut):
    client = server.connect()
    client.send([wire.text("a", fin=False), wire.ping("1")], cut)
    client.expect_pong("1")
    client.send([wire.frame(0, "b", fin=False), wire.ping("2"),
                 wire.pong("unasked"), wire.ping(bytes(125))], cut)
    client.expect_pong("2")
    client.expect_pong(bytes(125))
    client.send(wire.frame(0, "c"), cut)
    client.expect_text("abc")


@whole_and_bytewise
@pytest.mark.parametrize("fin", [True, False], ids=["last", "unfinished"])
def test_continuation_without_start_fails_with_1002(server, fin, cut):
    client = server.connect()
    client.send(wire.frame(0, "x", fin=fin), cut)
    client.expect_failure(1002)


@whole_and_bytewise
def test_continuation_after_a_whole_message_fails_with_1002(server, cut):
    client = server.connect()
    client.send([wire.fragments(wire.TEXT, "a", "b"), wire.frame(0, "c")], cut)
    client.expect_text("ab")
    client.expect_failure(1002)


@whole_and_bytewise
@pytest.mark.parametrize("inner", [wire.TEXT, wire.BINARY],
                         ids=["text", "binary"])
@pytest.mark.parametrize("fin", [True, False], ids=["last", "unfinished"])
def test_message_inside_a_message_fails_with_1002(server, inner, fin, cut):
    client = server.connect()
    client.send([wire.text("a", fin=False),
                 wire.frame(inner, "b", fin=fin)], cut)
    client.expect_failure(1002)


def test_unfinished_message_is_not_echoed(server):
    client = server.connect()
    client.send(wire.fragments(wire.TEXT, "a", "b", last=False))
    client.expect_alive()


# Order

def test_thousand_pipelined_messages_return_in_order(server):
    client = server.connect()
    opcodes = [wire.TEXT, wire.BINARY]
    client.send([wire.frame(opcodes[index % 2], f"message {index}")
                 for index in range(1000)])
    for index in range(1000):
        client.expect(opcodes[index % 2], f"message {index}")


def test_pipelined_messages_of_all_sizes_return_in_order(server):
    sizes = [0, 1, 125, 126, 5000, 16384, 70000, 3, 65535, 2] * 5
    client = server.connect()
    client.send([wire.binary(bytes([index]) * size)
                 for index, size in enumerate(sizes)])
    for index, size in enumerate(sizes):
        client.expect_binary(bytes([index]) * size)


def test_pipelined_mebibyte_messages_return_in_order(server):
    client = server.connect()
    client.send([wire.binary(bytes([index]) * MEBIBYTE)
                 for index in range(20)])
    for index in range(20):
        client.expect_binary(bytes([index]) * MEBIBYTE)


# Size limits

@pytest.mark.parametrize("opcode", [wire.TEXT, wire.BINARY],
                         ids=["text", "binary"])
def test_message_of_the_limit_is_echoed(server, opcode):
    client = server.connect("/small")
    client.send(wire.frame(opcode, "x" * 1000))
    client.expect(opcode, "x" * 1000)
    client.send(wire.fragments(opcode, "x" * 999, "", "y"))
    client.expect(opcode, "x" * 999 + "y")


@whole_and_bytewise
@pytest.mark.parametrize("path, length", [
    ("/small", 1001), ("/small", 65536), ("/small", (1 << 63) - 1),
    ("/small-frames", 101), ("/small-frames", 1000),
    ("/echo", MEBIBYTE + 1), ("/echo", 1 << 32), ("/echo", (1 << 63) - 1),
])
def test_header_over_the_limit_fails_with_1009(server, path, length, cut):
    client = server.connect(path)
    client.send(wire.header(wire.BINARY, length), cut)
    client.expect_failure(1009, inside_frame=True)


@whole_and_bytewise
@pytest.mark.parametrize("before", [
    ("x" * 1000,), ("x" * 500, "x" * 500), ("x" * 999, "x"),
], ids=["one-fragment", "two-fragments", "odd-fragments"])
def test_fragment_header_over_the_limit_fails_with_1009(server, before, cut):
    client = server.connect("/small")
    client.send(wire.fragments(wire.TEXT, *before, last=False))
    client.expect_alive()
    client.send(wire.header(0, 1, fin=False), cut)
    client.expect_failure(1009, inside_frame=True)


def test_huge_fragment_sum_does_not_overflow(server):
    client = server.connect("/small")
    client.send(wire.binary(b"x" * 100, fin=False))
    client.send(wire.header(0, (1 << 63) - 1))
    client.expect_failure(1009, inside_frame=True)


def test_fragments_of_the_frame_limit_are_echoed(server):
    client = server.connect("/small-frames")
    client.send(wire.fragments(wire.TEXT, *["x" * 100] * 10))
    client.expect_text("x" * 1000)


def test_limit_counts_each_message_separately(server):
    client = server.connect("/small")
    for _ in range(5):
        client.send(wire.fragments(wire.BINARY, "x" * 600, "x" * 400))
        client.expect_binary(b"x" * 1000)


def test_control_frame_is_not_counted_against_the_limit(server):
    client = server.connect("/small")
    client.send([wire.text("x" * 999, fin=False), wire.ping(bytes(125)),
                 wire.frame(0, "y")])
    client.expect_pong(bytes(125))
    client.expect_text("x" * 999 + "y")


# Kinds

@pytest.mark.parametrize("path, opcode", [
    ("/text", wire.TEXT), ("/binary", wire.BINARY), ("/both", wire.TEXT),
    ("/both", wire.BINARY),
])
def test_accepted_kind_is_echoed(server, path, opcode):
    client = server.connect(path)
    client.send(wire.frame(opcode, "yes"))
    client.expect(opcode, "yes")


@whole_and_bytewise
@pytest.mark.parametrize("path, opcode", [
    ("/text", wire.BINARY), ("/binary", wire.TEXT),
])
def test_other_kind_fails_with_1003_at_its_header(server, path, opcode, cut):
    client = server.connect(path)
    client.send(wire.header(opcode, 10), cut)
    client.expect_failure(1003, inside_frame=True)


# Any cut of the input gives the same replies

def script():
    """Frames of each kind, a few hundred bytes, with a Close at the end."""
    return b"".join([
        wire.text("plain"), wire.text(), wire.binary(b"\0\xff" * 10),
        wire.fragments(wire.TEXT, "\u043f\u0440\u0438", "", "\U0001f600"),
        wire.ping("one"), wire.text("frag", fin=False), wire.ping("two"),
        wire.pong("x"), wire.frame(0, "ment", mask=b"\0\xff\1\2"),
        wire.binary(b"n" * 126), wire.ping(bytes(20)),
        wire.close(4001, "\u043a\u043e\u043d\u0435\u0446"),
    ])


def expect_script_replies(client):
    client.expect_text("plain")
    client.expect_text("")
    client.expect_binary(b"\0\xff" * 10)
    client.expect_text("\u043f\u0440\u0438\U0001f600")
    client.expect_pong("one")
    client.expect_pong("two")
    client.expect_text("fragment")
    client.expect_binary(b"n" * 126)
    client.expect_pong(bytes(20))
    client.expect_close(4001)
    client.expect_eof()


@whole_and_bytewise
def test_script_of_frames_is_answered(server, cut):
    client = server.connect()
    client.send(script(), cut)
    expect_script_replies(client)


def test_script_cut_at_any_byte_gives_the_same_replies(server):
    for cut in range(1, len(script())):
        client = server.connect()
        client.send(script(), cut)
        expect_script_replies(client)
        client.disconnect()


def test_script_cut_at_random_places_gives_the_same_replies(server):
    seed = int(os.environ.get("WEBSOCKET_SEED", random.randrange(1 << 32)))
    print(f"WEBSOCKET_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(100):
        count = chance.choice([2, 3, 5, 10, 40])
        places = [chance.randrange(len(script())) for _ in range(count)]
        print("cut at", sorted(places))
        client = server.connect()
        client.send(script(), places)
        expect_script_replies(client)
        client.disconnect()
