"""Answers to messages that are errors, and answers that do not come."""

import pytest

import wire
from http_backend import Answer, Gate, answers, connect

LOCATIONS = """
proxy_buffer_size 8k;
location /app {{ websocket http $arg_room pass=@app; }}
location /report {{ websocket http $arg_room pass=@app on_error=report; }}
location /slow {{ websocket http $arg_room pass=@app timeout=100ms; }}
location /talk {{ websocket http $arg_room pass=@app timeout=100ms
                  events=message; }}
location /small {{
    websocket http $arg_room pass=@app; websocket_max_message_size 100;
}}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""


@pytest.fixture
def server(backend, nginx):
    return nginx(LOCATIONS.format(port=backend.port), workers=1)


@pytest.mark.parametrize("answer, problem", [
    (Answer(500), "status 500"), (Answer(404), "status 404"),
    (Answer(302, fields=(("Location", "/x"),)), "status 302"),
    (Answer(200, b"\xff"), "not valid UTF-8"),
    (Answer(204, fields=(("WebSocket-State", "x" * 4097),)), "4096 bytes"),
    (Answer(204, fields=(("WebSocket-Close", "x"),)), "no valid code"),
    (Answer(204, fields=(("WebSocket-Close", "1005"),)), "no valid code"),
    (Answer(204, fields=(("WebSocket-Close", "70000"),)), "no valid code"),
    (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
     "no whole answer"),
    (Answer(raw=b"nonsense\r\n\r\n"), "no valid status"),
    (Answer(raw=b""), "status 502"),
])
def test_failed_message_closes_the_client(server, backend, answer, problem):
    server.allow_errors("event \"message\"|upstream")
    backend.answer = answers(message=answer)
    client, _ = connect(server, backend)
    client.text("x")
    frame = client.read_frame()
    assert (frame.close_code, frame.close_reason) == (1011, "backend failed")
    client.close(1011)
    assert problem in server.wait_for_log("event \"message\" (of|failed)")
    backend.next("message")
    assert backend.next("disconnect").fields["WebSocket-Close-Code"] == "1011"


def test_failed_message_is_only_reported(server, backend):
    server.allow_errors("event \"message\"|upstream")
    backend.answer = lambda event: Answer(500) if event.body == b"1" else None
    client, _ = connect(server, backend, "/report?room=1")
    client.text("1")
    client.text("2")
    assert backend.next("message").body == b"1"
    assert backend.next("message").body == b"2"
    client.expect_alive()


def test_answer_must_come_in_time(server, backend):
    server.allow_errors("event \"message\"|client prematurely closed")
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    client = server.connect("/talk?room=1")
    client.text("x")
    assert client.read_frame().close_code == 1011
    gate.open()


def test_connect_answer_must_come_in_time(server, backend):
    """The backend may accept the client later, so that a disconnect follows."""
    server.allow_errors("event \"connect\"")
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.kind == "connect" \
        else None
    assert server.request(wire.upgrade_request("/slow?room=1")).status == 504
    accepted = backend.next("connect").client
    end = backend.next("disconnect")
    assert (end.client, end.sequence) == (accepted, 1)
    assert end.fields["WebSocket-Close-Code"] == "1006"
    gate.open()


@pytest.mark.parametrize("status", [200, 403])
def test_connect_answer_that_is_cut(server, backend, status):
    """A disconnect follows if the backend may have accepted the client."""
    server.allow_errors("event \"connect\"|upstream")
    backend.answer = answers(connect=Answer(raw=(
        b"HTTP/1.1 %d A\r\nContent-Length: 9\r\n\r\nhalf" % status)))
    assert server.request(wire.upgrade_request("/app?room=1")).status == 502
    first = backend.next("connect").client
    if status == 200:
        assert backend.next("disconnect").client == first
    backend.reset()
    client, event = connect(server, backend)
    client.disconnect()
    assert backend.next("disconnect").client == event.client


@pytest.mark.parametrize("answer, status", [
    ("late", 504), (b"", 502), (b"HTTP/1.1 200", 502), (b"garbage\r\n\r\n", 502),
])
def test_connect_that_nginx_answers_itself(backend, nginx, answer, status):
    """The backend has got it, and may have accepted the client."""
    time = "200ms" if answer == "late" else "30s"
    server = nginx(f"""
location /app {{ websocket http room pass=@app; }}
location @app {{ proxy_read_timeout {time}; proxy_http_version 1.1;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    server.allow_errors("event \"connect\"|upstream")
    gate = Gate()
    backend.answer = lambda event: None if event.kind == "disconnect" else (
        gate.wait() if answer == "late" else Answer(raw=answer))
    assert server.request(wire.upgrade_request("/app")).status == status
    first = backend.next("connect").client
    assert backend.next("disconnect").client == first
    gate.open()


@pytest.mark.parametrize("early", [b"100 Continue", b"103 Early Hints"])
def test_connect_answer_behind_an_early_status(server, backend, early):
    """Before version 1.29 nginx ends at the early status, but the backend has
    accepted the client."""
    server.allow_errors("event \"connect\"|upstream")
    backend.answer = answers(connect=Answer(raw=(
        b"HTTP/1.1 %b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        % early)))
    link = server.open()
    link.send(wire.upgrade_request("/app?room=1"))
    assert link.read_response().status in (101, 502)
    first = backend.next("connect").client
    link.disconnect()
    assert backend.next("disconnect").client == first


def test_answer_has_the_size_limit_of_messages(server, backend):
    server.allow_errors("event \"message\"")
    backend.answer = lambda event: Answer(200, event.body * 2)
    client, _ = connect(server, backend, "/small?room=1")
    client.text("x" * 50)
    assert client.read_frame().payload == b"x" * 100
    client.text("x" * 51)
    assert client.read_frame().close_code == 1011
