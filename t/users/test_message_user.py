"""Messages carry the user of the client that has published them."""

import json
from urllib.parse import quote

import pytest

import rooms_client
from publish_client import Publisher
from room_client import join, read, read_type

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user; websocket room lobby history=10; }
location = /rooms { websocket_user $websocket_arg_user; websocket rooms;
                    websocket_rooms lobby history=10 publish=open; }
location = /publish { websocket_publish room lobby; }
"""


@pytest.fixture
def server(nginx):
    return nginx(LOCATIONS)


@pytest.fixture(params=["/room?user=reader", "/rooms?user=reader"])
def reader(server, request):
    """A client that is in the room, whichever way it came."""
    if request.param.startswith("/rooms"):
        client = rooms_client.connect(server, request.param)
        rooms_client.subscribe(client, "lobby")
        return client
    return join(server, request.param)


def published(client, user, data):
    message = read_type(client, "message")
    assert message["data"] == data
    assert message.get("user") == user
    return message


@pytest.mark.parametrize("user", ["42", "u" * 256, 'é"'])
def test_message_has_the_user(server, reader, user):
    sender = join(server, f"/room?user={quote(user)}")
    sender.text(json.dumps({"data": "x"}))
    published(reader, user, "x")


def test_message_of_nobody_has_no_user(server, reader):
    sender = join(server, "/room")
    sender.text(json.dumps({"data": "x"}))
    assert "user" not in published(reader, None, "x")
    Publisher(server, "/publish").post("posted")
    assert "user" not in published(reader, None, "posted")


def test_clients_of_rooms_are_users_too(server, reader):
    sender = rooms_client.connect(server, "/rooms?user=42")
    rooms_client.ask(sender, publish="lobby", data="not in it")
    published(reader, "42", "not in it")
    rooms_client.subscribe(sender, "lobby")
    rooms_client.send(sender, publish="lobby", data="in it")
    published(reader, "42", "in it")


def test_history_keeps_the_user(server):
    sender = join(server, "/room?user=42")
    sender.text(json.dumps({"data": "kept"}))
    published(sender, "42", "kept")
    late = join(server, "/room?since=0")
    published(late, "42", "kept")


def test_plain_clients_get_the_payload_alone(server):
    plain = server.connect("/room")
    sender = join(server, "/room?user=42")
    sender.text(json.dumps({"data": "x" * 5000}))
    plain.expect_text("x" * 5000)
    sender.binary(b"\x00" * 5000)
    plain.expect_binary(b"\x00" * 5000)
    assert read(sender)["user"] == "42"


def test_other_hosts_get_the_user(start_redis, hosts):
    group = hosts(LOCATIONS, redis=start_redis())
    reader = group[1].join("/room")
    sender = group[0].join("/room?user=42")
    sender.text(json.dumps({"data": "x"}))
    published(reader, "42", "x")
    late = group[1].join("/room?since=0")
    published(late, "42", "x")
