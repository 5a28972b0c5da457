"""`websocket_request release`: the access log has the same line as with `keep`.

Two servers differ only in that directive. A client of each does the same, and
their log lines are compared.
"""

import json
import re

import pytest

import wire
from nginx_server import seconds, wait_until
from raw_client import RawClient
from release_log_config import (COMBINED, HTTP, POLICIES, PORTS, SHAPES,
                                server_blocks, write_users)
from tls_client import client_context


@pytest.fixture(scope="module")
def server(module_nginx):
    running = module_nginx(http=HTTP, servers=server_blocks(), tls=True,
                           level="debug",
                           ports=len(PORTS) * len(POLICIES))
    write_users(running)
    running.allow_errors("using uninitialized")
    return running


def port(server, policy, kind):
    return server.ports[POLICIES.index(policy) * len(PORTS)
                        + PORTS.index(kind)]


def open_client(server, number, tls_name):
    """A connection, with TLS and a name for SNI if one is given."""
    client = RawClient(("127.0.0.1", number))
    if tls_name:
        client.socket.setblocking(True)
        client.socket = client_context().wrap_socket(client.socket,
                                                     server_hostname=tls_name)
        client.socket.setblocking(False)
    server.clients.append(client)
    return client


def talk(client):
    """Exchanges a message, and closes with 1000."""
    client.text("hello")
    client.expect_text("hello")
    client.leave()


FIELDS = {
    "host": "One.Example:80",
    "headers": [("User-Agent", 'agent "mine"'),
                ("Referer", "http://x.example/"), ("Cookie", "id=7"),
                ("X-Many", "1"), ("X-Many", "2"), ("X-Quote", 'a"b\\'),
                ("X-Forwarded-For", "192.0.2.9")],
}


def run_at(server, policy, path, act, kind="plain", tls_name=None, before=b"",
           held=False, **fields):
    """Runs one session at one of the servers; returns the log line of its
    end."""
    mark = server.log_size()
    client = open_client(server, port(server, policy, kind), tls_name)
    client.send(before + wire.upgrade_request(path, **{**FIELDS, **fields}))
    client.response = client.read_response()
    assert client.response.status == 101, repr(client.response)
    outcome = "released" if policy == "release" and not held else "kept"
    if policy == "release":
        server.wait_for_log(f"the request is {outcome}", since=mark)
    act(client)
    client.disconnect()
    closed = server.wait_for_log("websocket: closed by", since=mark)
    wait_until(lambda: server.active_connections() == 0, seconds(5),
               "the end")
    return closed


def lines_of(server, path, act=talk, log="all.log", **options):
    """The new lines of the access log for each policy. Those of the error log
    must be equal."""
    written, closed = [], []
    for policy in POLICIES:
        mark = server.size(log)
        closed.append(run_at(server, policy, path, act, **options))
        written.append(server.read(log, mark))
    for index, line in enumerate(closed):
        closed[index] = re.sub(r"^.*(?=websocket: closed)|after [\d.]+s|"
                               r"server: [\d.:]+", "", line)
    assert closed[0] == closed[1]
    return written


def alike(server, path, act=talk, **options):
    """The lines of both policies must be equal; returns them as one object."""
    kept, released = (json.loads(text) for text in
                      lines_of(server, path, act, **options))
    for name, shape in SHAPES.items():
        for entry in (kept, released):
            assert re.fullmatch(shape, entry[name]), (name, entry[name])
            del entry[name]
    assert released == kept
    return released


PATHS = {
    "plain": "/echo?room=a%20b&empty=",
    "if": "/if?room=1",
    "alias": "/alias/x/y.html",
    "capture": "/capture/some/thing",
    "internal redirect": "/internal?room=2",
    "try_files": "/try?room=3",
    "rewritten": "/rewrite?room=4",
    "encoded": "/echo%2e/%61?room=%22&empty",
    "auth_request": "/granted?room=5",
    "no file": "/echo/../echo//x",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_line_is_the_same(server, path):
    entry = alike(server, path)
    assert entry["status"] == "101"
    assert entry["kind"] == "agent"
    assert entry["websocket_close_code"] == "1000"
    assert entry["loud"] == entry["very_loud"] == ""
    assert entry["by_status"] == "upgraded"
    assert int(entry["bytes_sent"]) > int(entry["body_bytes_sent"]) > 0


def test_captures_are_the_same(server):
    kept, released = lines_of(server, "/regex/one/two", log="regex.log")
    assert kept == released == "/elsewhere/two/one/ /regex/one/two1000\n"


def test_values_that_something_has_set_are_the_same(server):
    entry = alike(server, "/echo?room=b")
    assert entry["set_early"] == "early b"
    assert entry["never_set"] == ""
    assert alike(server, "/granted?room=g")["granted"] == ""


def test_line_without_any_header_is_the_same(server):
    entry = alike(server, "/echo", headers=[])
    assert entry["kind"] == "other"
    assert entry["http_user_agent"] == entry["http_x_quote"] == ""


def reset(client):
    client.text("hello")
    client.expect_text("hello")
    client.abort()


def vanish(client):
    client.half_close()
    client.expect_eof()


def break_a_rule(client):
    client.send(wire.frame(3))
    client.expect_failure(1002)


ENDS = {
    "1000": talk, "reset": reset, "end of file": vanish,
    "wrong frame": break_a_rule,
    "reason": lambda client: (client.close(4000, 'a "b"\n'),
                              client.expect_close(4000)),
}


@pytest.mark.parametrize("tls_name", [None, "one.example"],
                         ids=["plain", "tls"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_each_end_is_logged_the_same(server, end, tls_name):
    entry = alike(server, "/echo?room=1", end, tls_name=tls_name,
                  kind="tls" if tls_name else "plain")
    if end is not talk:
        code = entry["websocket_close_code"]
        assert (entry["loud"], entry["very_loud"]) == ("loud", "very loud")
        assert code in ("1006", "1002", "4000")
    assert entry["quiet"] == "agent" + entry["loud"]


def test_timeout_is_logged_the_same(server):
    entry = alike(server, "/impatient",
                  lambda client: client.expect_failure(1001))
    assert entry["websocket_close_by"] == "timeout"


@pytest.mark.parametrize("name", ["one.example", "two.example"])
def test_server_by_name_is_the_same(server, name):
    entry = alike(server, "/echo?room=1", kind="tls", tls_name=name,
                  host=name)
    assert entry["server_name"] == entry["ssl_server_name"] == name
    assert entry["ssl_protocol"].startswith("TLS")
    assert entry["https"] == "on"


def test_room_and_subprotocol_are_the_same(server):
    entry = alike(server, "/chat?room=kitchen", protocol="v1, v2")
    assert entry["websocket_resource"] == "kitchen"
    assert entry["websocket_subprotocol"] == "v2"


def test_extensions_are_the_same(server):
    entry = alike(server, "/deflate", headers=[
        ("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert entry["websocket_extensions"].startswith("permessage-deflate")


def test_address_by_realip_is_the_same(server):
    entry = alike(server, "/real", headers=[("X-Real-IP", "192.0.2.7")])
    assert entry["remote_addr"] == "192.0.2.7"
    assert entry["realip_remote_addr"] == "127.0.0.1"


def test_lines_of_the_error_log_name_the_real_address(server):
    mark = server.log_size()
    client = open_client(server, port(server, "release", "plain"), None)
    client.send(wire.upgrade_request("/real", headers=[
        ("X-Real-IP", "192.0.2.8"), ("Referer", "http://r.example/")]))
    assert client.read_response().status == 101
    server.wait_for_log("the request is released", since=mark)
    talk(client)
    client.disconnect()
    line = server.wait_for_log("websocket: closed by", since=mark)
    assert re.search(r' while serving WebSocket, client: 192\.0\.2\.8, server:'
                     r' one\.example, request: "GET /real HTTP/1\.1", '
                     r'host: "[^"]+", referrer: "http://r\.example/"$', line)


def test_address_of_the_proxy_protocol_is_the_same(server):
    entry = alike(server, "/echo", kind="proxied",
                  before=b"PROXY TCP4 192.0.2.5 127.0.0.1 7777 80\r\n")
    assert entry["proxy_protocol_addr"] == "192.0.2.5"
    assert entry["proxy_protocol_port"] == "7777"


def test_user_is_the_same(server):
    entry = alike(server, "/user", headers=[
        ("Authorization", "Basic amFuZTpzZWNyZXQ=")])
    assert entry["remote_user"] == "jane"


@pytest.mark.parametrize("size", [3000, 7000])
def test_large_headers_are_the_same(server, size):
    text = "".join(f"{number}," for number in range(size))[:size]
    entry = alike(server, f"/echo?room={text}", headers=[
        ("User-Agent", "agent" + text), ("X-Quote", text[::-1]),
        ("Referer", text)])
    assert entry["http_x_quote"] == text[::-1]
    assert entry["arg_room"] == text


def test_request_after_others_is_the_same(server):
    """Its number on the connection, and that it was pipelined."""
    first = b"GET /unset HTTP/1.1\r\nHost: x\r\n\r\n"

    def skip(client):
        while client.response.status != 101:
            client.response = client.read_response()
        talk(client)

    entries = []
    for policy in POLICIES:
        mark = server.size("all.log")
        client = open_client(server, port(server, policy, "plain"), None)
        client.send(first * 2 + wire.upgrade_request("/echo"))
        client.response = client.read_response()
        skip(client)
        client.disconnect()
        wait_until(lambda: "/echo" in server.read("all.log", mark), 5, "line")
        entries.append(json.loads(
            server.read("all.log", mark).split("\n")[-2]))
    assert [entry["connection_requests"] for entry in entries] == ["3", "3"]
    assert [entry["pipe"] for entry in entries] == ["p", "p"]


def test_condition_on_the_end_is_the_same(server):
    assert lines_of(server, "/conditional") == ["", ""]
    assert alike(server, "/conditional", break_a_rule)["loud"] == "loud"


def test_each_of_several_logs_has_its_line(server):
    assert alike(server, "/several?empty=")["status"] == "101"
    kept, released = lines_of(server, "/several?empty=", break_a_rule,
                              log="second.log")
    assert kept == released == r"[a\x22b\x5C|-||loud|agent]" + "\n"


def test_path_with_variables_is_the_same(server):
    assert alike(server, "/path?room=q", log="by-q.log")["arg_room"] == "q"


def test_combined_format_is_the_same(server):
    lines = lines_of(server, "/combined?a=%22", log="combined.log")
    for line in lines:
        assert COMBINED.fullmatch(line.replace("/combined", "/echo")), line


def test_no_log_is_no_line(server):
    assert lines_of(server, "/off") == ["", ""]


def test_frames_after_the_handshake_are_not_lost(server):
    for policy in POLICIES:
        client = open_client(server, port(server, policy, "plain"), None)
        whole = wire.text("x" * 3000)
        client.send(wire.upgrade_request("/echo") + wire.text("one")
                    + whole[:1500])
        assert client.read_response().status == 101
        client.expect_text("one")
        client.send(whole[1500:])
        client.expect_text("x" * 3000)
        client.leave()
