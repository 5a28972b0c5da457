"""The closing handshake and every other end of a connection (RFC 6455 7)."""

import pytest

import wire
from input_splits import whole_and_bytewise
from raw_client import ConnectionWasReset

VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012,
               1013, 1014, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 1, 125, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999,
                 2000, 2999, 5000, 9999, 32767, 65535]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx()


# Begun by the client

@pytest.mark.parametrize("code", VALID_CODES)
@whole_and_bytewise
def test_close_with_valid_code_is_answered_by_it(server, code, cut):
    client = server.connect()
    client.send(wire.close(code), cut)
    client.expect_close(code)
    client.expect_eof()


@whole_and_bytewise
def test_empty_close_is_answered_by_an_empty_close(server, cut):
    client = server.connect()
    client.send(wire.close(), cut)
    client.expect_close(None)
    client.expect_eof()


@pytest.mark.parametrize("reason", [
    "bye", "x" * 123, "до свидания", "\U0001f44b" * 30, "nul\0inside",
], ids=["short", "longest", "cyrillic", "emoji", "nul"])
@whole_and_bytewise
def test_close_with_reason_is_answered_by_its_code(server, reason, cut):
    client = server.connect()
    client.send(wire.close(4000, reason), cut)
    client.expect_close(4000)
    client.expect_eof()


@pytest.mark.parametrize("code", INVALID_CODES)
@whole_and_bytewise
def test_close_with_invalid_code_fails_with_1002(server, code, cut):
    client = server.connect()
    client.send(wire.close(code), cut)
    client.expect_close(1002)
    client.expect_eof()


@pytest.mark.parametrize("body", [
    b"\x03", b"\x00", wire.close_body(1000, b"\xff"),
    wire.close_body(1000, b"ok \xe2\x82"),
    wire.close_body(1000, b"\xed\xa0\x80"),
    wire.close_body(1000, b"\xc0\x80"),
    wire.close_body(1006, "reserved"),
], ids=["one-byte", "one-zero-byte", "reason-ff", "reason-cut",
        "reason-surrogate", "reason-overlong", "code-and-reason"])
@whole_and_bytewise
def test_close_with_invalid_body_fails_with_1002(server, body, cut):
    client = server.connect()
    client.send(wire.frame(wire.CLOSE, body), cut)
    client.expect_close(1002)
    client.expect_eof()


@pytest.mark.parametrize("byte", [b"\x03", b"\x0b"])
def test_one_byte_body_is_not_completed_by_what_follows(server, byte):
    """The code 1000 is 03 e8. The first byte after the frame must not complete
    the code."""
    client = server.connect()
    client.send(wire.frame(wire.CLOSE, byte) + b"\xe8\xe8\xe8\xe8")
    client.expect_close(1002)
    client.expect_eof()


def test_close_reason_of_124_bytes_fails_with_1002(server):
    client = server.connect()
    client.send(wire.close(1000, "x" * 124))
    client.expect_close(1002)
    client.expect_eof()


@whole_and_bytewise
def test_messages_before_a_close_are_answered_before_it(server, cut):
    client = server.connect()
    client.send([wire.text("a"), wire.ping("b"), wire.close(1000)], cut)
    client.expect_text("a")
    client.expect_pong("b")
    client.expect_close(1000)
    client.expect_eof()


@whole_and_bytewise
def test_close_between_fragments_is_answered(server, cut):
    client = server.connect()
    client.send([wire.text("a", fin=False), wire.close(1000)], cut)
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("after", [
    wire.text("late"), wire.ping("late"), wire.close(1001),
    wire.text("bad", mask=None), wire.frame(3), b"\xff" * 50,
    wire.header(wire.BINARY, 1 << 62), wire.binary(bytes(MEBIBYTE)),
], ids=["text", "ping", "close", "unmasked", "reserved", "noise", "huge",
        "mebibyte"])
@pytest.mark.parametrize("together", [True, False],
                         ids=["same-packet", "later"])
def test_data_after_a_close_is_ignored(server, after, together):
    client = server.connect()
    if together:
        client.send(wire.close(1000) + after)
    else:
        client.send(wire.close(1000))
        try:
            client.send(after, duplex=False)
        except ConnectionError:
            pass  # after its Close the server has ended the connection
    client.expect_close(1000)
    try:
        client.expect_eof()
    except ConnectionWasReset:
        assert not together  # the connection ended before the rest arrived


def test_server_ends_the_connection_first(server):
    client = server.connect()
    client.close(1000)
    client.expect_close(1000)
    client.expect_eof(1)
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_code"] == "1000"
    assert entry["websocket_close_by"] == "client"


def test_close_reason_with_line_break_cannot_forge_a_log_line(server):
    client = server.connect()
    client.close(1000, "x\n2026/01/01 00:00:00 [alert] 1#1: forged")
    client.expect_close(1000)
    client.expect_eof()
    client.disconnect()
    server.wait_for_log("forged")
    assert "\n2026/01/01" not in server.log()


# Begun by the server: the Close arrives although input is unread

FAULTS = {
    "unmasked": (wire.text("x", mask=None), 1002),
    "reserved-opcode": (wire.frame(5, "x"), 1002),
    "bad-text": (wire.text(b"\xff"), 1007),
    "too-big": (wire.binary(bytes(MEBIBYTE + 1)), 1009),
}


@pytest.mark.parametrize("fault, code", FAULTS.values(), ids=FAULTS.keys())
def test_close_of_the_server_survives_unread_input(server, fault, code):
    for _ in range(20):
        client = server.connect()
        client.send(fault + wire.binary(bytes(4 * MEBIBYTE)), duplex=False)
        client.expect_close(code)
        client.close(code)
        client.half_close()
        client.expect_eof()
        client.disconnect()


@pytest.mark.parametrize("fault, code", FAULTS.values(), ids=FAULTS.keys())
def test_close_of_the_server_survives_late_input(server, fault, code):
    client = server.connect()
    client.send(fault)
    client.expect_close(code)
    for _ in range(20):
        client.send(wire.binary(bytes(10000)), duplex=False)
        client.wait_until_read()
    client.close(code)
    client.expect_eof()


@pytest.mark.parametrize("fault, code", FAULTS.values(), ids=FAULTS.keys())
def test_replies_before_a_fault_arrive_before_the_close(server, fault, code):
    client = server.connect()
    client.send([wire.text(str(index)) for index in range(200)]
                + [fault, wire.text("never echoed")])
    for index in range(200):
        client.expect_text(str(index))
    client.expect_close(code)
    client.close(code)
    client.expect_eof()


def test_fault_gets_one_close_only(server):
    client = server.connect()
    client.send([wire.frame(3), wire.frame(3), wire.text("x", mask=None),
                 wire.ping("no"), wire.close(1000)])
    client.expect_close(1002)
    client.expect_eof()


def test_fault_closes_with_a_reason(server):
    client = server.connect()
    client.send(wire.text("x", mask=None))
    client.expect_close(1002, r"\w+ \w+")


def test_end_after_a_fault_ends_the_session(server):
    client = server.connect()
    client.send(wire.frame(3))
    client.expect_close(1002)
    client.disconnect()
    entry = server.wait_for_access_log(timeout=2)
    assert entry["websocket_close_code"] == "1002"


# Ends without a closing handshake

def test_end_without_close_ends_the_session(server):
    client = server.connect()
    client.disconnect()
    entry = server.wait_for_access_log(timeout=2)
    assert entry["status"] == "101"


def test_half_close_without_data_is_answered_by_the_end(server):
    client = server.connect()
    client.half_close()
    client.expect_eof(2)


@pytest.mark.parametrize("rest", [
    b"", b"\x81", wire.text("unfinished")[:-1],
    wire.text("fragment", fin=False),
], ids=["clean", "in-header", "in-payload", "in-message"])
def test_half_closed_peer_gets_all_replies_then_the_end(server, rest):
    client = server.connect()
    client.send(b"".join(wire.text(str(index)) for index in range(100))
                + wire.binary(b"z" * 500000) + wire.ping("last") + rest)
    client.half_close()
    for index in range(100):
        client.expect_text(str(index))
    client.expect_binary(b"z" * 500000)
    client.expect_pong("last")
    client.expect_eof(2)


def test_half_close_after_a_close_gets_the_answer(server):
    client = server.connect()
    client.send(wire.text("a") + wire.close(1000))
    client.half_close()
    client.expect_text("a")
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("data", [
    b"", b"\x81", wire.text("cut")[:-1], wire.text("a", fin=False),
    wire.text("echoed"), wire.binary(bytes(MEBIBYTE)),
], ids=["silent", "in-header", "in-payload", "in-message", "with-reply",
        "with-large-reply"])
def test_reset_ends_the_session_without_an_error(server, data):
    client = server.connect()
    client.send(data, duplex=False)
    client.abort()
    server.wait_for_access_log(timeout=2)
