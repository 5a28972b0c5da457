"""The handler `http` with backends that speak uwsgi, SCGI, FastCGI or gRPC
instead of HTTP/1."""

import pytest

import wire
from gateway_backend import GatewayBackend
from http_backend import Answer, Gate, answers, connect

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app; }}
location /slow {{ websocket http $arg_room pass=@app timeout=100ms
                  events=message; }}
{protocol}_buffer_size 8k;
location @app {{ {params} {protocol}_pass 127.0.0.1:{port}; }}
"""


@pytest.fixture(scope="module", params=["uwsgi", "scgi", "fastcgi"])
def protocol(request):
    return request.param


@pytest.fixture(scope="module")
def running(protocol):
    started = GatewayBackend(protocol)
    yield started
    started.close()


@pytest.fixture
def backend(running):
    running.reset()
    return running


@pytest.fixture(scope="module")
def server(protocol, running, module_nginx):
    return module_nginx(LOCATIONS.format(
        protocol=protocol, port=running.port,
        params=running.params(protocol)), workers=1,
        server="underscores_in_headers on; ignore_invalid_headers off;")


def test_events_have_their_fields_and_bodies(server, backend):
    client, event = connect(server, backend, "/app?room=a", headers=[
        ("Cookie", "a=1"), ("WebSocket_Client", "7"),
        ("WebSocket.State", "forged"), ("WebSocket[State", "forged")])
    number = event.client
    assert number != 7
    assert "forged" not in map(str, event.fields.values())
    assert (event.method, event.path, event.body) == (
        "POST", "/app?room=a", b"")
    assert event.fields["WebSocket-Resource"] == "a"
    assert event.fields["WebSocket-URI"] == "/app?room=a"
    assert event.fields["Cookie"] == "a=1"
    for sequence, text in enumerate(["", "x", "é" * 40000], 1):
        client.text(text)
        message = backend.next("message")
        assert (message.client, message.sequence) == (number, sequence)
        assert message.body == text.encode()
        assert message.fields["Content-Type"] == "text/plain; charset=utf-8"
    client.binary(b"\0\xff")
    message = backend.next("message")
    assert message.body == b"\0\xff"
    assert message.fields["Content-Type"] == "application/octet-stream"
    client.close(4001, "so long")
    end = backend.next("disconnect")
    assert (end.client, end.sequence) == (number, 5)
    assert end.fields["WebSocket-Close-Code"] == "4001"
    assert end.fields["WebSocket-Close-Reason"] == "so%20long"


def test_answers_do_what_those_over_http_do(server, backend):
    backend.answer = answers(
        connect=Answer(200, b"welcome", fields=(
            ("WebSocket-State", "one"), ("WebSocket-Protocol", "b"),
            ("Set-Cookie", "a=1"))),
        message=Answer(200, b"\xff bye", kind="application/octet-stream",
                       fields=(("WebSocket-State", "two"),
                               ("WebSocket-Close", "4000 enough"))))
    client, _ = connect(server, backend, subprotocols=["a", "b"])
    assert client.response.header("Sec-WebSocket-Protocol") == "b"
    assert client.response.header("Set-Cookie") == "a=1"
    client.expect_text("welcome")
    client.text("x")
    assert backend.next("message").state == "one"
    client.expect_binary(b"\xff bye")
    close = client.expect_close(4000)
    assert close.close_reason == "enough"
    client.close(4000)
    assert backend.next("disconnect").state == "two"


def test_large_reply(server, backend):
    backend.answer = lambda event: Answer(200, event.body * 2)
    client, _ = connect(server, backend)
    client.text("x" * 300000)
    client.expect_text("x" * 600000)


def test_refusal_has_the_status_of_the_backend(server, backend):
    backend.answer = lambda event: Answer(403, b"because")
    response = server.request(wire.upgrade_request("/app?room=1"))
    assert (response.status, response.body) == (403, b"because")
    backend.next("connect")


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"Status: 200\r\nX"])
def test_backend_that_gives_no_answer(server, backend, raw):
    server.allow_errors('event "message"|upstream')
    backend.answer = answers(message=Answer(raw=raw))
    client, _ = connect(server, backend)
    client.text("x")
    client.expect_close(1011)
    client.close(1011)
    backend.next("message")
    assert backend.next("disconnect").fields["WebSocket-Close-Code"] == "1011"


def test_backend_that_is_slow(server, backend):
    server.allow_errors('event "message"')
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    client = server.connect("/slow?room=1")
    client.text("x")
    client.expect_close(1011)
    gate.open()


def test_fastcgi_connections_are_used_again(nginx):
    backend = GatewayBackend("fastcgi")
    try:
        server = nginx(LOCATIONS.format(
            protocol="fastcgi", port=backend.port,
            params=backend.params("fastcgi") + "fastcgi_keep_conn on;"
        ).replace(f"127.0.0.1:{backend.port}", "backend"), workers=1,
            http="upstream backend { server 127.0.0.1:%d; keepalive 4; }"
            % backend.port)
        backend.answer = lambda event: Answer(200, event.body)
        client, event = connect(server, backend)
        for text in ("1", "2"):
            client.text(text)
            client.expect_text(text)
            assert backend.next("message").peer == event.peer
        server.release_clients()
    finally:
        backend.close()


def test_grpc_pass(nginx):
    """The backend is a server of nginx itself, with HTTP/2."""
    server = nginx("""
location = /app { websocket http $arg_room pass=@app; }
location @app { grpc_pass grpc://127.0.0.1:%%PORT1%%; }""", ports=1,
                   servers="""
server { listen 127.0.0.1:%%PORT1%% http2;
    location / { add_header WebSocket-State $http_websocket_event always;
    return 200 "$http_websocket_event after $http_websocket_state"; } }""")
    client = server.connect("/app?room=1")
    client.expect_text("connect after ")
    for before in ("connect", "message"):
        client.text("x")
        client.expect_text(f"message after {before}")
    client.leave()
