"""The variables $websocket_*. They have values in the access log, once at the
end of a session, and are empty everywhere else."""

import re
import signal

import pytest

import wire
from nginx_config import WEBSOCKET_FIELDS
from nginx_server import wait_until

LOCATIONS = r"""
location /echo {
    websocket echo;
    websocket_max_message_size 1k;
    websocket_close_timeout 500ms;
}
location /rooms/ { websocket echo rooms/$arg_room; }
location /by-uri/ { websocket echo $uri; }
location /itself { websocket echo <$websocket_client$websocket_resource>; }
location /chat { websocket echo; websocket_subprotocols v2.chat chat; }
location /impatient { websocket echo; websocket_timeout 150ms;
                      websocket_ping_interval off; }
location /unread { websocket echo; websocket_send_timeout 50ms; }
location /plain { return 200 plain; }
location /headers { ADDED websocket echo; }
location /headers-plain { ADDED return 200 plain; }
location /rewritten {
    set $client $websocket_client;
    if ($websocket_close_by) { return 403; }
    if ($by_resource = other) { add_header X-Map other always; }
    websocket echo;
}
location /conditional {
    access_log %%PREFIX%%/access.log harness if=$websocket_messages_in;
    websocket echo;
}
location /text { return 200 "<$websocket_client|$websocket_bytes_in>"; }
""".replace("ADDED", " ".join(
    f"add_header X-{name.replace('_', '-')} '<${name}>' always;"
    for name in WEBSOCKET_FIELDS))

HTTP = """
map $websocket_resource $by_resource { default other; "/echo" echo; }
split_clients $websocket_client $half { 50% a; * b; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=HTTP)


def ended(server, client):
    """Disconnects the client; returns the only access log entry of its
    session."""
    client.disconnect()
    entry = server.wait_for_access_log(status=101)
    assert len(server.access_log()) == 1
    return entry


def websocket_values(entry):
    return {name: entry[name] for name in WEBSOCKET_FIELDS if entry[name]}


# The session's own

def test_session_is_logged_once_and_only_at_its_end(server):
    client = server.connect()
    client.expect_alive()
    assert not server.access_log()
    client.close(1000)
    client.expect_close(1000)
    client.expect_eof()
    entry = ended(server, client)
    assert entry["request"] == "GET /echo HTTP/1.1"
    assert entry["status"] == "101"


@pytest.mark.parametrize("path, resource", [
    ("/echo", "/echo"), ("/echo/below?a=b", "/echo"),
    ("/rooms/?room=kitchen", "rooms/kitchen"), ("/rooms/", "rooms/"),
    ("/rooms/?room=" + "r" * 900, "rooms/" + "r" * 900),
    ("/rooms/?room=a%20b%0a", "rooms/a%20b%0a"),
    ("/by-uri/a%20b%0A%22", '/by-uri/a b\n"'),
    ("/itself", "<>"),
])
def test_resource_is_the_key_or_the_location(server, path, resource):
    client = server.connect(path)
    client.leave()
    entry = ended(server, client)
    assert entry["websocket_resource"] == resource
    assert entry["websocket_handler"] == "echo"


@pytest.mark.parametrize("offer, chosen", [
    ("chat", "chat"), ("chat, v2.chat", "v2.chat"), ("v3.chat", ""),
    (None, "")])
def test_subprotocol_is_the_one_answered(server, offer, chosen):
    client = server.connect("/chat", protocol=offer, headers=[
        ("Sec-WebSocket-Extensions", "permessage-deflate")])
    client.leave()
    entry = ended(server, client)
    assert entry["websocket_subprotocol"] == chosen
    assert entry["websocket_extensions"] == ""


@pytest.mark.parametrize("sent, messages, size", [
    ([], 0, 0),
    ([wire.text("")], 1, 0),
    ([wire.text("жж"), wire.binary(b"123")], 2, 7),
    ([wire.fragments(wire.TEXT, "ab", "", "cd")], 1, 4),
    ([wire.text("a"), wire.ping(b"not counted"), wire.pong(b"nor this")],
     1, 1),
    ([wire.binary(b"x" * 1000)] * 30, 30, 30000),
    ([wire.text("a"), wire.text("unfinished", fin=False)], 1, 1),
], ids=["none", "empty", "two", "fragmented", "controls", "many",
        "unfinished"])
def test_messages_and_payload_bytes_are_counted(server, sent, messages, size):
    client = server.connect()
    client.send(sent + [wire.close(1000)])
    while client.read_frame().opcode != wire.CLOSE:
        pass
    client.expect_eof()
    entry = ended(server, client)
    for way in ("in", "out"):
        assert entry[f"websocket_messages_{way}"] == str(messages)
        assert entry[f"websocket_bytes_{way}"] == str(size)
    assert entry["websocket_dropped"] == "0"


@pytest.mark.parametrize("tls", [False, True])
def test_bytes_sent_are_all_bytes_of_the_connection(nginx, tls):
    server = nginx(tls=tls)
    client = server.connect(tls=tls)
    client.send([wire.text("hello"), wire.binary(bytes(70000)), wire.ping()])
    client.expect_text("hello")
    client.expect_binary(bytes(70000))
    client.expect_pong()
    client.leave()
    head = len(client.response.head) + len("\r\n\r\n")
    assert int(ended(server, client)["bytes_sent"]) == (
        head + 2 + 5 + 10 + 70000 + 2 + 4)


def test_request_time_is_the_length_of_the_session(server):
    client = server.connect("/impatient")
    client.expect_failure(1001)
    assert float(ended(server, client)["request_time"]) >= 0.145


# Close code and initiator

CLOSES = {
    "client-code": ([wire.close(1000)], "1000", "client"),
    "client-own-code": ([wire.close(4321, "why")], "4321", "client"),
    "client-no-code": ([wire.close()], "1005", "client"),
    "close-then-more": ([wire.close(1001), wire.frame(3)], "1001", "client"),
    "unmasked": ([wire.text("x", mask=None)], "1002", "error"),
    "bad-close": ([wire.close(1006)], "1002", "error"),
    "not-utf8": ([wire.text(b"\xff")], "1007", "error"),
    "too-big": ([wire.binary(bytes(1025))], "1009", "error"),
    "fault-then-close": ([wire.frame(3), wire.close(1000)], "1002", "error"),
}


@pytest.mark.parametrize("sent, code, by", CLOSES.values(), ids=CLOSES)
def test_close_variables(server, sent, code, by):
    client = server.connect()
    client.send(sent)
    client.expect_close(None if code == "1005" else int(code))
    client.expect_eof()
    entry = ended(server, client)
    assert entry["websocket_close_code"] == code
    assert entry["websocket_close_by"] == by


def test_answer_of_the_client_does_not_change_who_closed(server):
    client = server.connect("/impatient")
    client.expect_close(1001)
    client.close(4000)
    client.expect_eof()
    entry = ended(server, client)
    assert entry["websocket_close_code"] == "1001"
    assert entry["websocket_close_by"] == "timeout"


@pytest.mark.parametrize("end, by", [
    ("disconnect", "client"), ("half_close", "client"), ("abort", "error")])
def test_end_without_close_is_code_1006(server, end, by):
    client = server.connect()
    client.expect_alive()
    getattr(client, end)()
    entry = ended(server, client)
    assert entry["websocket_close_code"] == "1006"
    assert entry["websocket_close_by"] == by


def test_client_that_does_not_read_is_timed_out(server):
    client = server.connect("/unread")
    with pytest.raises((AssertionError, OSError)):
        while True:  # until the server has ended the connection
            client.send(wire.binary(bytes(60000)), duplex=False)
    entry = server.wait_for_access_log(status=101)
    assert entry["websocket_close_code"] == "1006"
    assert entry["websocket_close_by"] == "timeout"


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_close_variables_of_a_shutdown(nginx, number):
    server = nginx()
    client = server.connect()
    client.expect_alive()
    server.send_signal(number)
    client.expect_close(1001)
    client.close(1001)
    client.expect_eof()
    entry = ended(server, client)
    assert entry["websocket_close_code"] == "1001"
    assert entry["websocket_close_by"] == "server"
    server.wait_for_exit()


# Client numbers

def test_client_is_unique_over_the_workers_and_a_reload(nginx):
    server = nginx(
        """location /echo {
            add_header X-Client $websocket_client always;
            add_header X-Pid $pid always;
            websocket echo;
        }""", workers=2, listen="reuseport")
    clients, pids = [], set()

    def connect_to_another():
        clients.append(server.connect())
        pids.add(clients[-1].response.header("X-Pid"))
        return len(pids) >= wanted

    for wanted in (2, 4):
        wait_until(connect_to_another, 10, f"{wanted} workers")
        if wanted == 2:
            for client in clients:
                client.leave()
                client.disconnect()
            server.wait_for_workers_gone(server.reload())
    numbers = [int(client.response.header("X-Client")) for client in clients]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 1 << 53 for number in numbers)
    server.release_clients()
    server.wait_for_access_log(len(numbers), status=101)
    assert sorted(numbers) == sorted(
        int(entry["websocket_client"]) for entry in server.access_log())


# Elsewhere

@pytest.mark.parametrize("request_bytes, status", [
    (b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    (wire.upgrade_request("/plain"), 200),
    (b"broken\r\n\r\n", 400),
], ids=["plain", "upgrade-in-vain", "broken"])
def test_plain_request_has_no_values(server, request_bytes, status):
    client = server.open()
    client.send(request_bytes)
    assert client.read_response().status == status
    client.disconnect()
    entry = server.wait_for_access_log(status=status)
    assert not websocket_values(entry)


@pytest.mark.parametrize("fields, status", [
    ({"upgrade": None}, 426), ({"key": None}, 400), ({"method": "PUT"}, 405),
    ({"origin": "https://evil.example"}, 403)])
def test_refused_request_has_only_its_handler(server, fields, status):
    assert server.request(wire.upgrade_request(**fields)).status == status
    entry = server.wait_for_access_log(status=status)
    assert websocket_values(entry) == {"websocket_handler": "echo"}


def test_headers_of_the_101_may_hold_variables(server):
    client = server.connect("/headers")
    found = {name: client.response.header(f"X-{name.replace('_', '-')}")
             for name in WEBSOCKET_FIELDS}
    assert found.pop("websocket_client") != "<>"
    empty = {name: found.pop("websocket_" + name) for name in (
        "subprotocol", "extensions", "close_code", "close_by", "user")}
    assert set(empty.values()) == {"<>"}
    assert found.pop("websocket_resource") == "</headers>"
    assert found.pop("websocket_handler") == "<echo>"
    assert set(found.values()) == {"<0>"}
    client.leave()
    assert ended(server, client)["websocket_close_code"] == "1000"


@pytest.mark.parametrize("path, status", [
    ("/headers", 426), ("/headers-plain", 200)])
def test_headers_of_other_answers_may_hold_variables(server, path, status):
    response = server.request(wire.upgrade_request(path, upgrade=None))
    assert response.status == status
    assert response.header("X-websocket-client") == "<>"


def test_variables_in_rewrite_map_and_text_are_empty(server):
    client = server.connect("/rewritten")
    assert client.response.header("X-Map") == "other"
    client.expect_alive()
    response = server.request(b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n")
    assert response.body == b"<|>"


def test_log_can_be_limited_to_sessions_with_messages(server):
    server.request(wire.upgrade_request("/conditional", upgrade=None))
    for sent in (b"", wire.text("x"), b""):
        client = server.connect("/conditional")
        client.send(sent + wire.close(1000))
        while client.read_frame().opcode != wire.CLOSE:
            pass
        client.expect_eof()
        client.disconnect()
    server.release_clients()
    entry = server.wait_for_access_log(uri="/conditional")
    assert entry["websocket_messages_in"] == "1"
    assert len(server.access_log()) == 1


# Text from clients

@pytest.mark.parametrize("reason", [
    "\n[alert] forged", "\r\nforged", "a\0b", '"quoted"', "back\\slash",
    "".join(map(chr, range(32))), "\x1b[31mred", "tab\there", "%s%n%V",
    "\x7f", "до свидания", "\x01" * 123,
], ids=ascii)
def test_close_reason_stays_in_its_line_of_the_error_log(server, reason):
    client = server.connect()
    client.close(4000, reason)
    client.expect_close(4000)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(status=101)
    lines = server.log().split("\n")[:-1]
    assert all(re.match(r"\d{4}/\d\d/\d\d [\d:]{8} \[\w+\] ", line)
               for line in lines), lines
    assert not re.search(r"[\x00-\x1f]", "".join(lines))
    assert sum("websocket: " in line for line in lines) == 1
    assert server.log().count("code 4000") == 1
