"""A disconnect that reached no backend is sent again, as nobody else could send
it."""

import json
import resource

import pytest

from http_backend import Answer, HttpBackend, app, connect
from nginx_server import seconds, wait_until
from worker_probe import only_worker

ERRORS = r"connect\(\) failed|socket\(\) failed|event \"disconnect\""


def start(nginx, backend):
    server = nginx(app("@app") + f"""
location @app {{ proxy_pass http://127.0.0.1:{backend.port}; }}
location = /json {{ websocket_status json; }}""", workers=1)
    server.allow_errors(ERRORS)
    return server


def failures(server):
    response = server.request(b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n")
    return json.loads(response.body)["http"]["failed"]["status"]


def test_disconnect_waits_for_a_backend_that_is_down(nginx):
    backend = HttpBackend()
    port = backend.port
    server = start(nginx, backend)
    client, event = connect(server, backend)
    backend.close()
    client.close(4001, "bye")
    server.wait_for_log("no backend was reached, so it is sent again")
    backend = HttpBackend(port=port)
    try:
        end = backend.next("disconnect", timeout=10)
        assert (end.client, end.sequence) == (event.client, 1)
        assert end.fields["WebSocket-Close-Code"] == "4001"
        assert end.fields["WebSocket-Close-Reason"] == "bye"
        assert backend.events.empty()
    finally:
        backend.close()


def test_disconnect_waits_for_an_open_file(nginx, backend):
    server = start(nginx, backend)
    clients = [connect(server, backend)[0] for _ in range(5)]
    worker = only_worker(server)
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, before[1]))
    for each in clients:
        each.abort()
    server.wait_for_log("no backend was reached, so it is sent again")
    resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    ended = {backend.next("disconnect", timeout=10).client for _ in clients}
    assert len(ended) == len(clients)


def test_disconnect_is_given_up_in_the_end(nginx):
    backend = HttpBackend()
    server = start(nginx, backend)
    client, _ = connect(server, backend)
    backend.close()
    client.disconnect()
    wait_until(lambda: failures(server) == 6, seconds(25), "the last failure")


@pytest.mark.parametrize("answer", [
    Answer(500), Answer(503), Answer(raw=b""), Answer(raw=b"garbage\r\n\r\n"),
    Answer(raw=b"HTTP/1.1 500 A\r\nContent-Length: 9\r\n\r\nhalf"),
])
def test_disconnect_that_has_begun_is_not_repeated(nginx, backend, answer):
    """Whether the backend answers, or nginx for it."""
    server = start(nginx, backend)
    server.allow_errors("upstream")
    client, _ = connect(server, backend)
    backend.answer = lambda event: answer
    client.disconnect()
    backend.next("disconnect")
    server.wait_for_log('event "disconnect"')
    assert "sent again" not in server.log()


def test_stop_sends_what_waits(nginx):
    """A disconnect that waits to be sent again does not outlast the worker."""
    backend = HttpBackend()
    port = backend.port
    server = start(nginx, backend)
    client, event = connect(server, backend)
    backend.close()
    client.disconnect()
    server.wait_for_log("no backend was reached, so it is sent again")
    backend = HttpBackend(port=port)
    try:
        server.stop()
        assert backend.next("disconnect").client == event.client
    finally:
        backend.close()
