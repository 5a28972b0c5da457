"""POST to a location with an event stream publishes by the rules that a
WebSocket has there."""

import json

import pytest

from event_stream_client import join_room, join_rooms
from publish_client import BINARY, answer_of, post, request
from room_client import join, read
from token_issuer import as_cookie

LOCATIONS = """
websocket_event_stream on;
websocket_max_message_size 64k;
location /room { websocket room r$arg_k history=5; websocket_user $arg_u; }
location /text { websocket room kinds; websocket_accept text; }
location /bytes { websocket room kinds; websocket_accept binary; }
location /mute { websocket room mute publish=off; }
location /open { websocket room open; websocket_event_stream off; }
location /denied { websocket room denied; websocket_user $arg_u;
                   if ($arg_u = "") { return 401; } }
location /rooms {
    websocket rooms;
    websocket_rooms news.* publish=off;
    websocket_rooms own.$websocket_user;
    websocket_rooms secret.* access=token;
    websocket_rooms drop.* publish=open access=token;
    websocket_rooms chat.*;
    websocket_jwt $cookie_token KEY optional;
}
location /echo { websocket echo; }
"""
OTHER = [("Origin", "http://elsewhere.example")]


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx, issuer):
    return module_nginx(LOCATIONS.replace("KEY", issuer.key_file()),
                        workers=2, tls=True)


def status_of(server, data):
    return server.request(data).status


def test_message_has_an_id_and_a_user(server):
    stream = join_room(server, "/room?k=1")
    client = join(server, "/room?k=1")
    answer = answer_of(server.request(post("text", "/room?k=1&u=anna")))
    assert answer["clients"] == 2
    event = stream.read("message")
    assert (event.id, event.data) == (answer["id"], "text")
    assert json.loads(event.fields["user"]) == "anna"
    assert "from" not in event.fields
    message = read(client)
    assert message["user"] == "anna" and message["from"] is None


@pytest.mark.parametrize("path, kinds", [
    ("/text", [200, 415]), ("/bytes", [415, 200]),
    ("/rooms?room=chat.kinds", [200, 200]),
])
def test_kinds_of_messages_are_those_of_a_websocket(server, path, kinds):
    assert [status_of(server, post("text", path)),
            status_of(server, post(b"bytes", path, kind=BINARY))] == kinds


def test_binary_message(server):
    stream = join_room(server, "/room?k=2")
    assert status_of(server, post(b"\0\xff", "/room?k=2", kind=BINARY)) == 200
    assert stream.read("binary").bytes == b"\0\xff"


def test_chunked_body(server):
    stream = join_room(server, "/room?k=3")
    data = request("POST", "/room?k=3", chunks=[b"a", b"bc"])
    assert status_of(server, data) == 200
    assert stream.read_data() == ["abc"]


@pytest.mark.parametrize("data, status", [
    (post("x", "/mute"), 403),
    (post("x", "/open"), 405),
    (post("x", "/echo"), 405),
    (post("x", "/denied"), 401),
    (post(b"\xff", "/room"), 400),
    (post("x" * 65537, "/room"), 413),
    (post("x", "/room", headers=OTHER), 403),
    (post("x", "/room", headers=[("Content-Encoding", "gzip")]), 415),
    (post("x", "/room?u=%FF"), 200),
    (post("x", "/rooms"), 400),
    (post("x", "/rooms?room="), 400),
    (post("x", "/rooms?room=nothing"), 403),
    (post("x", "/rooms?room=news.a"), 403),
    (post("x", "/rooms?room=own."), 403),
    (post("x", "/rooms?room=secret.a"), 403),
    (post("x", "/rooms?room=drop.a"), 403),
    (post("x", "/rooms?room=chat.a"), 200),
    (post("x", "/rooms?room=chat." + "x" * 4096), 400),
])
def test_statuses(server, data, status):
    assert status_of(server, data) == status


def with_token(server, issuer, path, text="x", **claims):
    cookie = as_cookie(issuer.token(claims))["headers"]
    return server.request(post(text, path, headers=cookie))


def test_token_names_rooms_and_user(server, issuer):
    stream = join_rooms(server, "/rooms", ["chat.t"])
    claims = {"sub": "42", "rooms": ["secret.a", "drop.*"]}
    for room, status in (("secret.a", 200), ("secret.b", 403),
                         ("drop.x", 200), ("own.42", 200), ("own.43", 403),
                         ("news.a", 403), ("chat.t", 200)):
        assert with_token(server, issuer, f"/rooms?room={room}",
                          **claims).status == status, room
    assert stream.read("message").json["user"] == "42"


def test_token_names_rooms_of_long_names(server, issuer):
    names = [f"secret.a-room-with-a-long-name-{number}" for number in range(9)]
    for name in names:
        assert with_token(server, issuer, f"/rooms?room={name}",
                          sub="42", rooms=names).status == 200, name
    assert with_token(server, issuer, f"/rooms?room={names[0]}x",
                      sub="42", rooms=names).status == 403


def test_bad_token_is_refused(server):
    data = post("x", "/rooms?room=chat.a",
                headers=[("Cookie", "token=nonsense")])
    assert status_of(server, data) == 401


def test_refusal_is_logged(server):
    assert status_of(server, post("x", "/mute")) == 403
    server.wait_for_log("clients do not publish in this room")


# Pages of other origins

@pytest.fixture(name="pages", scope="module")
def pages_fixture(module_nginx):
    return module_nginx("""
        websocket_event_stream on;
        websocket_origins same https://page.example;
        location /room { websocket room pages; auth_basic a;
                         auth_basic_user_file none; }
        location /open { websocket room pages; }
        """)


def test_preflight_is_answered_before_access(pages):
    origin = ("Origin", "https://page.example")
    response = pages.request(request("OPTIONS", "/room", headers=[
        origin, ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,last-event-id")]))
    assert response.status == 204
    assert response.header("Access-Control-Allow-Origin") == origin[1]
    assert response.header("Access-Control-Allow-Methods") == "GET, POST"
    assert response.header(
        "Access-Control-Allow-Headers") == "authorization,last-event-id"


def test_stream_and_post_name_the_origin(pages):
    origin = ("Origin", "https://page.example")
    stream = join_room(pages, "/open", origin)
    assert stream.response.header("Access-Control-Allow-Origin") == origin[1]
    assert stream.response.header("Vary") == "Origin"
    response = pages.request(post("x", "/open", headers=[origin]))
    assert response.header("Access-Control-Allow-Origin") == origin[1]
    assert stream.read_data() == ["x"]


def test_other_origins_are_refused(pages):
    response = pages.request(request("GET", "/open", headers=[
        *OTHER, ("Accept", "text/event-stream")]))
    assert response.status == 403
    assert response.header("Access-Control-Allow-Origin") is None
