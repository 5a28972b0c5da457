"""The opening handshake: accepted and refused requests (RFC 6455 4.2)."""

import re

import pytest

import wire
from input_splits import whole_and_bytewise

LOCATIONS = """
location /echo { websocket echo; }
location /files { root /nowhere; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def assert_works(client):
    """The connection is a WebSocket."""
    client.text("hello")
    client.expect_text("hello")


def refuse(server, status, log_pattern, cut=None, **fields):
    """Sends a handshake that must be refused; checks the status and the log."""
    response = server.request(wire.upgrade_request(**fields), cut)
    assert response.status == status, repr(response)
    server.wait_for_log(rf"\[info\] .*websocket: .*{log_pattern}")
    lines = re.findall(r"\[info\] .*websocket: .*", server.log())
    assert len(lines) == 1, lines
    return response


# Accepted

@whole_and_bytewise
def test_handshake_is_answered_with_101(server, cut):
    client = server.open()
    client.send(wire.upgrade_request(), cut)
    response = client.read_response()
    assert response.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert response.header("Upgrade").lower() == "websocket"
    assert response.header("Connection").lower() == "upgrade"
    assert response.all("Sec-WebSocket-Accept") == [
        wire.accept_value(wire.KEY)]
    assert_works(client)


@pytest.mark.parametrize("name", [
    "Content-Length", "Content-Type", "Transfer-Encoding",
    "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Version", "Last-Modified", "ETag", "Accept-Ranges",
])
def test_answer_carries_no(server, name):
    assert server.connect().response.header(name) is None


@pytest.mark.parametrize("key", [
    "A" * 22 + "==", "/" * 21 + "w==", "+" * 21 + "g==",
    "x3JJHMbDL1EzLkh9GBhXDw==",
])
def test_accept_answers_the_key(server, key):
    client = server.connect(key=key)
    assert client.response.header("Sec-WebSocket-Accept") == (
        wire.accept_value(key))


@whole_and_bytewise
@pytest.mark.parametrize("upgrade, connection", [
    ("WebSocket", "UPGRADE"),
    ("websocket", "keep-alive, Upgrade"),
    ("websocket", "keep-alive,upgrade,x"),
    ("websocket", "upgrade , close"),
    ("websocket", ["keep-alive", "Upgrade"]),
    ("websocket", ["Upgrade", "keep-alive"]),
    ("h2c, websocket", "Upgrade"),
    ("websocket, foo/2", "Upgrade"),
    (["h2c", "WEBSOCKET"], "Upgrade"),
    (["websocket", "h2c"], ["keep-alive", "upgrade"]),
    (", websocket ,", ",, upgrade"),
])
def test_token_in_list_is_found(server, upgrade, connection, cut):
    client = server.open()
    client.send(wire.upgrade_request(upgrade=upgrade, connection=connection),
                cut)
    assert client.read_response().status == 101
    assert_works(client)


@pytest.mark.parametrize("fields", [
    {"headers": [("X-Long", "x" * 3000)]},
    {"path": "/echo?token=a%20b"},
    {"path": "/echo/below"},
    {"host": "other.example:8080"},
    {"headers": [("Sec-WebSocket-Extensions", "permessage-deflate")]},
    {"headers": [("Cookie", "a=b"), ("Pragma", "no-cache")]},
], ids=["long-header", "arguments", "path-below", "other-host",
        "extension-offer", "browser-headers"])
def test_handshake_with_further_matter_is_accepted(server, fields):
    assert_works(server.connect(**fields))


def test_header_names_in_any_case_are_read(server):
    request = wire.upgrade_request().replace(
        b"Sec-WebSocket-", b"SEC-WEBSOCKET-").replace(b"Upgrade:", b"uPGRADE:")
    client = server.open()
    client.send(request)
    assert client.read_response().status == 101


def test_offered_extension_without_deflate_is_not_answered(server):
    client = server.connect(
        headers=[("Sec-WebSocket-Extensions", "permessage-deflate; x=1")])
    assert client.response.header("Sec-WebSocket-Extensions") is None


def test_accepted_handshake_is_not_logged_as_refused(server):
    assert_works(server.connect())
    assert "websocket: refused" not in server.log()


# Refused: not an upgrade to a WebSocket

@whole_and_bytewise
@pytest.mark.parametrize("fields", [
    {"upgrade": None, "connection": None, "key": None,
     "websocket_version": None},
    {"upgrade": None},
    {"upgrade": ""},
    {"upgrade": "h2c"},
    {"upgrade": "websockets"},
    {"upgrade": "xwebsocket"},
    {"upgrade": "web socket"},
    {"upgrade": "websocket/13"},
], ids=["plain-get", "missing", "empty", "other", "longer", "prefixed",
        "split", "with-version"])
def test_upgrade_without_the_token_gets_426(server, fields, cut):
    response = refuse(server, 426, "Upgrade", cut, **fields)
    assert response.header("Upgrade") == "websocket"


@whole_and_bytewise
@pytest.mark.parametrize("connection", [
    None, "", "keep-alive", "close", "upgraded", "x-upgrade", "up grade",
    "upgrade-insecure", ["keep-alive", "te"],
], ids=str)
def test_connection_without_the_token_gets_426(server, connection, cut):
    response = refuse(server, 426, "Connection", cut, connection=connection)
    assert response.header("Upgrade") == "websocket"


def test_426_names_its_reason_and_the_connection_option(server):
    response = server.request(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (response.status, response.reason) == (426, "Upgrade Required")
    # RFC 9110 7.8: the sender of Upgrade also sends the connection option.
    options = response.header("Connection").lower()
    assert "upgrade" in [one.strip() for one in options.split(",")]


def test_http_1_0_gets_426(server):
    response = refuse(server, 426, "HTTP", version="HTTP/1.0",
                      connection="Upgrade, keep-alive")
    assert response.header("Upgrade") == "websocket"


# Refused: method

@whole_and_bytewise
@pytest.mark.parametrize("method", [
    "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
])
def test_method_other_than_get_gets_405(server, method, cut):
    response = refuse(server, 405, "GET", cut, method=method)
    assert response.header("Allow") == "GET"


def test_post_with_body_gets_405(server):
    response = refuse(server, 405, "GET", method="POST",
                      headers=[("Content-Length", "5")], body=b"hello")
    assert response.header("Allow") == "GET"


# Refused: version

@whole_and_bytewise
@pytest.mark.parametrize("version", [
    None, "", "0", "7", "8", "12", "14", "013", "13.0", "+13", "130", "113",
    "0x0d", "thirteen",
], ids=lambda value: "missing" if value is None else value or "empty")
def test_other_version_gets_426_naming_13(server, version, cut):
    response = refuse(server, 426, "Version", cut, websocket_version=version)
    assert response.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("versions", [["13", "13"], ["13", "8"], ["8", "13"]],
                         ids=str)
def test_repeated_version_gets_400(server, versions):
    refuse(server, 400, "Version", websocket_version=versions)


# Refused: key

@whole_and_bytewise
@pytest.mark.parametrize("key", [
    None,
    "",
    "dGhlIHNhbXBsZSBub25jZQ",
    "dGhlIHNhbXBsZSBub25jZQ=",
    "dGhlIHNhbXBsZSBub25jZQ===",
    "dGhlIHNhbXBsZSBub25jZQ== dGhlIHNhbXBsZSBub25jZQ==",
    "dGhlIHNhbXBsZSBub24=",
    "dGhlIHNhbXBsZSBub25jZTE=",
    "dGhlIHNhbXBsZSBub25jZTEy",
    "dGhlIHNhbXBsZSBub25jZR==",
    "dGhlIHNhbXBsZSBub25j=Q==",
    "dGhlIHNhbXBsZSBub25jZ-==",
    "dGhlIHNhbXBsZSBub2_jZQ==",
    "dGhlIHNhbXBsZSBub25j!Q==",
    "dGhlIHNhbX BsZSBub25jZQ=",
    "dGhlIHNhbX\xe9sZSBub25jZQ==",
    "========================",
    "0123456789abcdef01234567",
], ids=[
    "missing", "empty", "unpadded", "half-padded", "over-padded", "two-keys",
    "14-bytes", "17-bytes", "18-bytes", "stray-bits", "inner-pad",
    "url-alphabet-minus", "url-alphabet-underscore", "exclamation",
    "inner-blank", "latin-1", "only-pads", "24-digits",
])
def test_bad_key_gets_400(server, key, cut):
    refuse(server, 400, "Key", cut, key=key)


@pytest.mark.parametrize("keys", [
    [wire.KEY, wire.KEY], [wire.KEY, ""], ["", wire.KEY],
    [wire.KEY, "A" * 22 + "=="],
], ids=["same", "second-empty", "first-empty", "different"])
def test_repeated_key_gets_400(server, keys):
    refuse(server, 400, "Key", key=keys)


# After a refusal

def test_upgrade_on_the_connection_of_a_426_is_accepted(server):
    client = server.open()
    client.send(wire.upgrade_request(upgrade=None))
    assert client.read_response().status == 426
    client.send(wire.upgrade_request(websocket_version="8"))
    assert client.read_response().status == 426
    client.send(wire.upgrade_request())
    assert client.read_response().status == 101
    assert_works(client)


def test_upgrade_pipelined_after_a_plain_get_is_accepted(server):
    client = server.open()
    client.send(wire.upgrade_request(upgrade=None) + wire.upgrade_request()
                + wire.text("hello"))
    assert client.read_response().status == 426
    assert client.read_response().status == 101
    client.expect_text("hello")


def test_frames_after_a_refused_handshake_are_not_echoed(server):
    client = server.open()
    client.send(wire.upgrade_request(key=None) + wire.text("hello"))
    assert client.read_response().status == 400
    client.expect_eof()


def test_other_locations_are_not_touched(server):
    server.allow_errors("nowhere")
    assert server.request(wire.upgrade_request("/files/x")).status == 404
