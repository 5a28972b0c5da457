"""`websocket_request release`: the access log has the same line as with
`keep`.

Two servers differ in that directive alone. One client of each does the same,
and the lines that they log are compared.
"""

import json
import re

import pytest

import wire
from nginx_server import seconds, wait_until
from raw_client import RawClient
from tls_client import client_context

CORE = """
args arg_room arg_empty arg_absent binary_remote_addr body_bytes_sent
bytes_sent connection_requests content_length content_type cookie_id
cookie_absent document_root document_uri host hostname http_cookie http_host
http_referer http_user_agent http_x_forwarded_for http_x_many http_x_quote
http_x_absent https is_args limit_rate nginx_version pid pipe
proxy_protocol_addr proxy_protocol_port query_string realip_remote_addr
remote_addr remote_user request request_completion request_filename
request_length request_method request_uri scheme sent_http_connection
sent_http_sec_websocket_protocol sent_http_upgrade sent_http_x_room
server_addr server_name server_protocol status upstream_status uri
ssl_protocol ssl_cipher ssl_server_name ssl_session_reused ssl_client_verify
ssl_client_s_dn ssl_curves
""".split()
OURS = ["websocket_" + name for name in (
    "bytes_in", "bytes_out", "close_by", "close_code", "dropped",
    "extensions", "handler", "messages_in", "messages_out", "resource",
    "subprotocol")]
# By a map or so, of the request, of the end, and of each other
MADE = """
kind loud very_loud quiet by_status address_kind part folded set_early
set_before_the_end granted captured named_part never_set
""".split()
# Variables that differ between connections
SHAPES = {
    "connection": r"\d+", "connection_time": r"\d+\.\d{3}",
    "msec": r"\d+\.\d{3}", "realip_remote_port": r"\d+",
    "remote_port": r"\d*", "request_id": r"[0-9a-f]{32}",
    "request_time": r"\d+\.\d{3}", "server_port": r"\d+",
    "time_iso8601": r"[-+:T\d]{25}", "time_local": r".{26}",
    "tcpinfo_rtt": r"\d+", "websocket_client": r"\d+",
}
COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[[^]]+\] "GET /echo\?a=%22 HTTP/1\.1" 101 \d+ '
    r'"http://x\.example/" "agent \\x22mine\\x22"\n')

HTTP = """
log_format all escape=json '{%s}';
log_format regex '$request_filename $end_part';
log_format plain '[$http_x_quote|$arg_absent|$arg_empty|$loud|$kind]';
map $http_user_agent $kind { default other; ~^agent agent; }
map $websocket_close_code $loud { default loud; 1000 ""; }
map $loud $very_loud { default "very $loud"; "" ""; }
map $very_loud$kind $quiet { default $kind$loud; }
map $status $by_status { 101 upgraded; default $status; }
map $websocket_close_code$uri $end_part { "~^(?<code>....)(.*)$" $2$1; }
map $uri $part { ~^/(?<named_part>[a-z]+) $named_part; }
map $http_x_many $folded { default <$http_x_many>; "" none; }
geo $address_kind { default far; 127.0.0.0/8 near; }
split_clients $arg_room $half { 50%% a; * b; }
map $set_before_the_end $elsewhere { default x; }
set_real_ip_from 127.0.0.1;
uninitialized_variable_warn off;
""" % ", ".join(f'"{name}":"${name}"' for name in (*CORE, *OURS, *MADE,
                                                     *SHAPES))

LOCATIONS = r"""
access_log %%PREFIX%%/all.log all;
root /nowhere/$arg_room;
add_header X-Room $arg_room always;
location /echo { set $set_early "early $arg_room"; websocket echo; }
location /if {
    if ($arg_room) { set $set_early inside; }
    websocket echo;
}
location /alias { alias /elsewhere/; websocket echo; }
location ~ ^/capture/(?<captured>.*)$ { websocket echo "<$captured>"; }
location ~ ^/regex/(.*)/([a-z]*)(x)?$ {
    access_log %%PREFIX%%/regex.log regex;
    alias /elsewhere/$2/$1/$3; websocket echo;
}
location /internal { error_page 402 = /echo; return 402; }
location /try { try_files /a /b /echo?tried; }
location /rewrite { rewrite ^ /echo?r=1 last; }
location /conditional {
    access_log %%PREFIX%%/all.log all if=$loud; websocket echo;
}
location /several {
    access_log %%PREFIX%%/all.log all;
    access_log %%PREFIX%%/second.log plain;
    websocket echo;
}
location /path {
    root %%PREFIX%%; access_log %%PREFIX%%/by-$arg_room.log all;
    websocket echo;
}
location /combined { access_log %%PREFIX%%/combined.log; websocket echo; }
location /off { access_log off; websocket echo; }
location /chat { websocket echo $arg_room; websocket_subprotocols v2 v1; }
location /deflate { websocket echo; websocket_deflate on; }
location /impatient { websocket echo; websocket_timeout 100ms;
                      websocket_ping_interval off; }
location /real { real_ip_header X-Real-IP; websocket echo; }
location /user {
    auth_basic r; auth_basic_user_file %%PREFIX%%/users; websocket echo;
}
location /granted {
    auth_request /grant; auth_request_set $granted $sent_http_x_room;
    websocket echo;
}
location = /grant { internal; return 204; }
location /unset { return 200 $never_set$elsewhere$set_before_the_end; }
location /setter { set $never_set 1; set $set_before_the_end 2; }
"""

SERVER = """
server {
    listen 127.0.0.1:%%PORT{plain}%%;
    listen 127.0.0.1:%%PORT{tls}%% ssl;
    listen 127.0.0.1:%%PORT{proxied}%% proxy_protocol;
    server_name one.example;
    {certificate}
    websocket_request {policy};
    {locations}
}}
server {{
    listen 127.0.0.1:%%PORT{tls}%% ssl;
    server_name two.example;
    {certificate}
    access_log %%PREFIX%%/all.log all;
    websocket_request {policy};
    location /echo {{ websocket echo $ssl_server_name; }}
}}
"""
CERTIFICATE = """
ssl_certificate %%PREFIX%%/localhost.crt;
ssl_certificate_key %%PREFIX%%/localhost.key;
"""
PORTS = ("plain", "tls", "proxied")
POLICIES = ("keep", "release")


def server_blocks():
    """Both servers, on ports of their own."""
    blocks = ""
    for number, policy in enumerate(POLICIES):
        block = SERVER
        values = {name: str(number * len(PORTS) + place + 1)
                  for place, name in enumerate(PORTS)}
        values.update(certificate=CERTIFICATE, policy=policy,
                      locations=LOCATIONS)
        for name, value in values.items():
            block = block.replace("{" + name + "}", value)
        blocks += block.replace("{{", "{").replace("}}", "}")
    return blocks


def write_users(server):
    with open(f"{server.prefix}/users", "w", encoding="ascii") as file:
        file.write("jane:{PLAIN}secret\n")


@pytest.fixture(scope="module")
def server(module_nginx):
    made = module_nginx(http=HTTP, servers=server_blocks(), tls=True,
                        level="debug",
                        ports=len(PORTS) * len(POLICIES))
    write_users(made)
    made.allow_errors("using uninitialized")
    return made


def port(server, policy, kind):
    return server.ports[POLICIES.index(policy) * len(PORTS)
                        + PORTS.index(kind)]


def open_client(server, number, tls_name):
    """A connection; with a name for SNI if it is over TLS."""
    client = RawClient(("127.0.0.1", number))
    if tls_name:
        client.socket.setblocking(True)
        client.socket = client_context().wrap_socket(client.socket,
                                                     server_hostname=tls_name)
        client.socket.setblocking(False)
    server.clients.append(client)
    return client


def talk(client):
    """Some messages, and the closing handshake with 1000."""
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
    """One session at one of the servers."""
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
    """The access log's new lines for each policy, and the error log's."""
    written, closed = [], []
    for policy in POLICIES:
        mark = server.size(log)
        closed.append(run_at(server, policy, path, act, **options))
        written.append(server.read(log, mark))
    for place, line in enumerate(closed):
        closed[place] = re.sub(r"^.*(?=websocket: closed)|after [\d.]+s|"
                               r"server: [\d.:]+", "", line)
    assert closed[0] == closed[1]
    return written


def alike(server, path, act=talk, **options):
    """One line each, and the same; returns it as an object."""
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
    words = "".join(f"{number}," for number in range(size))[:size]
    entry = alike(server, f"/echo?room={words}", headers=[
        ("User-Agent", "agent" + words), ("X-Quote", words[::-1]),
        ("Referer", words)])
    assert entry["http_x_quote"] == words[::-1]
    assert entry["arg_room"] == words


def test_request_after_others_is_the_same(server):
    """Its number on the connection too, and that it was sent early."""
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
