"""Handshakes that are refused, by the backend or after it has accepted them."""

import pytest

import wire
from http_backend import Answer, Gate, answers

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app; }}
location /hasty {{ websocket http $arg_room pass=@app timeout=200ms; }}
location /one {{ websocket http one pass=@app; websocket_max_clients 1; }}
location /two {{ websocket http two pass=@app; error_page 502 = /three; }}
location /three {{ websocket http three pass=/inner; }}
location = /inner {{ internal; proxy_pass http://127.0.0.1:{port}; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
lingering_time 60s;
lingering_timeout 60s;
"""
# nginx waits for the end of a connection that has sent more than a request
LINGERS = {"connection": "Upgrade, close", "body": b"more"}


@pytest.fixture
def server(backend, nginx):
    return nginx(LOCATIONS.format(port=backend.port), workers=1,
                 http="websocket_shared_memory 512k;")


@pytest.mark.parametrize("path, refusal, status", [
    ("/one", None, 503), ("/app?room=1", Answer(200, b"\xff"), 502),
    ("/hasty?room=1", "late", 504), ("/app?room=1", Answer(raw=b""), 502),
])
def test_id_of_a_client_with_a_disconnect_is_not_used_again(
        server, backend, path, refusal, status):
    """Its disconnect may come after the connect of the next handshake."""
    server.allow_errors("connect|upstream")
    first = server.connect("/one")
    backend.next("connect")
    gate = Gate()
    backend.answer = lambda event: (
        gate.wait() if refusal == "late" or event.kind == "disconnect"
        else refusal)
    client = server.open()
    client.send(wire.upgrade_request(path) + wire.upgrade_request("/one"))
    assert client.read_response().status == status
    number = backend.next("connect").client
    assert backend.next("disconnect").client == number
    gate.open()
    client.expect_eof()
    first.expect_alive()
    assert backend.events.empty()


def test_refused_client_may_try_again(server, backend):
    backend.answer = answers(connect=Answer(401))
    client = server.open()
    client.send(wire.upgrade_request("/app?room=1"))
    assert client.read_response().status == 401
    backend.answer = answers()
    server.connect("/app?room=1", client=client)
    assert backend.next("connect").client == backend.next("connect").client
    client.disconnect()
    backend.next("disconnect")


def test_error_page_gives_another_id(server, backend):
    backend.answer = lambda event: (
        Answer(200, b"\xff") if event.path == "/two" else None)
    server.allow_errors('event "connect"')
    client = server.connect("/two")
    number = backend.next("connect").client
    events = [backend.next(), backend.next()]
    assert {(each.kind, each.client == number) for each in events} == {
        ("disconnect", True), ("connect", False)}
    client.text("x")
    message = backend.next("message")
    assert message.client in [each.client for each in events]
    assert message.client != number


def test_refused_clients_leave_no_notes(server, backend):
    """They would fill the memory while nginx waits for the end of their
    connections."""
    backend.answer = answers(connect=Answer(403))
    request = wire.upgrade_request(
        "/app?room=1", headers=[(f"X-{each}", "x" * 8000) for each in range(3)],
        **LINGERS)
    clients = [server.open() for _ in range(40)]
    for client in clients:
        client.send(request)
        assert client.read_response().status == 403
    for client in clients:
        client.disconnect()


def test_disconnect_of_a_refused_client_does_not_wait(server, backend):
    server.connect("/one")
    backend.next("connect")
    client = server.open()
    client.send(wire.upgrade_request("/one", **LINGERS))
    assert client.read_response().status == 503
    number = backend.next("connect").client
    assert backend.next("disconnect").client == number
    client.disconnect()
