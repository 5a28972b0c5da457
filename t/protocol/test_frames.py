"""Single frames: headers, masking, lengths, control frames (RFC 6455 5.2)."""

import pytest

import wire
from input_splits import whole_and_bytewise

LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64, 124, 125, 126,
           127, 128, 255, 256, 4095, 4096, 4097, 16384, 65534, 65535, 65536,
           65537, 262144, 1048576]
BYTEWISE_LENGTHS = [0, 1, 5, 125, 126, 127, 300]
DATA_OPCODES = [wire.TEXT, wire.BINARY]
CONTROL_OPCODES = [wire.CLOSE, wire.PING, wire.PONG]
RESERVED_OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx()


def sample(length):
    """ASCII, so that it is valid as text and as binary, without a short
    period."""
    return bytes(32 + index * 7 % 95 for index in range(length))


def fails_with_1002(server, data, cut, inside_frame=False):
    client = server.connect()
    client.send(data, cut)
    if data[0] & 15 == wire.CLOSE:
        client.expect_close(1002)
        if inside_frame:
            client.half_close()
        client.expect_eof()  # a broken Close was the last frame of the client
    else:
        client.expect_failure(1002, inside_frame=inside_frame)


# Lengths

@pytest.mark.parametrize("opcode", DATA_OPCODES, ids=["text", "binary"])
@pytest.mark.parametrize("length", LENGTHS)
def test_payload_of_length_is_echoed(server, opcode, length):
    client = server.connect()
    client.send(wire.frame(opcode, sample(length)))
    client.expect(opcode, sample(length))
    client.expect_alive()


@pytest.mark.parametrize("opcode", DATA_OPCODES, ids=["text", "binary"])
@pytest.mark.parametrize("length", BYTEWISE_LENGTHS)
def test_payload_sent_bytewise_is_echoed(server, opcode, length):
    client = server.connect()
    client.send(wire.frame(opcode, sample(length)), "each")
    client.expect(opcode, sample(length))


@pytest.mark.parametrize("length", [126, 65535, 65536])
@pytest.mark.parametrize("cut", range(1, 15))
def test_header_cut_anywhere_is_echoed(server, length, cut):
    client = server.connect()
    client.send(wire.binary(sample(length)), cut)
    client.expect_binary(sample(length))


def test_every_byte_value_is_echoed(server):
    client = server.connect()
    client.binary(bytes(range(256)))
    client.expect_binary(bytes(range(256)))


@pytest.mark.parametrize("mask", [
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4", b"\0\0\0\1",
], ids=bytes.hex)
@pytest.mark.parametrize("cut", [None, 3, 7, 8, 9, 10, 11, "each"], ids=str)
def test_any_masking_key_is_removed(server, mask, cut):
    client = server.connect()
    client.send(wire.text(sample(70), mask=mask), cut)
    client.expect_text(sample(70))


@pytest.mark.parametrize("length, length_bytes", [
    (0, 2), (1, 2), (125, 2), (0, 8), (1, 8), (125, 8), (126, 8), (65535, 8),
])
@pytest.mark.parametrize("opcode", DATA_OPCODES, ids=["text", "binary"])
@whole_and_bytewise
def test_length_not_in_shortest_form_fails_with_1002(
        server, opcode, length, length_bytes, cut):
    head = wire.header(opcode, length, length_bytes=length_bytes)
    payload = sample(min(length, 200))
    fails_with_1002(server, head + payload, cut, len(payload) < length)


@pytest.mark.parametrize("length", [0, 1, 125])
@pytest.mark.parametrize("length_bytes", [2, 8])
@pytest.mark.parametrize("opcode", CONTROL_OPCODES,
                         ids=["close", "ping", "pong"])
def test_control_length_not_in_shortest_form_fails_with_1002(
        server, opcode, length, length_bytes):
    data = wire.frame(opcode, sample(length), length_bytes=length_bytes)
    fails_with_1002(server, data, None)


@pytest.mark.parametrize("length", [
    1 << 63, (1 << 63) + 1, (1 << 64) - 1, 3 << 62,
], ids=hex)
@whole_and_bytewise
def test_length_with_top_bit_fails_with_1002(server, length, cut):
    fails_with_1002(server, wire.header(wire.BINARY, length), cut,
                    inside_frame=True)


# Masking

@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
@pytest.mark.parametrize("length", [0, 1, 125])
@whole_and_bytewise
def test_unmasked_frame_fails_with_1002(server, opcode, length, cut):
    fails_with_1002(
        server, wire.frame(opcode, sample(length), mask=None), cut)


@pytest.mark.parametrize("length", [126, 65536])
def test_unmasked_long_frame_fails_with_1002(server, length):
    fails_with_1002(server, wire.binary(sample(length), mask=None), None)


def test_unmasked_frame_after_good_ones_fails_with_1002(server):
    client = server.connect()
    client.send([wire.text("a"), wire.text("b"), wire.text("c", mask=None),
                 wire.text("never read")])
    client.expect_text("a")
    client.expect_text("b")
    client.expect_failure(1002)


# Reserved bits and opcodes

@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [1, 2, 8, 9, 10])
@whole_and_bytewise
def test_reserved_bit_fails_with_1002(server, rsv, opcode, cut):
    fails_with_1002(server, wire.frame(opcode, rsv=rsv), cut)


@pytest.mark.parametrize("rsv", [1, 2, 4])
def test_reserved_bit_on_a_continuation_fails_with_1002(server, rsv):
    data = wire.text("a", fin=False) + wire.frame(0, "b", rsv=rsv)
    fails_with_1002(server, data, None)


@pytest.mark.parametrize("opcode", RESERVED_OPCODES)
@pytest.mark.parametrize("payload", [b"", b"payload"], ids=["empty", "full"])
@whole_and_bytewise
def test_reserved_opcode_fails_with_1002(server, opcode, payload, cut):
    fails_with_1002(server, wire.frame(opcode, payload), cut)


@pytest.mark.parametrize("opcode", RESERVED_OPCODES)
def test_reserved_opcode_without_fin_fails_with_1002(server, opcode):
    fails_with_1002(server, wire.frame(opcode, fin=False), None)


# Control frames

@pytest.mark.parametrize("length", [0, 1, 4, 124, 125])
@whole_and_bytewise
def test_ping_payload_is_answered_in_a_pong(server, length, cut):
    client = server.connect()
    payload = bytes(index * 5 & 255 for index in range(length))
    client.send(wire.ping(payload), cut)
    client.expect_pong(payload)


@whole_and_bytewise
def test_pings_are_answered_in_order(server, cut):
    client = server.connect()
    client.send([wire.ping(str(index)) for index in range(50)], cut)
    for index in range(50):
        client.expect_pong(str(index))


@whole_and_bytewise
def test_ping_between_messages_is_answered_in_order(server, cut):
    client = server.connect()
    client.send([wire.text("a"), wire.ping("1"), wire.binary(b"b"),
                 wire.ping("2"), wire.ping("3"), wire.text("c")], cut)
    client.expect_text("a")
    client.expect_pong("1")
    client.expect_binary(b"b")
    client.expect_pong("2")
    client.expect_pong("3")
    client.expect_text("c")


@whole_and_bytewise
@pytest.mark.parametrize("payload", [b"", b"unasked", bytes(125)],
                         ids=["empty", "short", "longest"])
def test_unsolicited_pong_is_ignored(server, payload, cut):
    client = server.connect()
    client.send([wire.pong(payload), wire.text("next")], cut)
    client.expect_text("next")


@pytest.mark.parametrize("opcode", CONTROL_OPCODES,
                         ids=["close", "ping", "pong"])
@whole_and_bytewise
def test_fragmented_control_frame_fails_with_1002(server, opcode, cut):
    fails_with_1002(server, wire.frame(opcode, fin=False), cut)


@pytest.mark.parametrize("opcode", CONTROL_OPCODES,
                         ids=["close", "ping", "pong"])
@pytest.mark.parametrize("length", [126, 127, 65536])
def test_control_frame_over_125_bytes_fails_with_1002(server, opcode, length):
    fails_with_1002(server, wire.frame(opcode, sample(length)), None)


@pytest.mark.parametrize("opcode", CONTROL_OPCODES,
                         ids=["close", "ping", "pong"])
@whole_and_bytewise
def test_header_of_a_long_control_frame_fails_with_1002(server, opcode, cut):
    fails_with_1002(server, wire.header(opcode, 126), cut, inside_frame=True)


# A frame fails at the first byte that shows the fault

@pytest.mark.parametrize("data", [
    b"\xf1", b"\xc1", b"\xa1", b"\x91", b"\x83", b"\x8f", b"\x09", b"\x08",
    b"\x0a", b"\x81\x05", b"\x89\xfe", b"\x89\xff", b"\x81\x7e", b"\x88\x02",
], ids=bytes.hex)
def test_illegal_first_bytes_fail_without_the_rest(server, data):
    client = server.connect()
    client.send(data)
    client.expect_failure(1002, inside_frame=True)


def test_failure_is_logged_with_code_and_reason(server):
    client = server.connect()
    client.send(wire.frame(3))
    client.expect_close(1002, "reserved opcode")
    client.disconnect()
    server.wait_for_log(r"\[info\] .*websocket: .*1002.*reserved opcode")
