"""The handler `rooms` with users and tokens."""

import pytest

from rooms_client import ask, connect, subscribe
from token_issuer import as_cookie, in_seconds

LOCATIONS = r"""
location = /rooms {
    websocket_jwt $cookie_token KEY optional;
    websocket rooms;
    websocket_rooms user.$websocket_user;
    websocket_rooms own.$websocket_user.*;
    websocket_rooms secret.*  access=token;
    websocket_rooms letters.* access=token publish=open;
    websocket_rooms *;
}
"""

NOT_COVERED = "the token does not cover this room"


@pytest.fixture(scope="module")
def server(module_nginx, issuer):
    return module_nginx(LOCATIONS.replace("KEY", issuer.key_file()))


def connect_as(server, issuer, **claims):
    return connect(server, **as_cookie(issuer.token(claims)))


def refused(answer):
    assert answer["type"] == "subscribed", answer
    return answer["refused"]


def test_welcome_has_the_user_and_the_end_of_the_token(server, issuer):
    end = int(in_seconds(1000))
    client = connect_as(server, issuer, sub="42", exp=end)
    assert client.welcome["user"] == "42"
    assert client.welcome["expires"] == end * 1000
    nobody = connect(server)
    assert nobody.welcome["user"] is None
    assert nobody.welcome["expires"] is None


def test_rooms_that_the_token_covers(server, issuer):
    client = connect_as(server, issuer, sub="42",
                        rooms=["secret.a", "letters.b*"])
    answer = ask(client, subscribe=["secret.a", "secret.b", "letters.bc"])
    assert sorted(answer["rooms"]) == ["letters.bc", "secret.a"]
    assert answer["refused"] == {"secret.b": NOT_COVERED}


def test_rooms_that_a_token_in_the_request_covers(server, issuer):
    client = connect_as(server, issuer, sub="42", rooms=["secret.a"])
    subscribe(client, "secret.a", "secret.b",
              token=issuer.token({"sub": "42", "rooms": ["secret.b"]}))
    answer = ask(client, subscribe=["secret.c"], token="x")
    assert answer["refused"]["secret.c"].startswith("the token is not valid: ")


def test_open_rooms_need_no_token(server, issuer):
    client = connect(server)
    assert refused(ask(client, subscribe=["secret.a", "x"])) == {
        "secret.a": NOT_COVERED}


def test_open_publishing_needs_the_token_too(server, issuer):
    client = connect_as(server, issuer, sub="42", rooms=["letters.a"])
    assert ask(client, publish="letters.a", data="")["type"] == "published"
    assert ask(client, publish="letters.b", data="")["message"] == NOT_COVERED
    assert ask(client, publish="letters.b", data="", token=issuer.token(
        {"sub": "42", "rooms": ["letters.b"]}))["type"] == "published"


def test_renewed_token_covers_other_rooms(server, issuer):
    client = connect_as(server, issuer, sub="42", rooms=["secret.a"])
    end = int(in_seconds(2000))
    newer = issuer.token({"sub": "42", "rooms": ["secret.b"], "exp": end})
    assert ask(client, token=newer, ref=1) == {
        "type": "token", "ref": 1, "expires": end * 1000}
    assert refused(ask(client, subscribe=["secret.a", "secret.b"])) == {
        "secret.a": NOT_COVERED}
    other = issuer.token({"sub": "43"})
    assert ask(client, token=other)["message"] == (
        "the token is not of the user who connected")



@pytest.mark.parametrize("user,fits,other", [
    ("42", "user.42", "user.43"),
    ("*", "user.*", "user.42"),
    ("42", "own.42.x", "own.4"),
])
def test_patterns_with_the_user(nginx, issuer, user, fits, other):
    server = nginx(LOCATIONS.replace("websocket_rooms *;", "").replace(
        "KEY", issuer.key_file()))
    client = connect_as(server, issuer, sub=user)
    assert list(refused(ask(client, subscribe=[fits, other]))) == [other]
    nobody = connect(server)
    assert sorted(refused(ask(nobody, subscribe=["user.", "user.42"]))) == [
        "user.", "user.42"]
