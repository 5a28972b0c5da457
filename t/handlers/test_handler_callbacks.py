"""Callbacks and calls of handlers: sending, broadcasts, requests, message
checks and subprotocols."""

import re

import pytest

import handler_log
import wire
from deflating_peer import RSV1, DeflatingPeer

LOCATIONS = """
location /room { websocket probe room$arg_k; }
location /other { websocket probe other; }
location /bare { websocket bare room; }
location ~ ^/each/(\\w+) { websocket probe "each $1"; }
location /greet {
    websocket probe greet$arg_k "connected=self hello;others joined;all n;";
}
location /leave { websocket probe leave$arg_k "connected=close self 4000 no"; }
location /early { websocket probe early$arg_k early=1; }
location /pong { websocket probe pong$arg_k "pong=self seen;all pong"; }
location /drained {
    websocket probe drained$arg_k "drained=self drained";
    websocket_send_queue 64m drop;
}
location /tight {
    websocket probe tight$arg_k; websocket_send_queue 64k drop;
}
location /checked { websocket probe checked largest=10; }
location /silly { websocket probe silly largest=10 code=1005; }
location /slow_check {
    websocket probe slow_check slow=1; websocket_deflate on;
}
location /chosen {
    websocket probe chosen subprotocol=two; websocket_subprotocols one;
}
location /unchosen { websocket probe unchosen; websocket_subprotocols one; }
location /unable { websocket probe unable unable=1; }
location /configured { websocket bare bare; websocket_subprotocols one; }
location /own {
    set $own "of nginx"; websocket probe own variable=own;
}
location /upper {
    set $own "of nginx"; websocket probe upper variable=OWN;
}
location /absent { websocket probe absent variable=nothing_such; }
"""
STATUSES = [400, 403, 404, 426, 503, 599]
SILLY = [0, 100, 200, 204, 301, 399, 600, 1000, 4294967295]
for status in STATUSES + SILLY:
    LOCATIONS += (f"location /status/{status} {{"
                  f" websocket probe status{status} status={status}; }}\n")


@pytest.fixture(scope="module")
def server(module_nginx):
    yield from handler_log.checked_server(module_nginx, LOCATIONS)


def ask(client, question):
    client.text(f"ask {question}")
    return client.read_frame().payload.decode()


# client_connecting

@pytest.mark.parametrize("status", STATUSES)
def test_refusal(server, status):
    request = wire.upgrade_request(f"/status/{status}")
    assert server.request(request).status == status
    assert server.wait_for_access_log()["status"] == str(status)
    assert not handler_log.matching(server, "created.*")


@pytest.mark.parametrize("status", SILLY)
def test_invalid_refusal_status_becomes_500(server, status):
    request = wire.upgrade_request(f"/status/{status}")
    assert server.request(request).status == 500
    assert not handler_log.matching(server, "created.*")


def test_handler_is_not_asked_about_an_invalid_handshake(server):
    request = wire.upgrade_request("/status/403", websocket_version="12")
    assert server.request(request).status == 426
    request = wire.upgrade_request("/status/403", origin="http://elsewhere")
    assert server.request(request).status == 403
    assert not handler_log.history(server)


# The request

def test_request(server):
    client = server.connect("/room/%41?k=q&x=%20y",
                            headers=[("X-One", "first"), ("x-one", "second"),
                                     ("X-Empty", "")])
    assert ask(client, "uri") == "/room/A"
    assert ask(client, "args") == "k=q&x=%20y"
    assert ask(client, "header x-oNE") == "first"
    assert ask(client, "header X-Empty") == ""
    assert ask(client, "header X-Absent") == "(absent)"
    assert ask(client, "header Host")
    assert ask(client, "remote") == "127.0.0.1"
    assert ask(client, "subprotocol") == "(absent)"
    assert ask(client, "name") == "roomq"
    assert ask(client, "buffered") == "0"


def test_request_without_arguments(server):
    assert ask(server.connect("/other"), "args") in ("", "(absent)")


def test_ids_differ(server):
    clients = [server.connect("/room") for _ in range(5)]
    ids = {int(ask(client, "id")) for client in clients}
    assert len(ids) == 5
    assert max(ids) < 2**53


@pytest.mark.parametrize("path, expected", [
    ("/own", "variable is of nginx"), ("/upper", "variable is of nginx"),
    ("/absent", "variable absent "),
])
def test_variable(server, path, expected):
    server.connect(path).expect_alive()
    assert expected in handler_log.history(server)


def test_key_with_a_capture(server):
    assert ask(server.connect("/each/one"), "name") == "each one"
    assert ask(server.connect("/each/two"), "name") == "each two"


# Sending and broadcasts

def test_sending_and_closing_inside_client_connected(server):
    first = server.connect("/greet")
    first.expect_text("hello")
    first.expect_text("n")
    second = server.connect("/greet")
    second.expect_text("hello")
    second.expect_text("n")
    first.expect_text("joined")
    first.expect_text("n")
    closed = server.connect("/leave")
    closed.expect_failure(4000)


def test_nothing_can_be_sent_before_client_connected(server):
    client = server.connect("/early")
    client.expect_alive()
    assert len(handler_log.matching(server, r"send \d+ -> 3")) == 1


def test_broadcast_reaches_the_clients_of_one_resource(server):
    inside = [server.connect("/room?k=b") for _ in range(10)]
    outside = [server.connect(path) for path in
               ("/room?k=c", "/other", "/bare")]
    inside[3].send(wire.text("all one;bytes two") + wire.text("all three"))
    for client in inside:
        client.expect_text("one")
        client.expect_binary("two")
        client.expect_text("three")
        client.expect_alive()
    for client in outside:
        client.expect_alive()
    assert ask(inside[0], "count") == "10"


def test_broadcast_of_many_sizes(server):
    clients = [server.connect("/room?k=sizes") for _ in range(3)]
    for size in (0, 125, 126, 65535, 65536, 200000):
        clients[0].text("all " + "x" * size)
        for client in clients:
            client.expect_text("x" * size)


@pytest.mark.parametrize("text, result", [
    ("plain.", 0), ("\N{EURO SIGN}", 4), ("x\N{EURO SIGN}.", 0), (".", 0),
    ("J\N{LATIN SMALL LETTER O WITH DIAERESIS}", 4)])
def test_text_that_is_not_utf_8_is_not_sent(server, text, result):
    clients = [server.connect("/room?k=utf8") for _ in range(2)]
    clients[0].text(f"cut {text};cutall {text}")
    left = text.encode()[:-1].decode(errors="replace")
    for client in clients:
        for _ in range((2 if client is clients[0] else 1) if not result else 0):
            client.expect_text(left)
        client.expect_alive()
    handler_log.wait_for_lines(server, f"cut -> {result}")
    handler_log.wait_for_lines(server, f"cutall -> {result}")


def test_text_that_is_not_utf_8_is_logged_once_in_a_while(server):
    client = server.connect("/room?k=utf8")
    client.send(wire.text("cut x\N{EURO SIGN};cutall x\N{EURO SIGN}") * 500)
    client.expect_alive()
    for line in ("not sent: text is not valid UTF-8",
                 "published text that is not valid UTF-8: message dropped"):
        lines = re.findall(rf"\[info\].*{line}", server.log(since=0))
        # Lines of earlier tests count too: at most one in ten seconds.
        assert 1 <= len(lines) <= 5, lines


def test_reason_of_a_close(server):
    client = server.connect("/room?k=reason")
    client.text("close self 4000 " + "x" * 122 + "\N{EURO SIGN}")
    client.expect_failure(4000, "x" * 122 + "$")
    client.disconnect()
    handler_log.wait_for_lines(server, 'disconnected [0-9]+ 4000 "x{122}"')


def test_one_client_closes_all_others(server):
    clients = [server.connect("/room?k=c") for _ in range(5)]
    clients[2].text("close others 4002 out;all x;others y;close others 4003;"
                    "close self 4004;self z")
    for index, client in enumerate(clients):
        if index == 2:
            client.expect_text("x")
            client.expect_failure(4004)
        else:
            client.expect_failure(4002, "out")
        client.disconnect()
    handler_log.wait_for_lines(server, "resource destroyed")
    assert len(handler_log.matching(server, r"send \d+ -> 3")) == 5


def test_results_of_sending(server):
    client = server.connect("/tight")
    client.text("self x")
    client.expect_text("x")
    client.text("fill 300")
    handler_log.wait_for_lines(server, "filled -> 2, something waits")
    assert handler_log.matching(server, r"send \d+ -> 0")
    client.abort()


def test_full_queue_of_one_does_not_harm_a_broadcast(server):
    slow, quick = (server.connect("/tight?k=f") for _ in range(2))
    slow.text("fill 300")
    handler_log.wait_for_lines(server, "filled .*")
    quick.text("all x")
    quick.expect_text("x")
    slow.abort()


def test_ping_and_pong(server):
    client = server.connect("/pong")
    client.text("ping " + "p" * 10)
    client.expect(wire.PING, "p" * 10)
    client.send(wire.pong("p" * 10))
    client.expect_text("seen")
    client.expect_text("pong")
    client.text("ping " + "q" * 200)
    client.expect(wire.PING, "q" * 125)
    client.send(wire.pong("unasked"))
    client.expect_text("seen")
    assert handler_log.matching(server, "pong .*") == ["pong " + "p" * 10,
                                             "pong unasked"]


def test_drained(server):
    client = server.connect("/drained")
    client.text("fill 300")
    handler_log.wait_for_lines(server, "filled -> 1, something waits")
    assert not handler_log.matching(server, "drained.*")
    for _ in range(300):
        assert len(client.read_frame().payload) == 65536
    client.expect_text("drained")
    client.expect_alive()
    assert len(handler_log.matching(server, "drained.*")) == 1


def test_empty_queue_is_not_reported_as_drained(server):
    client = server.connect("/drained")
    for _ in range(3):
        client.text("self x")
        client.expect_text("x")
    assert not handler_log.matching(server, "drained.*")


# check_message

def test_check_runs_before_the_payload(server):
    client = server.connect("/checked")
    client.send(wire.header(wire.BINARY, 1000000))
    client.expect_close(4009)
    client.abort()
    assert handler_log.matching(server,
                                "check.*") == ["check 2 1000000 1000000"]


def test_check_of_fragments(server):
    client = server.connect("/checked")
    client.send(wire.fragments(wire.TEXT, "self ", "", "abc"))
    client.expect_text("abc")
    assert handler_log.matching(server, "check.*") == [
        "check 1 5 5", "check 1 0 5", "check 1 3 8"]
    client.send(wire.fragments(wire.TEXT, "noted ", "12345", last=False))
    client.expect_failure(4009)
    assert not handler_log.matching(server, "noted.*")


def test_check_counts_each_message_separately(server):
    client = server.connect("/checked")
    for _ in range(3):
        client.send(wire.binary("12345678"))
        client.expect_binary("12345678")
    assert handler_log.matching(server, "check.*") == ["check 2 8 8"] * 3


def test_control_frames_are_not_checked(server):
    client = server.connect("/checked")
    client.ping("x" * 100)
    client.expect_pong("x" * 100)
    client.leave()
    assert not handler_log.matching(server, "check.*")


def test_empty_fragment_that_ends_the_turn_ends_its_message(server):
    """The check takes longer than a turn, and no later frame arrives."""
    peer = DeflatingPeer(server, "/slow_check")
    peer.client.send(
        wire.frame(wire.TEXT, peer.compress(b"self x"), fin=False, rsv=RSV1)
        + wire.frame(wire.CONTINUATION))
    peer.client.expect_text("x")


def test_invalid_close_code_of_a_check(server):
    client = server.connect("/silly")
    client.text("x" * 11)
    client.expect_failure(1011)


# Subprotocols

@pytest.mark.parametrize("path, offered, chosen", [
    ("/chosen", ("one", "two"), "two"), ("/chosen", ("one", "Two"), None),
    ("/chosen", (), None), ("/unchosen", ("one",), None),
    ("/configured", ("two", "one"), "one"), ("/configured", ("two",), None),
])
def test_subprotocol(server, path, offered, chosen):
    client = server.connect(path, subprotocols=offered)
    assert client.response.header("Sec-WebSocket-Protocol") == chosen
    if path != "/configured":
        assert ask(client, "subprotocol") == (chosen or "(absent)")
        assert handler_log.matching(server, "offered.*") == [
            f"offered {name}" for name in offered]


def test_subprotocol_that_cannot_be_chosen(server):
    request = wire.upgrade_request("/unable", protocol="one")
    assert server.request(request).status == 500
    server.wait_for_log("failed to select a subprotocol")
    assert not handler_log.matching(server, "created.*")


# The log

def test_text_of_a_log_line_stays_on_its_line(server):
    client = server.connect("/room?k=log")
    client.text("noted a\n2026/01/01 [alert] b\r\x1b[0m")
    client.expect_alive()
    line = server.wait_for_log("noted a")
    assert "[alert] b" in line
    assert not any(byte in line for byte in "\r\x1b")


def test_log_after_the_handlers_level(server):
    server.allow_errors("it failed")
    client = server.connect("/room?k=level")
    client.text("fail")
    client.expect_failure(1011)
    client.disconnect()
    assert "[error]" in server.wait_for_log('probe "roomlevel": it failed')
    server.wait_for_access_log(websocket_close_by="error")
