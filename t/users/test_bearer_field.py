"""websocket_jwt with the source `subprotocol`: event streams, publications by
POST and programs send the token in Authorization."""

import json

import pytest

import wire
from event_stream_client import join_room, refusal
from publish_client import answer_of, post
from raw_client import RawClient
from room_client import read_type

LOCATIONS = """
websocket_event_stream on;
location /room { websocket_jwt subprotocol KEY; websocket room r$arg_k; }
location /optional { websocket_jwt subprotocol KEY optional;
                     websocket room o; }
"""


@pytest.fixture(scope="module")
def server(module_nginx, issuer):
    return module_nginx(LOCATIONS.replace("KEY", issuer.key_file()), workers=2)


def bearer(token, scheme="Bearer"):
    return "Authorization", f"{scheme} {token}"


def status_with(server, *fields, path="/room", **options):
    """The status of a handshake."""
    client = RawClient(("127.0.0.1", server.port))
    client.send(wire.upgrade_request(path, headers=fields, **options))
    status = client.read_response().status
    client.disconnect()
    return status


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_event_stream_with_a_token_is_of_its_user(server, issuer, scheme):
    field = bearer(issuer.token(sub="42"), scheme)
    stream = join_room(server, f"/room?k={scheme}", field)
    answer = answer_of(server.request(
        post("text", f"/room?k={scheme}", headers=[field])))
    event = stream.read("message")
    assert (event.id, event.data) == (answer["id"], "text")
    assert json.loads(event.fields["user"]) == "42"


def test_stream_and_publication_without_a_valid_token_are_refused(
        server, issuer):
    other = bearer(issuer.token(sub="42", secret=b"x" * 64))
    for fields in [], [other], [bearer("x")], [bearer(
            issuer.token(sub="42"), "Basic")]:
        assert refusal(server, "/room", *fields).status == 401
        assert server.request(
            post("x", "/room", headers=fields)).status == 401


def test_program_sends_the_field_with_a_handshake(server, issuer):
    token = issuer.token(sub="42")
    assert status_with(server, bearer(token)) == 101
    assert status_with(server, bearer("x")) == 401


def test_offered_token_precedes_the_field(server, issuer):
    token = issuer.token(sub="offered")
    client = server.connect(
        "/room?k=both", subprotocols=["room.v1.json", f"bearer.{token}"],
        headers=[bearer(issuer.token(sub="field"))])
    read_type(client, "welcome")
    client.text('{"data":"x"}')
    assert read_type(client, "message")["user"] == "offered"
    assert status_with(server, bearer(token),
                       protocol="bearer.x, room.v1.json") == 401


def test_other_schemes_are_no_token(server):
    assert status_with(server, bearer("dTpw", "Basic"),
                       path="/optional") == 101
