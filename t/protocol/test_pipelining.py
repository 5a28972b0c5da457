"""Bytes that follow the opening handshake before its response."""

import pytest

import wire
from input_splits import whole_and_bytewise

LOCATIONS = """
location /echo { websocket echo; }
location /memory {
    client_body_buffer_size 1m;
    websocket echo;
}
location /limited {
    client_max_body_size 10;
    websocket echo;
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def chunked(*chunks, trailer=b""):
    """A body in chunked coding."""
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def with_length(body):
    return {"headers": [("Content-Length", str(len(body)))], "body": body}


def with_chunks(*chunks, **options):
    return {"headers": [("Transfer-Encoding", "chunked")],
            "body": chunked(*chunks, **options)}


@whole_and_bytewise
def test_frame_after_the_handshake_is_echoed(server, cut):
    client = server.open()
    client.send(wire.upgrade_request() + wire.text("early"), cut)
    assert client.read_response().status == 101
    client.expect_text("early")
    client.expect_alive()


def test_many_frames_after_the_handshake_are_echoed_in_order(server):
    frames = b"".join(wire.text(str(index)) for index in range(100))
    client = server.connect(pipelined=frames)
    for index in range(100):
        client.expect_text(str(index))


def test_frames_beyond_the_header_buffer_are_echoed(server):
    payload = bytes(range(256)) * 400
    client = server.connect(pipelined=wire.binary(payload) + wire.ping(b"x"))
    client.expect_binary(payload)
    client.expect_pong(b"x")


def test_handshake_larger_than_the_first_buffer_keeps_its_frames(server):
    client = server.connect(headers=[("X-Long", "x" * 5000)],
                            pipelined=wire.text("a") + wire.text("b"))
    client.expect_text("a")
    client.expect_text("b")


@pytest.mark.parametrize("at", range(1, len(wire.text("early"))))
def test_frame_split_after_the_handshake_is_echoed(server, at):
    request, frame = wire.upgrade_request(), wire.text("early")
    client = server.open()
    client.send(request + frame, len(request) + at)
    assert client.read_response().status == 101
    client.expect_text("early")


def test_close_after_the_handshake_is_answered(server):
    client = server.connect(pipelined=wire.text("last") + wire.close(1000))
    client.expect_text("last")
    client.expect_close(1000)
    client.expect_eof()


def test_illegal_frame_after_the_handshake_fails_with_1002(server):
    client = server.connect(pipelined=wire.text("x", mask=None))
    client.expect_failure(1002)


def test_end_after_the_handshake_ends_after_the_echo(server):
    client = server.open()
    client.send(wire.upgrade_request() + wire.text("early"))
    client.half_close()
    assert client.read_response().status == 101
    client.expect_text("early")
    client.expect_eof()


BODIES = {
    "empty-length": with_length(b""),
    "short-length": with_length(b"hello"),
    "frame-like-length": with_length(wire.text("not a frame")),
    "long-length": with_length(b"z" * 100000),
    "empty-chunks": with_chunks(),
    "chunks": with_chunks(b"hello", b"world"),
    "chunks-with-trailer": with_chunks(b"hello", trailer=b"X-A: b\r\n"),
    "frame-like-chunks": with_chunks(wire.text("not a frame")),
    "long-chunks": with_chunks(b"z" * 60000, b"y" * 40000),
}


@pytest.mark.parametrize("path", ["/echo", "/memory"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_body_of_a_get_is_not_taken_for_frames(server, path, body):
    client = server.open()
    client.send(wire.upgrade_request(path, **body) + wire.text("after"))
    assert client.read_response().status == 101
    client.expect_text("after")
    client.expect_alive()


@pytest.mark.parametrize("name", [
    "short-length", "frame-like-length", "chunks", "chunks-with-trailer",
    "frame-like-chunks",
])
def test_body_sent_bytewise_is_not_taken_for_frames(server, name):
    client = server.open()
    client.send(wire.upgrade_request(**BODIES[name]) + wire.text("after"),
                "each")
    assert client.read_response().status == 101
    client.expect_text("after")


@pytest.mark.parametrize("name", ["short-length", "chunks", "long-length"])
def test_body_after_the_header_is_awaited(server, name):
    fields = dict(BODIES[name])
    body = fields.pop("body")
    client = server.open()
    client.send(wire.upgrade_request(**fields))
    client.wait_until_read()
    client.expect_nothing()
    client.send(body[:-1])
    client.wait_until_read()
    client.expect_nothing()
    client.send(body[-1:] + wire.text("after"))
    assert client.read_response().status == 101
    client.expect_text("after")


def test_body_over_the_limit_gets_413(server):
    server.allow_errors("client intended to send too large body")
    request = wire.upgrade_request("/limited", **with_length(b"x" * 11))
    assert server.request(request).status == 413


def test_malformed_chunks_get_400(server):
    server.allow_errors("client sent invalid chunked body")
    request = wire.upgrade_request(
        headers=[("Transfer-Encoding", "chunked")], body=b"xyz\r\n")
    assert server.request(request).status == 400


def test_end_inside_a_body_leaves_no_connection(server):
    client = server.open()
    client.send(wire.upgrade_request(headers=[("Content-Length", "100")],
                                     body=b"only this"))
    client.wait_until_read()
    client.disconnect()
