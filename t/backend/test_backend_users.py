"""The field WebSocket-User: to the backend in all events, and from it in the
answer to a connect event."""

import os
import signal

import pytest

import wire
from http_backend import (Answer, HttpBackend, answers, app, connect,
                          upstream)
from worker_picking import REUSEPORT, connect_to

LOCATIONS = app("@app") + r"""
location = /known { websocket http $arg_room pass=@app;
                    websocket_user $arg_user; }
location = /key { websocket http of-$websocket_user pass=@app;
                  websocket_user $arg_user; }
location @app { proxy_pass http://backend; add_header X-No no;
                access_log %%PREFIX%%/events.log users; }
"""
USERS = "log_format users '$websocket_event=$websocket_user';"


@pytest.fixture(scope="module")
def backend():
    started = HttpBackend()
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(module_nginx, backend):
    return module_nginx(LOCATIONS, http=upstream(backend.port) + USERS)


@pytest.fixture(autouse=True)
def reset(backend):
    backend.reset()


def users_of_events(backend, client):
    """The users in the events after the connect event."""
    client.text("x")
    message = backend.next("message")
    client.leave()
    return [each.fields["WebSocket-User"]
            for each in (message, backend.next("disconnect"))]


def test_user_goes_along_with_all_events(server, backend):
    client, event = connect(server, backend, "/known?room=1&user=ann")
    assert event.fields.get_all("WebSocket-User") == ["ann"]
    assert users_of_events(backend, client) == ["ann", "ann"]
    assert server.wait_for_access_log(status="101")["websocket_user"] == "ann"


def test_without_a_user_there_is_no_field(server, backend):
    client, event = connect(server, backend, "/app?room=1",
                            headers=[("WebSocket-User", "forged")])
    assert "WebSocket-User" not in event.fields
    assert users_of_events(backend, client) == [None, None]


def test_connect_answer_sets_the_user(server, backend):
    backend.answer = answers(connect=Answer(
        200, fields=[("WebSocket-User", "42"), ("WebSocket-State", "s")]))
    client, _ = connect(server, backend, "/known?room=1&user=ann")
    assert users_of_events(backend, client) == ["42", "42"]
    assert server.wait_for_access_log(status="101")["websocket_user"] == "42"
    assert client.response.header("WebSocket-User") is None


def test_connect_answer_removes_the_user(server, backend):
    backend.answer = answers(connect=Answer(
        200, fields=[("WebSocket-User", "")]))
    client, _ = connect(server, backend, "/known?room=1&user=ann")
    assert users_of_events(backend, client) == [None, None]


def test_key_has_the_user_of_before_the_connect_event(server, backend):
    backend.answer = answers(connect=Answer(
        200, fields=[("WebSocket-User", "42")]))
    client, event = connect(server, backend, "/key?user=ann")
    assert event.fields["WebSocket-Resource"] == "of-ann"
    client.leave()
    entry = server.wait_for_access_log(status="101")
    assert entry["websocket_resource"] == "of-ann"
    assert entry["websocket_user"] == "42"


def test_bad_user_of_a_backend_refuses_the_handshake(server, backend):
    server.allow_errors('the event "connect" of client')
    for user in "x" * 257, "a\xff":
        backend.answer = answers(connect=Answer(
            200, fields=[("WebSocket-User", user)]))
        response = server.request(
            wire.upgrade_request("/known?room=1&user=ann"))
        assert response.status == 502
        assert backend.next("connect")
        assert backend.next("disconnect")
    # One line in ten seconds
    server.wait_for_log("the user is longer than 256 bytes")


def test_user_outlives_a_killed_worker(nginx, backend):
    server = nginx(LOCATIONS, workers=2, http=upstream(backend.port) + USERS,
                   **REUSEPORT)
    server.allow_errors("exited on signal 9")
    backend.answer = answers(connect=Answer(
        200, fields=[("WebSocket-User", "42"), ("WebSocket-State", "s")]))
    killed = server.worker_pids()[0]
    connect_to(server, killed, "/known?room=1&user=ann")
    backend.next("connect")
    os.kill(killed, signal.SIGKILL)
    event = backend.next("disconnect", timeout=10)
    assert event.fields["WebSocket-User"] == "42"
    assert event.state == "s"


def test_event_has_the_variable(server, backend):
    client, _ = connect(server, backend, "/known?room=1&user=ann")
    assert users_of_events(backend, client) == ["ann", "ann"]
    with open(f"{server.prefix}/events.log", encoding="utf-8") as file:
        assert "message=ann" in file.read()
