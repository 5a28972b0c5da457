"""Inheritance of directives from http to server to location."""

import pytest

import wire

INHERITING = """
location /inherits { websocket echo; }
location /overrides {
    websocket echo;
    websocket_accept text binary;
    websocket_max_message_size 2k;
    websocket_subprotocols location;
    websocket_origins any;
    location /overrides/nested { websocket echo; }
}
location /handlers { websocket echo; location /handlers/none { } }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(
        INHERITING, server="websocket_subprotocols server;",
        http="""websocket_accept binary; websocket_max_message_size 1k;
                websocket_subprotocols http; websocket_max_frame_size 700;
                websocket_origins https://http.example;""")


def fits(server, path, size, **options):
    """Whether a message of this size in one frame is echoed. A larger one fails
    with 1009."""
    client = server.connect(path, **options)
    client.send(wire.binary(bytes(size)))
    frame = client.read_frame()
    if frame.opcode == wire.CLOSE:
        assert frame.close_code == 1009
    return frame.opcode == wire.BINARY


def test_http_value_reaches_the_location(server):
    client = server.connect("/inherits")
    client.text("x")
    client.expect_failure(1003)
    assert fits(server, "/inherits", 700)
    assert not fits(server, "/inherits", 701)


def test_server_value_overrides_that_of_http(server):
    client = server.connect("/inherits", protocol="http, server")
    assert client.response.header("Sec-WebSocket-Protocol") == "server"


@pytest.mark.parametrize("path", ["/overrides", "/overrides/nested"])
def test_location_value_overrides_and_reaches_nested_locations(server, path):
    client = server.connect(path, protocol="http, server, location",
                            origin="https://other.example")
    assert client.response.header("Sec-WebSocket-Protocol") == "location"
    client.text("x")
    client.expect_text("x")
    client.send(wire.fragments(wire.BINARY, *[bytes(512)] * 4))
    client.expect_binary(bytes(2048))
    client.send(wire.fragments(wire.BINARY, *[bytes(512)] * 4, b"x"))
    client.expect_failure(1009)


@pytest.mark.parametrize("origin, status", [
    ("https://http.example", 101), ("http://localhost", 403)])
def test_http_origins_replace_the_default(server, origin, status):
    client = server.open()
    client.send(wire.upgrade_request("/inherits", origin=origin))
    assert client.read_response().status == status


def test_handler_is_not_inherited_by_nested_locations(server):
    server.allow_errors("handlers/none")
    response = server.request(wire.upgrade_request("/handlers/none"))
    assert response.status == 404


@pytest.fixture(scope="module")
def frame_sizes(module_nginx):
    return module_nginx(
        """location /outer { websocket echo; }
           location /inner { websocket echo; websocket_max_message_size 9k; }
           location /smaller { websocket echo; websocket_max_frame_size 99; }
           location /larger { websocket echo; websocket_max_frame_size 9k; }
        """, http="websocket_max_message_size 5k;")


@pytest.mark.parametrize("path, limit", [
    ("/outer", 5 * 1024), ("/inner", 9 * 1024), ("/smaller", 99),
    ("/larger", 5 * 1024)])
def test_frame_size_is_the_message_size_unless_set(frame_sizes, path, limit):
    assert fits(frame_sizes, path, limit)
    assert not fits(frame_sizes, path, limit + 1)


def test_default_message_size_is_one_mebibyte(nginx):
    server = nginx()
    assert fits(server, "/echo", 1 << 20)
    assert not fits(server, "/echo", (1 << 20) + 1)


def test_default_accepts_both_kinds_and_no_subprotocol(nginx):
    client = nginx().connect(protocol="chat")
    assert client.response.header("Sec-WebSocket-Protocol") is None
    client.text("x")
    client.expect_text("x")
    client.binary(b"x")
    client.expect_binary(b"x")


@pytest.mark.parametrize("http, path", [
    ("websocket_timeout 30ms;", "/echo"), ("websocket_timeout 1h;", "/short"),
])
def test_timeout_of_the_nearest_level_closes(nginx, http, path):
    server = nginx("""location /echo { websocket echo; }
        location /short { websocket echo; websocket_timeout 30ms; }""",
                   http=http + "websocket_ping_interval off;")
    server.connect(path).expect_failure(1001)


@pytest.mark.parametrize("interval, pings", [("30ms", True), ("off", False)])
def test_ping_interval_pings_or_not(nginx, interval, pings):
    server = nginx(http=f"""websocket_ping_interval {interval};
                            websocket_timeout 150ms;""")
    frame = server.connect().read_frame()
    assert frame.opcode == (wire.PING if pings else wire.CLOSE)


def test_close_timeout_ends_the_wait_for_the_close(nginx):
    server = nginx(http="""websocket_timeout 20ms; websocket_ping_interval off;
                           websocket_close_timeout 30ms;""")
    client = server.connect()
    client.expect_close(1001)
    client.expect_eof(2)
