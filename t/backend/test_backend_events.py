"""The handler `http`: which events a backend gets, in which order, and what its
answers do."""

import threading

import pytest

import wire
from http_backend import Answer, Gate, HttpBackend, answers, connect
from nginx_server import seconds, wait_until
from publish_client import Publisher

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app; }}
location /uri {{ websocket http $arg_room pass=/inner?a=b; }}
location /two {{ websocket http $arg_room pass=@app concurrency=2; }}
location /messages {{ websocket http $arg_room pass=@app events=message; }}
location /ends {{ websocket http $arg_room pass=@app events=disconnect; }}
proxy_buffer_size 8k;
proxy_set_header Host $host;
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
location = /inner {{ internal; proxy_pass http://127.0.0.1:{port}; }}
location = /push {{ websocket_publish http $arg_room; }}
"""


@pytest.fixture(scope="module")
def running():
    started = HttpBackend()
    yield started
    started.close()


@pytest.fixture
def backend(running):
    """The backend, without events and with the answer 204."""
    running.reset()
    return running


@pytest.fixture(scope="module")
def server(running, module_nginx):
    return module_nginx(LOCATIONS.format(port=running.port), workers=1)


# The requests

@pytest.mark.parametrize("target, path", [
    ("/app?room=a%20b&x", "/app?room=a%20b&x"), ("/uri?room=1", "/inner?a=b"),
])
def test_events_are_requests_to_the_pass_location(server, backend, target,
                                                  path):
    client, event = connect(server, backend, target)
    assert (event.method, event.path) == ("POST", path)
    assert event.fields["WebSocket-URI"] == target
    assert event.fields["Host"] == "localhost"
    client.text("x")
    assert backend.next("message").path == path
    client.disconnect()
    assert backend.next("disconnect").path == path


def test_events_name_the_client_and_count(server, backend):
    client, event = connect(server, backend, "/app?room=a%20b")
    number = event.client
    assert event.fields["WebSocket-Resource"] == "a%2520b"
    assert event.fields["WebSocket-Sequence"] is None
    assert event.body == b""
    for sequence, text in enumerate(["", "x", "é" * 2000], 1):
        client.text(text)
        message = backend.next("message")
        assert (message.client, message.sequence) == (number, sequence)
        assert message.body == text.encode()
        assert message.fields["Content-Type"] == "text/plain; charset=utf-8"
    client.binary(b"\0\xff")
    message = backend.next("message")
    assert (message.body, message.sequence) == (b"\0\xff", 4)
    assert message.fields["Content-Type"] == "application/octet-stream"
    client.close(4001, "so long, 100%")
    end = backend.next("disconnect")
    assert (end.client, end.sequence, end.body) == (number, 5, b"")
    assert end.fields["WebSocket-Close-Code"] == "4001"
    assert end.fields["WebSocket-Close-Reason"] == "so%20long%2C%20100%25"


def test_fields_of_the_client_go_along(server, backend):
    fields = [("Cookie", "a=1"), ("Cookie", "b=2"), ("X-Own", "x"),
              ("Authorization", "Basic eDp5"), ("User-Agent", "test")]
    client, event = connect(server, backend, headers=fields)
    client.text("x")
    for event in (event, backend.next("message")):
        assert "a=1" in event.fields["Cookie"] or \
            "a=1" in event.fields.get_all("Cookie")[0]
        assert "b=2" in ";".join(event.fields.get_all("Cookie"))
        assert event.fields["X-Own"] == "x"
        assert event.fields["Authorization"] == "Basic eDp5"
        assert event.fields["User-Agent"] == "test"
        for name in ("Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
                     "Accept-Encoding", "Transfer-Encoding"):
            assert event.fields[name] is None


@pytest.mark.parametrize("name", [
    "WebSocket-User", "websocket-client", "WEBSOCKET-STATE", "WebSocket-Event",
    "WebSocket-Anything",
])
def test_client_cannot_forge_fields(server, backend, name):
    client, event = connect(server, backend, headers=[(name, "forged")])
    assert "forged" not in event.fields.values()
    client.disconnect()
    assert "forged" not in backend.next("disconnect").fields.values()


def test_offered_subprotocols_are_sent(server, backend):
    backend.answer = answers(connect=Answer(
        204, fields=(("WebSocket-Protocol", "b"),)))
    client = server.connect("/app?room=1", subprotocols=["a", "b"])
    assert backend.next("connect").fields["WebSocket-Protocols"] == "a, b"
    assert client.response.header("Sec-WebSocket-Protocol") == "b"


# The answers

def test_connect_answer_sets_cookies_state_and_the_first_message(server,
                                                                 backend):
    backend.answer = answers(connect=Answer(200, b"welcome", fields=(
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
        ("WebSocket-State", "user 42"))))
    client, _ = connect(server, backend)
    assert client.response.all("Set-Cookie") == ["a=1", "b=2"]
    assert client.read_frame().payload == b"welcome"
    client.text("x")
    assert backend.next("message").state == "user 42"
    client.disconnect()
    assert backend.next("disconnect").state == "user 42"


def test_message_answer_changes_the_state(server, backend):
    state = iter(["1", "2", ""])
    backend.answer = lambda event: Answer(
        204, fields=(("WebSocket-State", next(state)),)) \
        if event.kind == "message" else None
    client, _ = connect(server, backend)
    for before in (None, "1", "2"):
        client.text("x")
        assert backend.next("message").state == before
    client.disconnect()
    assert backend.next("disconnect").state is None


@pytest.mark.parametrize("kind, opcode", [
    ("text/plain", wire.TEXT), ("application/json", wire.TEXT),
    ("application/octet-stream", wire.BINARY),
    ("Application/Octet-Stream ; a=b", wire.BINARY),
])
def test_body_is_the_reply(server, backend, kind, opcode):
    backend.answer = answers(message=Answer(200, b"reply", kind=kind))
    client, _ = connect(server, backend)
    client.text("x")
    frame = client.read_frame()
    assert (frame.opcode, frame.payload) == (opcode, b"reply")


def test_answer_closes_after_the_reply(server, backend):
    backend.answer = answers(message=Answer(200, b"bye", fields=(
        ("WebSocket-Close", "4000 enough of this"),)))
    client, _ = connect(server, backend)
    client.text("x")
    assert client.read_frame().payload == b"bye"
    close = client.read_frame()
    assert (close.close_code, close.close_reason) == (4000, "enough of this")
    client.close(4000)
    backend.next("message")
    assert backend.next("disconnect").fields["WebSocket-Close-Code"] == "4000"


def test_published_messages_reach_the_clients(server, backend):
    client, _ = connect(server, backend, "/app?room=push")
    other, _ = connect(server, backend, "/app?room=push")
    Publisher(server, "/push?room=push").post(b"pushed", clients=2)
    for each in (client, other):
        assert each.read_frame().payload == b"pushed"


# Refused handshakes

@pytest.mark.parametrize("status, fields", [
    (401, (("WWW-Authenticate", 'Basic realm="x"'),)),
    (403, ()), (302, (("Location", "https://a.example/login"),)),
    (429, (("Retry-After", "7"),)), (404, (("Set-Cookie", "a=1"),)),
    (500, ()),
])
def test_refusal_is_the_answer_of_the_backend(server, backend, status, fields):
    if status == 500:
        server.allow_errors("event \"connect\"")
    backend.answer = answers(connect=Answer(status, b"because", fields))
    if status == 500:
        server.allow_errors("answered the event .* with status 500")
    response = server.request(wire.upgrade_request("/app?room=1"))
    assert (response.status, response.body) == (status, b"because")
    for name, value in fields:
        assert response.header(name) == value
    assert f"refused with {status}" in server.wait_for_log("handshake refused")
    assert backend.next("connect")
    assert backend.events.empty()


@pytest.mark.parametrize("answer, status", [
    (Answer(200, b"\xff"), 502),
    (Answer(204, fields=(("WebSocket-State", "x" * 4097),)), 502),
    (Answer(204, fields=(("WebSocket-Protocol", "other"),)), 500),
])
def test_invalid_connect_answer_refuses(server, backend, answer, status):
    server.allow_errors("event \"connect\"")
    backend.answer = answers(connect=answer)
    request = wire.upgrade_request("/app?room=1", protocol="mine")
    assert server.request(request).status == status
    backend.next("connect")
    # The backend has accepted the client
    end = backend.next("disconnect")
    assert end.fields["WebSocket-Close-Code"] == "1006"


# Order

def test_events_of_a_client_come_one_by_one(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body == b"1" else None
    client, event = connect(server, backend)
    for number in range(1, 6):
        client.text(str(number))
    client.close(1000)
    assert backend.next("message").body == b"1"
    other, _ = connect(server, backend)
    other.text("other")
    assert backend.next("message").body == b"other"
    gate.open()
    for number in range(2, 6):
        message = backend.next("message")
        assert (message.body, message.sequence) == (b"%d" % number, number)
    assert backend.next("disconnect").client == event.client


def test_what_is_sent_to_a_client_does_not_wait(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    client, _ = connect(server, backend, "/app?room=direct")
    client.text("x")
    backend.next("message")
    Publisher(server, "/push?room=direct").post(b"pushed", clients=1)
    assert client.read_frame().payload == b"pushed"
    gate.open()


def test_client_is_held_back_while_its_event_is_out(server, backend):
    """Data beyond the buffers of its connection stays with it."""
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body == b"1" else None
    client, _ = connect(server, backend)
    client.text("1")
    backend.next("message")
    frame = wire.text("x" * 1000000)
    writer = threading.Thread(
        target=lambda: [client.send(frame, duplex=False) for _ in range(30)])
    writer.start()
    writer.join(seconds(0.3))
    assert writer.is_alive()
    gate.open()
    for _ in range(30):
        assert len(backend.next("message").body) == 1000000
    writer.join()


def test_concurrency_limits_what_is_out(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    clients = [connect(server, backend, "/two?room=1")[0] for _ in range(4)]
    for number, client in enumerate(clients):
        client.text(str(number))
        client.wait_until_read()
        if number < 2:
            assert backend.next("message").body == b"%d" % number
    # A connect event waits with them; connections are read in any order
    waiting = server.open()
    waiting.send(wire.upgrade_request("/two?room=1"))
    assert backend.events.empty()
    gate.open()
    assert {backend.next().body for _ in range(3)} == {b"2", b"3", b""}
    assert waiting.read_response().status == 101


# Some events only

def test_without_connect_events_all_are_accepted(server, backend):
    client = server.connect("/messages?room=1")
    client.text("x")
    assert backend.next("message").sequence == 1
    client.disconnect()
    again = server.connect("/messages?room=1")
    again.text("y")
    assert backend.next("message").body == b"y"


def test_without_message_events_none_are_accepted(server, backend):
    client = server.connect("/ends?room=1")
    client.text("x")
    assert client.read_frame().close_code == 1003
    client.close(1003)
    assert backend.next("disconnect").fields["WebSocket-Close-Code"] == "1003"


# Clients that go

def test_client_that_goes_while_its_message_is_out(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    client, event = connect(server, backend)
    client.text("x")
    backend.next("message")
    Publisher(server, "/push?room=1").close_clients()
    client.read_frame()
    client.abort()
    gate.open()
    end = backend.next("disconnect")
    assert (end.client, end.sequence) == (event.client, 2)


def test_client_that_goes_before_it_is_accepted(server, backend):
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.kind == "connect" \
        else None
    client = server.open()
    client.send(wire.upgrade_request("/app?room=1"))
    event = backend.next("connect")
    client.disconnect()
    server.wait_for_access_log(status=499)
    gate.open()
    end = backend.next("disconnect")
    assert end.client == event.client
    assert end.fields["WebSocket-Close-Code"] == "1006"


def test_client_that_goes_before_it_is_refused(server, backend):
    gate = Gate()

    def refuse(event):
        gate.wait()
        return Answer(403)
    backend.answer = refuse
    client = server.open()
    client.send(wire.upgrade_request("/app?room=1"))
    backend.next("connect")
    client.disconnect()
    server.wait_for_access_log(status=499)
    gate.open()
    wait_until(lambda: server.access_log(uri="/app", status=403), seconds(5),
               "the end of the event")
    assert backend.events.empty()
