"""A WebSocket location under HTTP/2: refused in the protocol's own terms.

nginx offers no extended CONNECT (RFC 8441), so clients that know it come
over HTTP/1.1, and others learn from the 426 that they should.
"""

import re
import struct

import pytest

import wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4

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


def http2_frame(kind, flags, stream, payload=b""):
    return (struct.pack("!I", len(payload))[1:]
            + struct.pack("!BBI", kind, flags, stream) + payload)


def literal(name, value):
    """A header field without index and without Huffman code."""
    return b"\0" + b"".join(
        bytes([len(text)]) + text for text in (name.encode(), value.encode()))


class Http2Client:
    """Speaks as much HTTP/2 as asking for something takes."""

    def __init__(self, server):
        self.raw = server.open(port=server.ports[0])
        self.raw.send(PREFACE + http2_frame(SETTINGS, 0, 0))
        self.stream = -1

    def ask(self, path, *fields, method="GET", body=None):
        """(header block, body) of the answer."""
        self.stream += 2
        fields = [(":method", method), (":scheme", "http"), (":path", path),
                  (":authority", "localhost"), *fields]
        block = b"".join(literal(*field) for field in fields)
        end = END_STREAM if body is None else 0
        self.raw.send(http2_frame(HEADERS, END_HEADERS | end, self.stream,
                                  block))
        if body is not None:
            self.raw.send(http2_frame(DATA, END_STREAM, self.stream, body))
        return self.read_answer()

    def read_answer(self):
        headers, body = None, b""
        while True:
            head = self.raw.read_bytes(9)
            payload = self.raw.read_bytes(int.from_bytes(head[:3], "big"))
            kind, flags, stream = struct.unpack("!BBI", head[3:])
            if kind == SETTINGS and not flags & ACK:
                self.raw.send(http2_frame(SETTINGS, ACK, 0))
            if stream != self.stream or kind == WINDOW_UPDATE:
                assert kind != GOAWAY, payload
                continue
            assert kind in (HEADERS, DATA), f"frame {kind}: {payload!r}"
            if kind == HEADERS:
                headers = payload
            else:
                body += payload
            if flags & END_STREAM:
                return headers, body


def assert_quiet(server):
    """Nothing above info was logged."""
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
    """RFC 9113 8.2.2: neither Connection nor Upgrade."""
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
