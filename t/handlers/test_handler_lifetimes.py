"""Lifetimes of a handler's clients: each client_connected is followed by
exactly one client_disconnected, for each kind of end."""

import re

import pytest

import handler_log
import wire

LOCATIONS = """
location /plain { websocket probe plain; }
location /failing { websocket probe failing connected=fail; }
location /quiet {
    websocket probe quiet; websocket_timeout 100ms;
    websocket_ping_interval off;
    websocket_close_timeout 100ms;
}
location /stuck {
    websocket probe stuck; websocket_send_timeout 100ms;
    websocket_send_queue 64m drop;
}
location /small { websocket probe small; websocket_max_message_size 10; }
location /null { websocket probe null created=null; }
location /leaving {
    websocket probe leaving$arg_k
        "disconnected=self late;close self 4000 late;ping x;all left";
}
location /bare { websocket bare bare; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    yield from handler_log.checked_server(module_nginx, LOCATIONS)


def check_end(server, code, reason="", key="plain"):
    """One client connected, and disconnected once with this code and reason."""
    handler_log.wait_for_lines(server, r"destroyed \d+", key=key)
    life, = handler_log.client_events(server, since=server.error_mark).values()
    assert life == handler_log.ALL_EVENTS
    gone, = handler_log.matching(server, "disconnected .*", key)
    found = re.fullmatch(r'disconnected \d+ (\d+) "(.*)"', gone)
    assert int(found.group(1)) == code
    assert re.search(reason, found.group(2)), gone
    if not reason:
        assert found.group(2) == ""


# Ends by the client

@pytest.mark.parametrize("code, reason, expected", [
    (1000, "", 1000), (1001, "tab closed", 1001), (4999, "own", 4999),
    (None, "", 1005), (1000, "grüße " + "x" * 115, 1000),
])
def test_close_by_the_client(server, code, reason, expected):
    client = server.connect("/plain")
    client.close(code, reason)
    client.expect_close(code)
    client.expect_eof()
    client.disconnect()
    check_end(server, expected, reason)


def test_close_by_a_client_that_keeps_the_socket(server):
    client = server.connect("/plain")
    client.close(1000)
    client.expect_close(1000)
    check_end(server, 1000)
    client.expect_eof()


def test_end_of_stream(server):
    client = server.connect("/plain")
    client.half_close()
    client.expect_eof()
    client.disconnect()
    check_end(server, 1006)


def test_reset(server):
    client = server.connect("/plain")
    client.expect_alive()
    client.abort()
    check_end(server, 1006)


def test_end_of_stream_after_a_message(server):
    client = server.connect("/plain")
    client.text("self one")
    client.half_close()
    client.expect_text("one")
    client.expect_eof()
    client.disconnect()
    check_end(server, 1006)


def test_end_in_one_packet_with_the_handshake(server):
    client = server.open()
    client.send(wire.upgrade_request("/plain") + wire.close(1000, "quick"))
    assert client.read_response().status == 101
    client.expect_close(1000)
    client.expect_eof()
    client.disconnect()
    check_end(server, 1000, "quick")


def test_many_that_vanish_at_once(server):
    clients = [server.connect("/plain") for _ in range(50)]
    for client in clients:
        client.abort()
    handler_log.wait_for_lines(server, 'disconnected .* 1006 ""', 50)
    handler_log.wait_for_lines(server, "destroyed .*", 50)
    assert all(life == handler_log.ALL_EVENTS for life
               in handler_log.client_events(
                   server, server.error_mark).values())


# Ends by the server

def test_close_by_the_handler(server):
    client = server.connect("/plain")
    client.text("close self 4001 own words")
    client.expect_close(4001, "own words")
    client.close(1000, "other")
    client.expect_eof()
    client.disconnect()
    check_end(server, 4001, "own words")


def test_close_by_the_handler_that_is_never_answered(server):
    client = server.connect("/quiet")
    client.text("close self 4001 x")
    client.expect_close(4001)
    client.expect_eof()
    client.disconnect()
    check_end(server, 4001, "x", "quiet")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000,
                                  65535])
def test_codes_invalid_on_the_wire_become_1011(server, code):
    client = server.connect("/plain")
    client.text(f"close self {code} x")
    client.expect_failure(1011)
    client.disconnect()
    check_end(server, 1011, "x")


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1008, 1014, 3000, 4999])
def test_codes_valid_on_the_wire_are_sent(server, code):
    client = server.connect("/plain")
    client.text(f"close self {code}")
    client.expect_failure(code)
    client.disconnect()
    check_end(server, code)


def test_reason_that_is_too_long_is_cut(server):
    client = server.connect("/plain")
    client.text("close self 1000 " + "ä" * 80)
    frame = client.read_frame()
    assert (frame.close_code, frame.close_reason) == (1000, "ä" * 61)
    client.close(1000)
    client.expect_eof()
    client.disconnect()
    check_end(server, 1000, "^ä+$")


def test_closing_twice_and_sending_afterwards(server):
    client = server.connect("/plain")
    client.text("close self 4001;close self 4002;self x;all x;ping x;"
                "self y;close others 4003")
    client.expect_failure(4001)
    client.disconnect()
    check_end(server, 4001)
    assert len(handler_log.matching(server, r"send \d+ -> 3")) == 2
    assert handler_log.matching(server, "ping -> 3")


def test_no_messages_after_the_close(server):
    client = server.connect("/plain")
    client.send(wire.text("close self 4001") + wire.text("noted by mistake"))
    client.expect_failure(4001)
    client.disconnect()
    check_end(server, 4001)
    assert not handler_log.matching(server, "noted.*")


# Errors and timeouts

@pytest.mark.parametrize("data, code", [
    (wire.text("x", mask=None), 1002), (wire.text(b"\xff"), 1007),
    (wire.frame(3, ""), 1002), (wire.close(1005), 1002),
])
def test_protocol_error(server, data, code):
    client = server.connect("/plain")
    client.send(data)
    client.expect_failure(code)
    client.disconnect()
    check_end(server, code, ".")


def test_message_that_is_too_large(server):
    client = server.connect("/small")
    client.text("x" * 11)
    client.expect_failure(1009)
    client.disconnect()
    check_end(server, 1009, ".", "small")


def test_idle_timeout(server):
    client = server.connect("/quiet")
    client.expect_failure(1001)
    client.disconnect()
    check_end(server, 1001, "within websocket_timeout", "quiet")


def test_idle_timeout_without_an_answer(server):
    client = server.connect("/quiet")
    client.expect_close(1001)
    client.expect_eof()
    client.disconnect()
    check_end(server, 1001, "within websocket_timeout", "quiet")


def test_send_timeout(server):
    client = server.connect("/stuck")
    client.text("fill 200")
    check_end(server, 1006, "does not read", "stuck")


def test_binary_message_without_a_callback(server):
    client = server.connect("/bare")
    client.text("x")
    client.expect_failure(1003)


# Failures of the handler

def test_failure_in_a_message(server):
    server.allow_errors('probe "plain": it failed')
    other = server.connect("/plain")
    client = server.connect("/plain")
    client.text("self before;fail;self after")
    client.expect_text("before")
    client.expect_failure(1011)
    client.disconnect()
    handler_log.wait_for_lines(server, r'disconnected \d+ 1011 ".*"')
    other.expect_alive()


def test_failure_in_client_connected(server):
    server.allow_errors('probe "failing": it failed')
    client = server.connect("/failing", pipelined=wire.text("note it"))
    client.expect_failure(1011)
    client.disconnect()
    check_end(server, 1011, ".", "failing")
    assert not handler_log.matching(server, "note.*")


def test_failure_after_a_close(server):
    server.allow_errors('probe "plain": it failed')
    client = server.connect("/plain")
    client.text("close self 4001 first;fail")
    client.expect_failure(4001)
    client.disconnect()
    check_end(server, 4001, "first")


def test_client_that_cannot_be_created(server):
    assert server.request(wire.upgrade_request("/null")).status == 500
    handler_log.wait_for_lines(server, "resource created", key="null",
                               since=0)
    assert not handler_log.client_events(server, server.error_mark)


# Inside client_disconnected

@pytest.mark.parametrize("end", ["close", "abort"])
def test_sending_and_closing_inside_client_disconnected(server, end):
    staying = server.connect("/leaving?k=1")
    client = server.connect("/leaving?k=1")
    if end == "close":
        client.leave()
        client.disconnect()
    else:
        client.abort()
    staying.expect_text("left")
    staying.leave()
    staying.disconnect()
    handler_log.wait_for_lines(server, "resource destroyed")
    assert len(handler_log.matching(server, r"disconnected .*")) == 2
    assert len(handler_log.matching(server, r"send \d+ -> 3")) == 2
    assert len(handler_log.matching(server, r"ping -> 3")) == 2
