"""A WebSocket location over HTTP/2 refuses requests with 426.

nginx does not offer extended CONNECT (RFC 8441). Clients that support it
therefore use HTTP/1.1, which the 426 asks of all others.
"""

import re

import pytest

import wire
from http2_client import Http2Client

# Entry 12 of RFC 7541's static table
STATUS_400 = b"\x8c"

# "upgrade" in the Huffman code of RFC 7541: forty bits, no padding
UPGRADE_IN_HUFFMAN = b"\xb6\xb9\xac\x1c\x85"

HANDSHAKE = [("sec-websocket-version", "13"), ("sec-websocket-key", wire.KEY)]


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(
        "location /plain { return 200 plain; }", tls=True, ports=2, servers="""
        server {
            listen 127.0.0.1:%%PORT1%% http2;
            listen 127.0.0.1:%%PORT2%% ssl http2;
            ssl_certificate %%PREFIX%%/localhost.crt;
            ssl_certificate_key %%PREFIX%%/localhost.key;
            location /echo { websocket echo; }
            location /page { websocket echo; error_page 426 /plain; }
            location /plain { return 200 plain; }
        }""")


def assert_quiet(server):
    """No line above info was logged."""
    assert not re.search(r"\[(?!info|notice)\w+\] ", server.log())


@pytest.mark.parametrize("fields", [
    [], HANDSHAKE, HANDSHAKE + [("origin", "https://evil.example")],
], ids=["plain", "handshake", "other-origin"])
def test_request_is_refused_with_426(server, fields):
    client = Http2Client(server)
    headers, body = client.ask("/echo", *fields)
    assert b"\x03426" in headers
    assert b"WebSocket" in body
    server.wait_for_log(r"\[info\].*handshake refused with 426: HTTP/2")
    assert_quiet(server)
    assert server.log().count("websocket: ") == 1


def test_refusal_has_no_field_of_a_connection(server):
    """RFC 9113 8.2.2 allows neither Connection nor Upgrade."""
    headers, _ = Http2Client(server).ask("/echo", *HANDSHAKE)
    for field in (b"upgrade", UPGRADE_IN_HUFFMAN, b"connection"):
        assert field not in headers.lower().replace(b"426", b"")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_other_method_is_refused(server, method):
    headers, _ = Http2Client(server).ask("/echo", method=method)
    assert b"\x03426" in headers
    assert_quiet(server)


def test_connection_serves_on_after_refusals(server):
    client = Http2Client(server)
    for _ in range(3):
        assert b"\x03426" in client.ask("/echo", *HANDSHAKE)[0]
        assert client.ask("/plain")[1] == b"plain"
    entry = server.wait_for_access_log(6)
    assert entry["websocket_client"] == ""
    assert len(server.access_log(status=426)) == 3


def test_refusal_may_have_its_own_page(server):
    headers, body = Http2Client(server).ask("/page")
    assert b"\x03426" in headers and body == b"plain"


def test_extended_connect_is_not_offered_and_refused(server):
    client = Http2Client(server)
    headers, _ = client.ask("/echo", (":protocol", "websocket"),
                            *HANDSHAKE, method="CONNECT")
    assert headers.startswith(STATUS_400)
    assert_quiet(server)


def test_http_1_1_is_upgraded_where_http_2_is_offered_too(server):
    client = server.connect("/echo", tls=True, port=server.ports[1])
    client.text("x")
    client.expect_text("x")
    client.leave()
