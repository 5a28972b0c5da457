"""nginx's own directives about headers, error pages, output and connections in
a WebSocket location."""

import re

import pytest

import wire
from raw_client import EndOfStream

HEADERS = r"""
location /always {
    add_header X-Always yes always; websocket echo;
}
location /sometimes { add_header X-Sometimes yes; websocket echo; }
location /page { websocket echo; error_page 403 405 426 /own.html; }
location = /own.html { add_header X-Page own always; return 200 "our page"; }
location /named { websocket echo; error_page 403 405 426 = @fallback; }
location @fallback { return 200 "long polling"; }
location /moved { websocket echo; error_page 403 405 426 https://a.example/; }
location /again { websocket echo; error_page 426 /page; }
location /file { websocket echo; error_page 403 405 426 /missing.html; }
location /missing.html { root /nowhere; }
location /recursive {
    websocket echo; recursive_error_pages on; error_page 426 /page;
}
location /plain { return 200 plain; }
location /echo { websocket echo; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(HEADERS)


NOT_AN_UPGRADE = {"upgrade": None}
REFUSALS = {
    426: NOT_AN_UPGRADE, 403: {"origin": "https://evil.example"},
    405: {"method": "DELETE"}, 400: {"key": None},
}


def ask(server, path, status):
    """The response to a handshake that is refused with `status`."""
    return server.request(wire.upgrade_request(path, **REFUSALS[status]))


# Headers

@pytest.mark.parametrize("status", REFUSALS)
def test_header_added_always_is_on_each_refusal(server, status):
    response = ask(server, "/always", status)
    assert response.status == status
    assert response.header("X-Always") == "yes"


def test_header_added_always_is_on_the_101(server):
    client = server.connect("/always")
    assert client.response.header("X-Always") == "yes"
    client.expect_alive()


def test_header_added_for_good_answers_is_not_on_the_101(server):
    client = server.connect("/sometimes")
    assert client.response.header("X-Sometimes") is None
    client.expect_alive()
    assert ask(server, "/sometimes", 426).header("X-Sometimes") is None


def test_server_tokens_off_hides_the_version(nginx):
    server = nginx(server="server_tokens off;")
    assert server.connect().response.header("Server") == "nginx"
    for status in REFUSALS:
        response = ask(server, "/echo", status)
        assert response.header("Server") == "nginx"
        assert b"nginx/" not in response.body


# Error pages for refusals

def assert_logs_values(response, status):
    """The fields that RFC 9110 requires with a 426 or 405."""
    if status == 426:
        assert response.header("Upgrade") == "websocket"
    if status == 405:
        assert response.header("Allow") == "GET"


@pytest.mark.parametrize("status", [426, 403, 405])
def test_refusal_may_have_its_own_page(server, status):
    response = ask(server, "/page", status)
    assert (response.status, response.body) == (status, b"our page")
    assert response.header("X-Page") == "own"
    assert_logs_values(response, status)


@pytest.mark.parametrize("status", [426, 403, 405])
def test_refusal_may_go_to_a_named_location(server, status):
    response = ask(server, "/named", status)
    assert (response.status, response.body) == (200, b"long polling")


@pytest.mark.parametrize("status", [426, 403, 405])
def test_refusal_may_redirect(server, status):
    response = ask(server, "/moved", status)
    assert response.status == 302
    assert response.header("Location") == "https://a.example/"


@pytest.mark.parametrize("status", [426, 403, 405])
def test_missing_page_of_a_refusal_leaves_a_404(server, status):
    server.allow_errors("missing.html")
    assert ask(server, "/file", status).status == 404


@pytest.mark.parametrize("path, body", [
    ("/again", rb"This location answers WebSocket clients.*"),
    ("/recursive", rb"our page"),
])
def test_page_in_another_websocket_location_is_a_refusal(server, path, body):
    response = ask(server, path, 426)
    assert response.status == 426
    assert re.fullmatch(body, response.body, re.DOTALL), response.body


@pytest.mark.parametrize("status", [426, 400])
def test_refusal_has_a_body_with_the_reason(server, status):
    response = ask(server, "/echo", status)
    assert len(response.body) > 20
    assert response.header("Content-Type").startswith("text/")


def test_connection_serves_on_after_refusals(server):
    client = server.open()
    for status in (426, 403, 405, 426):
        client.send(wire.upgrade_request("/echo", **REFUSALS[status]))
        assert client.read_response().status == status
    client.send(wire.upgrade_request("/echo"))
    assert client.read_response().status == 101
    client.expect_alive()


# Directives that change how nginx sends or filters

FILTERS = [
    "tcp_nodelay off;", "tcp_nopush on; sendfile on;",
    "postpone_output 0;", "postpone_output 100k;", "output_buffers 1 1;",
    "limit_rate 10;", "limit_rate 10; limit_rate_after 50;",
    "limit_rate 1; tcp_nopush on; sendfile on; tcp_nodelay off;",
    "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;",
    "gzip_static always; gunzip on;",
    "charset utf-8; charset_types *;", "expires 1h;", "expires epoch;",
    "sub_filter a b; sub_filter_types *; sub_filter_once off;",
    "ssi on; ssi_types *;", "add_trailer X-End yes always;",
    "add_before_body /plain; add_after_body /plain; addition_types *;",
    "chunked_transfer_encoding off;", "etag off; if_modified_since off;",
    "reset_timedout_connection on;", "lingering_close off;",
    "lingering_close always;", "keepalive_timeout 0;",
    "keepalive_requests 1;", "send_timeout 1ms;",
    "client_body_timeout 1ms; client_body_buffer_size 1;",
    "client_body_in_file_only on;", "aio threads;", "directio 1;",
    "open_file_cache max=10;", "absolute_redirect off;",
    "log_subrequest on; access_log %%PREFIX%%/access.log harness buffer=64k"
    " flush=1ms;", "access_log off;", "msie_padding on; msie_refresh on;",
]


@pytest.fixture(scope="module")
def filtering(module_nginx):
    locations = "".join(
        f"location /{index}/ {{ websocket echo; {line} }}\n"
        for index, line in enumerate(FILTERS))
    return module_nginx(locations + "location /plain { return 200 p; }")


@pytest.mark.parametrize("index", range(len(FILTERS)), ids=FILTERS)
def test_session_works_under(filtering, index):
    client = filtering.connect(
        f"/{index}/", pipelined=wire.text("first"),
        headers=[("Accept-Encoding", "gzip"), ("Range", "bytes=1-2"),
                 ("TE", "trailers"), ("If-None-Match", "*")])
    assert client.response.header("Content-Encoding") is None
    assert client.response.header("Transfer-Encoding") is None
    client.expect_text("first")
    client.text("second")
    client.expect_text("second")
    client.binary(bytes(300000))
    client.expect_binary(bytes(300000))
    client.leave()


# Without limit_rate 10, at which an error page takes seconds
@pytest.mark.parametrize("index", [
    pytest.param(index, id=line) for index, line in enumerate(FILTERS)
    if "limit_rate" not in line])
def test_refusal_is_whole_under(filtering, index):
    response = ask(filtering, f"/{index}/", 426)
    assert response.status == 426 and response.body


# One TCP connection, several requests

@pytest.mark.parametrize("pipelined", [True, False])
def test_upgrade_follows_plain_requests_on_one_connection(server, pipelined):
    plain = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
    upgrade = wire.upgrade_request("/echo") + wire.text("x")
    client = server.open()
    if pipelined:
        client.send(plain * 3 + upgrade)
    for _ in range(3):
        if not pipelined:
            client.send(plain)
        assert client.read_response().body == b"plain"
    if not pipelined:
        client.send(upgrade)
    answer = client.read_response()
    assert answer.status == 101
    client.expect_text("x")
    client.leave()
    client.disconnect()
    entry = server.wait_for_access_log(status=101)
    sent = len(answer.head) + 4 + len(b"\x81\x01x") + len(b"\x88\x02\x03\xe8")
    assert int(entry["bytes_sent"]) == sent
    assert len(server.access_log(connection=entry["connection"])) == 4


def test_request_after_a_session_is_not_answered(server):
    client = server.connect("/echo", pipelined=wire.close(1000)
                            + b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
    client.expect_close(1000)
    client.expect_eof()
    client.disconnect()
    server.wait_for_access_log(status=101)
    assert len(server.access_log()) == 1


# Old protocol versions, bodies

@pytest.mark.parametrize("request_line", [b"GET /echo HTTP/1.0\r\n\r\n",
                                          b"GET /echo\r\n"])
def test_old_http_is_refused_and_ended(server, request_line):
    client = server.open()
    client.send(request_line)
    if b"HTTP" in request_line:
        response = client.read_response()
        assert response.status == 426
        assert response.header("Upgrade") == "websocket"
        client.expect_eof()
    else:
        with pytest.raises(EndOfStream, match="WebSocket clients"):
            client.read_bytes(10000)
    client.disconnect()
    server.wait_for_log("handshake refused with 426: the HTTP version")


@pytest.fixture(scope="module")
def small_bodies(module_nginx):
    return module_nginx(server="""client_max_body_size 100;
        client_body_timeout 100ms; lingering_timeout 100ms;""")


BODIES = {
    "length": ([("Content-Length", "{size}")], "{body}"),
    "chunked": ([("Transfer-Encoding", "chunked")],
                "{hex}\r\n{body}\r\n0\r\n\r\n"),
    "continued": ([("Content-Length", "{size}"), ("Expect", "100-continue")],
                  "{body}"),
}


def with_body(kind, size):
    """A handshake with a body of this size."""
    headers, body = BODIES[kind]
    values = {"size": size, "body": "b" * size, "hex": f"{size:x}"}
    return wire.upgrade_request(
        headers=[(name, value.format(**values)) for name, value in headers],
        body=body.format(**values).encode())


@pytest.mark.parametrize("kind", BODIES)
def test_body_within_the_limit_is_skipped(small_bodies, kind):
    client = small_bodies.open()
    client.send(with_body(kind, 100) + wire.text("x"))
    response = client.read_response()
    if kind == "continued" and response.status == 100:
        response = client.read_response()
    assert response.status == 101
    client.expect_text("x")


@pytest.mark.parametrize("kind", BODIES)
def test_body_beyond_the_limit_gets_413(small_bodies, kind):
    small_bodies.allow_errors("client intended to send too large")
    client = small_bodies.open()
    client.send(with_body(kind, 101) + wire.text("x"))
    assert client.read_response().status == 413
    client.disconnect()
    assert small_bodies.wait_for_access_log()["websocket_client"] == ""


def test_missing_body_starts_no_session(small_bodies):
    client = small_bodies.open()
    client.send(with_body("length", 100)[:-1])
    client.expect_eof()
    entry = small_bodies.wait_for_access_log()
    assert (entry["status"], entry["websocket_client"]) == ("408", "")


# post_action

def test_post_action_follows_the_session_once(nginx):
    server = nginx("""
        location /echo { websocket echo; post_action /after; }
        location /after {
            proxy_pass http://127.0.0.1:%%PORT%%/after-session?in=$websocket_messages_in;
        }
        location /after-session { return 204; }""")
    client = server.connect()
    client.text("x")
    client.expect_text("x")
    client.leave()
    client.disconnect()
    # The request ends in the location /after, and still has its session
    entry = server.wait_for_access_log(uri="/after")
    assert entry["websocket_close_code"] == "1000"
    assert server.access_log(uri="/after-session")[0]["args"] == "in=1"
    assert len(server.access_log()) == 2


def test_zones_of_other_modules_may_be_called_websocket(nginx):
    """This holds with websocket_shared_memory too."""
    passed, output = nginx.check(
        "location /echo { websocket echo; limit_conn websocket 9; }",
        http="limit_conn_zone $binary_remote_addr zone=websocket:1m;")
    assert passed, output
