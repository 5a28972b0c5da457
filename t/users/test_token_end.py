"""A client is closed with 3000 when its token ends, unless it sends a newer
one. Handlers use tokens by the SDK."""

import json
import time

import pytest

import plugin_builder
from nginx_server import seconds
from plugin_library import loading
from test_user import logged_user
from token_issuer import as_cookie, in_seconds

LOCATIONS = r"""
location = /echo { websocket_jwt $cookie_token KEY leeway=0s; websocket echo; }
location = /late { websocket_jwt $cookie_token KEY leeway=1s; websocket echo; }
location = /room { websocket_jwt $cookie_token KEY leeway=0s;
                   websocket room publish=off; }
location = /plain { websocket room; }
location = /named { websocket_jwt $cookie_token KEY optional;
                    websocket_user fixed; websocket room; }
location = /probe { websocket_jwt $cookie_token KEY optional leeway=0s;
                    websocket token_probe; }
location = /none { websocket token_probe; }
location = /drop { websocket_jwt $cookie_token KEY leeway=0s; websocket echo;
                   websocket_ping_interval off; websocket_timeout 1000d; }
"""


@pytest.fixture(scope="module")
def server(module_nginx, issuer):
    path = plugin_builder.build_file("token_probe.cpp")
    return module_nginx(LOCATIONS.replace("KEY", issuer.key_file()),
                        **loading(path))


def soon():
    """A time after the handshake, also on a busy machine."""
    return in_seconds(seconds(1))


def connect(server, issuer, path, exp=None, sub="42", **options):
    claims = {"sub": sub} if exp is None else {"sub": sub, "exp": exp}
    return server.connect(path, **as_cookie(issuer.token(claims)), **options)


def join(server, issuer, exp=None, path="/room", **claims):
    client = connect(server, issuer, path, exp,
                     subprotocols=["room.v1.json"], **claims)
    assert received(client)["type"] == "welcome"
    return client


def received(client):
    return json.loads(client.read_frame().payload)


def sent(client, **members):
    client.text(json.dumps(members))
    return received(client)


def expect_end(client, exp):
    client.expect_close(3000, "^unauthorized$", timeout=10)
    assert time.time() >= exp - 0.01  # nginx has whole milliseconds
    client.disconnect()


@pytest.mark.parametrize("path", ["/echo", "/drop"])
def test_client_is_closed_when_its_token_ends(server, issuer, path):
    exp = soon()
    client = connect(server, issuer, path, exp)
    client.expect_alive()
    expect_end(client, exp)
    entry = server.wait_for_access_log(status="101")
    assert entry["websocket_close_code"] == "3000"
    assert entry["websocket_close_by"] == "server"
    assert entry["websocket_user"] == "42"
    line = server.wait_for_log("closed by server, code 3000")
    assert 'reason "unauthorized"' in line


def test_leeway_comes_on_top(server, issuer):
    exp = soon()
    expect_end(connect(server, issuer, "/late", exp), exp + 1)


@pytest.mark.parametrize("exp", [None, 253402300799, 9999999999.5])
def test_client_stays_with_a_token_that_lasts(server, issuer, exp):
    client = connect(server, issuer, "/echo", exp)
    client.expect_nothing()
    client.expect_alive()
    client.leave()


def test_newer_token_postpones_the_end(server, issuer):
    old, new = soon(), in_seconds(seconds(2))
    client = join(server, issuer, old)
    answer = sent(client, token=issuer.token(sub="42", exp=new), ref=[5])
    assert answer == {"type": "token", "ref": [5], "expires": int(new * 1000)}
    expect_end(client, new)


def test_newer_token_may_end_earlier_or_never(server, issuer):
    client = join(server, issuer, in_seconds(3600))
    assert sent(client, token=issuer.token(sub="42")) == {
        "type": "token", "expires": None}
    exp = soon()
    sent(client, token=issuer.token(sub="42", exp=exp))
    expect_end(client, exp)


def test_token_of_another_user_is_refused(server, issuer):
    exp = soon()
    client = join(server, issuer, exp)
    for claims in {"sub": "43"}, {}:
        assert sent(client, token=issuer.token(claims), ref=1) == {
            "type": "error", "ref": 1,
            "message": "the token is not of the user who connected"}
    expect_end(client, exp)


@pytest.mark.parametrize("claims, secret, reason", [
    ({"exp": 1}, None, "it has expired"),
    ({}, b"x" * 64, "the signature is wrong"),
    ({"exp": "1"}, None, '"exp" is not a time'),
])
def test_bad_token_changes_nothing(server, issuer, claims, secret, reason):
    client = join(server, issuer)
    answer = sent(client, token=issuer.token({"sub": "42", **claims},
                                             secret=secret))
    assert answer == {"type": "error",
                      "message": "the token is not valid: " + reason}
    assert sent(client, ping=1) == {"type": "pong"}
    client.leave()


def test_text_that_is_no_token(server, issuer):
    client = join(server, issuer)
    for text in "x", "a.b.c", "\0", "x" * 100000:
        assert sent(client, token=text)["message"].startswith(
            "the token is not valid: it is ")
    client.leave()


def test_object_with_data_is_no_token(server, issuer):
    client = join(server, issuer, path="/named")
    client.text(json.dumps({"token": "x", "data": "hello", "ref": 1}))
    assert {received(client)["type"], received(client)["type"]} == {
        "message", "published"}
    assert logged_user(server, client) == "fixed"


def test_location_without_tokens(server):
    client = server.connect("/plain", subprotocols=["room.v1.json"])
    received(client)
    assert sent(client, token="x", ref=1)["message"] == (
        "the token is not valid: this location takes no tokens")
    client.leave()


def test_many_tokens_are_all_answered(server, issuer):
    client = join(server, issuer)
    token = issuer.token(sub="42")
    for ref in range(300):
        client.text(json.dumps({"token": token, "ref": ref}))
    assert [received(client)["ref"] for _ in range(300)] == list(range(300))
    client.leave()


# The SDK

def ask(client, command, text="x"):
    client.text(f"{command} {text}")
    return client.read_frame().payload.decode()


def test_handler_sees_the_token(server, issuer):
    token = issuer.token(sub="42", exp=9999999999, rooms=["news", "chat.*"])
    client = server.connect("/probe", **as_cookie(token))
    client.expect_text("ends 9999999999000")
    assert ask(client, "current") == "ends 9999999999000"
    assert [ask(client, "covers", name) for name in (
        "news", "chat.a", "other")] == ["yes", "yes", "no"]
    client.leave()


def test_handler_reads_and_uses_tokens(server, issuer):
    client = connect(server, issuer, "/probe", in_seconds(3600))
    client.read_frame()
    later = issuer.token(sub="42", exp=9999999999, rooms=["late"])
    assert ask(client, "read", later) == "ends 9999999999000"
    assert ask(client, "covers", "late") == "no"
    assert ask(client, "use", later) == "used"
    assert ask(client, "current") == "ends 9999999999000"
    assert ask(client, "covers", "late") == "yes"
    assert ask(client, "use", issuer.token(sub="43")) == "refused"
    assert ask(client, "use", "x") == (
        "error it is not a signed token in compact form")
    client.leave()


def test_handler_of_a_client_without_token(server, issuer):
    for path in "/none", "/probe":
        client = server.connect(path)
        client.expect_text("none")
        assert ask(client, "covers") == "no"
        answer = ask(client, "use", issuer.token(sub="42"))
        assert answer == ("refused" if path == "/probe" else
                          "error this location takes no tokens")
        assert ask(client, "current") == "none"
        client.leave()
