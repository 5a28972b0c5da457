"""The error log: one info line for each refusal and for each close."""

import re
import signal

import pytest

import wire
from raw_client import EndOfStream

LOCATIONS = """
location /echo { websocket echo key; websocket_max_message_size 1k; }
location /impatient { websocket echo; websocket_timeout 120ms;
                      websocket_ping_interval off;
                      websocket_close_timeout 50ms; }
location /silent { websocket echo; websocket_ping_interval 20ms; }
location /page { websocket echo; error_page 426 403 /own; }
location /own { return 200 own; }
location /included { ssi on; ssi_types *; root %%PREFIX%%; }
location /limited { websocket echo; client_max_body_size 1; }
"""

CLOSED = re.compile(
    r'websocket: closed by (?P<who>\w+), code (?P<code>\d+), '
    r'reason "(?P<reason>.*?)"; '
    r'in (?P<in>\d+) messages of (?P<in_bytes>\d+) bytes, '
    r'out (?P<out>\d+) of (?P<out_bytes>\d+), '
    r'dropped (?P<dropped>\d+), after (?P<lasted>\d+\.\d{3})s[^,]*, client: ')


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def our_lines(server):
    """The module's log lines since the test began, which must all be info."""
    lines = [line for line in server.log().splitlines()
             if "websocket" in line.split(", client: ")[0]]
    assert all("[info] " in line for line in lines), lines
    return lines


def the_line(server, pattern):
    """The only log line of the module, after all clients are disconnected."""
    server.wait_for_log(pattern)
    server.release_clients()
    lines = our_lines(server)
    assert len(lines) == 1, lines
    return lines[0]


def closed(server, timeout=5):
    """The fields of the only line about a close."""
    server.wait_for_access_log(status=101, timeout=timeout)
    line = the_line(server, "websocket: closed")
    found = CLOSED.search(line)
    assert found, line
    assert 'request: "GET /' in line
    return found.groupdict()


# Refusals

REFUSALS = {
    "plain": (426, "Upgrade", {"upgrade": None, "connection": None,
                               "key": None, "websocket_version": None}),
    "connection": (426, "Connection", {"connection": "close"}),
    "http-1.0": (426, "HTTP version", {"version": "HTTP/1.0"}),
    "old-version": (426, "Version is not 13", {"websocket_version": "8"}),
    "no-version": (426, "Version is missing", {"websocket_version": None}),
    "two-versions": (400, "Version is repeated",
                     {"websocket_version": ["13", "13"]}),
    "no-key": (400, "Key is missing", {"key": None}),
    "bad-key": (400, "Key is not base64", {"key": "short"}),
    "two-keys": (400, "Key is repeated", {"key": [wire.KEY, wire.KEY]}),
    "subprotocol": (400, "Sec-WebSocket-Protocol", {"protocol": "a b"}),
    "method": (405, "GET", {"method": "POST"}),
    "origin": (403, 'origin "https://evil.example" is not allowed on host '
               '"localhost"', {"origin": "https://evil.example"}),
    "two-origins": (403, "Origin is repeated",
                    {"origin": ["http://localhost"] * 2}),
    "everything": (405, "GET", {
        "method": "PUT", "upgrade": None, "key": None,
        "websocket_version": "8", "origin": "https://evil.example"}),
}


@pytest.mark.parametrize("status, why, fields", REFUSALS.values(),
                         ids=REFUSALS)
def test_refusal_is_logged_once_with_status_and_cause(server, status, why,
                                                      fields):
    client = server.open()
    client.send(wire.upgrade_request(**fields))
    assert client.read_response().status == status
    line = the_line(server, "handshake refused")
    assert re.search(rf"websocket: handshake refused with {status}: .*{why}",
                     line), line
    assert ', client: 127.0.0.1, ' in line


@pytest.mark.parametrize("path, fields, status", [
    ("/page", {"upgrade": None}, 426),
    ("/page", {"origin": "https://evil.example"}, 403),
    ("/echo", {"method": "HEAD"}, 405),
    ("/echo", {"key": None, "headers": [("Content-Length", "5")],
               "body": b"hello"}, 400),
    ("/echo", {"method": "POST", "headers": [("Content-Length", "5")],
               "body": b"hello"}, 405),
], ids=["page", "page-403", "head", "body-400", "body-405"])
def test_refusal_with_page_or_body_is_logged_once(server, path, fields,
                                                  status):
    request = wire.upgrade_request(path, **fields)
    assert server.request(request).status == status
    assert f"with {status}: " in the_line(server, "handshake refused")


def test_each_refusal_of_a_connection_is_logged(server):
    client = server.open()
    for index in range(1, 4):
        client.send(wire.upgrade_request(upgrade=None))
        assert client.read_response().status == 426
        server.wait_for_log("handshake refused")
        assert len(our_lines(server)) == index


def test_subrequest_is_refused_in_one_line(server):
    with open(f"{server.prefix}/included", "w", encoding="ascii") as file:
        file.write('<!--#include virtual="/echo" -->')
    request = b"GET /included HTTP/1.1\r\nHost: a\r\n\r\n"
    assert server.request(request).status == 200
    assert "400: a subrequest" in the_line(server, "handshake refused")


def test_refusal_by_nginx_is_left_to_nginx(server):
    server.allow_errors("too large body")
    client = server.open()
    client.send(wire.upgrade_request("/limited", headers=[
        ("Content-Length", "2")], body=b"12"))
    assert client.read_response().status == 413
    assert not our_lines(server)


# Closes

def test_close_of_the_client_is_logged_with_all_counters(server):
    client = server.connect()
    client.send([wire.text("жж"), wire.binary(b"123"), wire.ping(b"no"),
                 wire.close(4001, "enough")])
    while client.read_frame().opcode != wire.CLOSE:
        pass
    client.expect_eof()
    client.disconnect()
    fields = closed(server)
    assert 0 <= float(fields.pop("lasted")) < 5
    assert fields == {"who": "client", "code": "4001", "reason": "enough",
                      "in": "2", "in_bytes": "7", "out": "2", "out_bytes": "7",
                      "dropped": "0"}


FAULTS = {
    "unmasked": (wire.text("x", mask=None), 1002, "mask"),
    "opcode": (wire.frame(3), 1002, "opcode"),
    "reserved-bit": (wire.text("x", rsv=4), 1002, "reserved bit"),
    "utf8": (wire.text(b"\xff"), 1007, "UTF-8"),
    "too-big": (wire.binary(bytes(1025)), 1009, "too big"),
    "bad-close": (wire.close(1005), 1002, "invalid code"),
    "twice": (wire.frame(3) + wire.text(b"\xff"), 1002, "opcode"),
}


@pytest.mark.parametrize("sent, code, reason", FAULTS.values(), ids=FAULTS)
def test_fault_is_logged_once_with_its_cause(server, sent, code, reason):
    client = server.connect()
    client.send(sent)
    got = client.expect_close(code)
    client.send(wire.close(1000, "other words"))
    client.expect_eof()
    client.disconnect()
    fields = closed(server)
    assert (fields["who"], fields["code"]) == ("error", str(code))
    assert reason in fields["reason"]
    assert fields["reason"] == got.close_reason


@pytest.mark.parametrize("end, who", [
    ("disconnect", "client"), ("half_close", "client"), ("abort", "error")])
def test_end_without_close_is_logged_once(server, end, who):
    client = server.connect()
    client.text("x")
    client.expect_text("x")
    getattr(client, end)()
    fields = closed(server)
    assert (fields["who"], fields["code"]) == (who, "1006")
    assert fields["in"] == fields["out"] == "1"


@pytest.mark.parametrize("answer", ["close", "disconnect", "abort", None])
def test_timeout_is_logged_once_whatever_follows(server, answer):
    client = server.connect("/impatient")
    client.expect_close(1001)
    if answer:
        getattr(client, answer)()
    else:
        client.expect_eof()
    fields = closed(server)
    assert (fields["who"], fields["code"]) == ("timeout", "1001")
    assert "nothing received" in fields["reason"]
    assert 0.1 <= float(fields["lasted"]) < 5


def test_pings_and_messages_are_not_logged(server):
    client = server.connect("/silent")
    for _ in range(3):
        assert client.read_frame().opcode == wire.PING
        client.send([wire.pong(), wire.text("secret payload"), wire.ping()])
        while client.read_frame().opcode != wire.PONG:
            pass
    assert not our_lines(server)
    assert "secret" not in server.log()


def test_upgrade_is_not_logged(server):
    server.connect().expect_alive()
    assert not our_lines(server)


def test_sessions_of_one_moment_have_a_line_each(server):
    clients = [server.connect() for _ in range(20)]
    for index, client in enumerate(clients):
        client.close(4000 + index)
    for client in clients:
        client.expect_close(4000 + clients.index(client))
        client.disconnect()
    server.wait_for_access_log(20, status=101)
    codes = [CLOSED.search(line)["code"] for line in our_lines(server)]
    assert sorted(codes) == [str(4000 + index) for index in range(20)]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_shutdown_logs_each_client_once(nginx, number):
    server = nginx(http="websocket_drain 0;")
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.expect_alive()
    server.send_signal(number)
    for client in clients:
        client.expect_close(1001)
        client.disconnect()
    server.wait_for_exit()
    fields = [CLOSED.search(line).groupdict() for line in our_lines(server)]
    assert len(fields) == 5
    assert {(one["who"], one["code"])
            for one in fields} == {("server", "1001")}
    assert len(server.access_log(status=101)) == 5


@pytest.mark.parametrize("level, seen", [("info", 2), ("notice", 0)])
def test_level_above_info_hides_client_errors(nginx, level, seen):
    server = nginx(level=level)
    assert server.request(wire.upgrade_request(key=None)).status == 400
    client = server.connect()
    client.send(wire.frame(3))
    client.expect_failure(1002)
    with pytest.raises(EndOfStream):
        client.read_bytes(1)
    server.release_clients()
    server.wait_for_access_log(2)
    assert server.log().count("websocket: ") == seen
