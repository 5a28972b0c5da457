"""The figures of `websocket http` in websocket_status."""

import json

import pytest

import wire
from http_backend import Answer, Gate
from nginx_server import seconds, wait_until

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app concurrency=1; }}
location /slow {{ websocket http $arg_room pass=@app timeout=50ms
                  events=message on_error=report; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
location = /json {{ websocket_status json; }}
location = /metrics {{ websocket_status prometheus; }}
"""


@pytest.fixture
def server(backend, nginx):
    return nginx(LOCATIONS.format(port=backend.port), workers=2)


def figures(server):
    response = server.request(b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n")
    return json.loads(response.body)["http"]


def test_events_are_counted(server, backend):
    assert figures(server)["events"] == 0
    client = server.connect("/app?room=1")
    client.text("x")
    client.disconnect()
    for _ in range(3):
        backend.next()
    found = wait_until(lambda: (lambda read: read["out"] == 0 and read)(
        figures(server)), seconds(5), "the end of all events")
    assert found["events"] == sum(found["latency"].values()) == 3
    assert found["waiting"] == 0
    assert set(found["failed"].values()) == {0}


def test_events_that_wait_and_are_out(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait()
    clients = [server.open() for _ in range(8)]
    for client in clients:
        client.send(wire.upgrade_request("/app?room=1"))
    wait_until(lambda: (lambda read: read["out"] + read["waiting"] == 8)(
        figures(server)), seconds(5), "8 events")
    assert figures(server)["out"] in (1, 2)  # one of each worker
    gate.open()
    for client in clients:
        assert client.read_response().status == 101
    wait_until(lambda: figures(server)["out"] == 0, seconds(5), "no events")


def test_clients_that_leave_before_their_turn(server, backend):
    """The backend never learns of them, so they delay nobody."""
    gate = Gate()
    backend.answer = lambda event: gate.wait()
    first = [server.open() for _ in range(2)]
    others = [server.open() for _ in range(40)]
    for client in [*first, *others]:
        client.send(wire.upgrade_request("/app?room=1"))
    wait_until(lambda: sum(figures(server)[each] for each in
                           ("out", "waiting")) == 42, seconds(5), "42 events")
    for client in others:
        client.disconnect()
    for client in first:
        client.disconnect()
    wait_until(lambda: figures(server)["waiting"] == 0, seconds(5),
               "no event waits")
    out = figures(server)["out"]  # no further one can be sent now
    gate.open()
    connects = {backend.next("connect").client for _ in range(out)}
    assert {backend.next("disconnect").client for _ in range(out)} == connects
    wait_until(lambda: figures(server)["out"] == 0, seconds(5), "no events")
    assert backend.events.empty()


@pytest.mark.parametrize("answer, path, reason", [
    (Answer(500), "/app", "status"), (None, "/slow", "timeout"),
    (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "/app",
     "unfinished"),
    (Answer(200, b"\xff"), "/app", "invalid"),
])
def test_failures_are_counted_by_reason(server, backend, answer, path, reason):
    server.allow_errors("upstream|event \"message\"")
    gate = Gate()
    backend.answer = lambda event: (answer or gate.wait()) if event.body \
        else None
    client = server.connect(path + "?room=1")
    client.text("x")
    wait_until(lambda: figures(server)["failed"][reason] == 1, seconds(5),
               reason)
    assert sum(figures(server)["failed"].values()) == 1
    gate.open()


def test_prometheus_has_a_histogram(server, backend):
    server.connect("/app?room=1")
    backend.next("connect")
    wait_until(lambda: figures(server)["out"] == 0, seconds(5), "an answer")
    lines = server.request(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") \
        .body.decode().splitlines()
    name = "nginx_websocket_http_event"
    assert f"{name}s_total 1" in lines
    assert f'{name}_seconds_bucket{{le="30.000"}} 1' in lines
    assert f'{name}_seconds_bucket{{le="+Inf"}} 1' in lines
    assert f"{name}_seconds_count 1" in lines
    assert f'{name}s_failed_total{{reason="status"}} 0' in lines
