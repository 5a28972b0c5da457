"""examples/team without its page: the backend, and that nobody forges a sender
or reads messages of others, with raw clients."""

import base64
import http.client
import json
import os
import stat

import pytest

from browser import start_example
from publish_client import request
from raw_client import RawClient
from room_client import read, read_type
from rooms_client import ask, send, subscribe
from team_page import (LIVE, TeamPublisher, call, connect_as, connect_with,
                       log_in, token_of)
import wire

NO_PATTERN = "the name fits no websocket_rooms of this location"


@pytest.fixture(scope="module")
def server(module_nginx):
    return start_example(module_nginx)


def inbox_of(server, name):
    """A raw client of a user that reads direct messages."""
    client = connect_as(server, name)
    subscribe(client, f"user.{name}")
    return client


def refusal_of(client, room):
    answer = ask(client, subscribe=[room])
    assert answer["rooms"] == {}
    return answer["refused"][room]


def status_with(server, *subprotocols):
    """The status of a handshake."""
    client = RawClient(("127.0.0.1", server.port))
    client.send(wire.upgrade_request(LIVE, protocol=", ".join(subprotocols)))
    status = client.read_response().status
    client.disconnect()
    return status


def with_claims(token, **claims):
    """The token with other claims and its old signature."""
    head, body, signature = token.split(".")
    old = json.loads(base64.urlsafe_b64decode(body + "=="))
    body = base64.urlsafe_b64encode(json.dumps({**old, **claims}).encode())
    return f"{head}.{body.decode().rstrip('=')}.{signature}"


# Tokens

def test_token_is_required(server):
    session = log_in(server, "Linus")
    token = token_of(server, session)["token"]
    assert status_with(server, "rooms.v1.json", f"bearer.{token}") == 101
    for forged in (with_claims(token, sub="Ada"), session,
                   with_claims(token, rooms=["*"])):
        assert status_with(server, "rooms.v1.json", f"bearer.{forged}") == 401
    assert status_with(server, "rooms.v1.json") == 401


def test_token_is_of_the_user_and_covers_the_rooms(server):
    granted = token_of(server, log_in(server, "Linus"))
    assert granted["user"] == "Linus"
    names = [room["room"] for room in granted["rooms"]]
    assert names == ["team.general", "team.help", "team.random"]
    linus = connect_with(server, granted["token"])
    assert linus.welcome["user"] == "Linus"
    assert linus.welcome["expires"] is not None
    subscribe(linus, *names)
    assert refusal_of(linus, "team.leads") == (
        "the token does not cover this room")
    subscribe(connect_as(server, "Ada"), "team.leads")
    assert ask(linus, publish="team.leads", data="x")["message"] == (
        "not subscribed")


def test_key_and_socket_are_for_the_backend_alone(server):
    folder = f"{server.config.folder}/backends"
    owner = os.stat(f"{folder}/team.key").st_uid
    assert owner == os.stat(folder).st_uid
    for path, mode in ((folder, 0o700), (f"{folder}/team.key", 0o600)):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


# Senders

def test_sender_in_a_room_is_the_user_of_the_token(server):
    ada, linus = connect_as(server, "Ada"), connect_as(server, "Linus")
    for client in (ada, linus):
        subscribe(client, "team.help")
    forged = {"text": "x", "user": "Ada", "from": "Ada"}
    send(linus, publish="team.help", data=json.dumps(forged), user="Ada",
         **{"from": ada.welcome["client"]})
    message = read_type(ada, "message")
    assert message["user"] == "Linus"
    assert message["from"] == linus.welcome["client"]


@pytest.mark.parametrize("room", ["user.Ada", "user.Linus"])
def test_clients_publish_to_no_room_of_a_user(server, room):
    ada, linus = inbox_of(server, "Ada"), inbox_of(server, "Linus")
    data = json.dumps({"from": "Ada", "to": "Linus", "text": "x"})
    assert ask(linus, publish=room, data=data)["message"] in (
        NO_PATTERN, "clients do not publish in this room")
    for client in (ada, linus):
        assert ask(client, ping=1, ref=1) == {"type": "pong", "ref": 1}


@pytest.mark.parametrize("room", ["user.Ada", "user.*", "user.", "user.ada"])
def test_clients_read_no_room_of_another_user(server, room):
    assert refusal_of(connect_as(server, "Linus"), room) == NO_PATTERN


@pytest.mark.parametrize("path", [
    "/publish?room=user.Ada", "/publish?room=team.general", "/publish?room=",
    "/publish?room=user%2eAda", "/publish?room=user.Ada&room=lobby",
    "/room/user.Ada", "/room/user%2eAda", "/team/publish?room=user.Ada"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_nobody_publishes_over_http(server, path, method):
    server.allow_errors(r"open\(\) .* failed \(2: No such file")
    ada = inbox_of(server, "Ada")
    response = server.request(request(
        method, path, "x" if method == "POST" else None))
    assert response.status in (403, 404, 405)
    assert ask(ada, ping=1, ref=1) == {"type": "pong", "ref": 1}


def test_direct_message_has_the_sender_of_the_session(server):
    ada, linus = inbox_of(server, "Ada"), inbox_of(server, "Linus")
    session = log_in(server, "Linus")
    status, _ = call(server, "direct", {
        "to": "Ada", "from": "Grace", "user": "Grace", "text": "Grüße\n🙂",
        "nonce": "1"}, session)
    assert status == 200
    for client in (ada, linus):
        message = read_type(client, "message")
        assert (message["from"], message.get("user")) == (None, None)
        assert json.loads(message["data"]) == {
            "from": "Linus", "to": "Ada", "text": "Grüße\n🙂", "nonce": "1"}


def test_direct_message_that_is_sent_again_comes_once(server):
    ada = inbox_of(server, "Ada")
    for sender, text in (("Linus", "once"), ("Linus", "once"),
                         ("Grace", "by Grace")):
        assert call(server, "direct", {"to": "Ada", "text": text,
                                       "nonce": "same"},
                    log_in(server, sender)) == (200, {})
    texts = [json.loads(read(ada)["data"])["text"] for _ in range(2)]
    assert texts == ["once", "by Grace"]


def test_direct_messages_wait_for_their_user(server):
    log_in(server, "Zoë & Co")
    session = log_in(server, "Linus")
    for text in ("one", "two"):
        assert call(server, "direct", {"to": "Zoë & Co", "text": text,
                                       "nonce": text}, session)[0] == 200
    zoe = connect_as(server, "Zoë & Co")
    answer = ask(zoe, subscribe=["user.Zoë & Co"],
                 since={"user.Zoë & Co": "0"})
    assert answer["rooms"]["user.Zoë & Co"]["recovered"] is True
    assert [json.loads(read(zoe)["data"])["text"] for _ in range(2)] == [
        "one", "two"]


# The backend

@pytest.mark.parametrize("name", [
    "", " ", "!?", "x" * 33, "a\nb\0", "a\u202eb", 5, None, ["Ada"]])
def test_refused_names(server, name):
    assert call(server, "login", {"name": name})[0] == 400


@pytest.mark.parametrize("message", [
    {}, [], None, {"to": "Ada", "text": "x"}, {"to": "Ada", "nonce": "1"},
    {"to": "Ada", "text": " ", "nonce": "1"},
    {"to": "Ada", "text": "x" * 4001, "nonce": "1"},
    {"to": ["Ada"], "text": "x", "nonce": "1"}])
def test_refused_direct_messages(server, message):
    assert call(server, "direct", message, log_in(server, "Ada"))[0] == 400


def test_direct_message_to_nobody_is_refused(server):
    assert call(server, "direct", {"to": "Nobody", "text": "x", "nonce": "1"},
                log_in(server, "Linus")) == (
        404, {"error": "Nobody has this name."})


@pytest.mark.parametrize("name", ["token", "direct", "logout", "other"])
def test_calls_need_a_session(server, name):
    for session in (None, "", "x"):
        assert call(server, name, {}, session)[0] == 401


def test_session_ends_with_its_log_out_alone(server):
    first, second = log_in(server, "Ada"), log_in(server, "Ada")
    assert first != second
    assert call(server, "logout", {}, first) == (200, {})
    assert call(server, "token", {}, first) == (
        401, {"error": "Your session has ended."})
    assert call(server, "token", {}, second)[0] == 200


@pytest.mark.parametrize("kind, body, status", [
    ("text/plain", '{"name":"Ada"}', 415), (None, '{"name":"Ada"}', 415),
    ("application/json", "{", 400), ("application/json", "[" * 30000, 400),
    ("application/json", "x" * 33000, 413)],
    ids=["text", "none", "cut", "deep", "large"])
def test_bodies_are_json_of_the_declared_type(server, kind, body, status):
    server.allow_errors("client intended to send too large body")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/team/api/login", body,
                       {"Content-Type": kind} if kind else {})
    assert connection.getresponse().status == status
    connection.close()


def test_room_of_presence_lists_users(server):
    ada = connect_as(server, "Ada")
    subscribe(ada, "team.online")
    answer = ask(ada, presence="team.online")
    assert answer["users"] == [{"user": "Ada", "clients": 1}]
    assert ask(ada, publish="team.online", data="x")["message"] == (
        "clients do not publish in this room")


def test_backend_alone_reaches_the_socket(server):
    ada = inbox_of(server, "Ada")
    assert TeamPublisher(server).post("user.Ada", "x")["clients"] >= 1
    assert read_type(ada, "message")["data"] == "x"
