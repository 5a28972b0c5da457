"""The handler `rooms`: many rooms over one connection."""

import json

import pytest

import room_client
import wire
from publish_client import Publisher
from room_client import read, read_type
from rooms_client import (
    ask, connect, data_of, joined, send, subscribe)

LOCATIONS = """
location /rooms {
    websocket rooms;
    websocket_rooms news.* history=50 publish=off;
    websocket_rooms chat.* history=100;
    websocket_rooms quiet.* self=off;
    websocket_rooms open.* publish=open;
    websocket_rooms exact;
    websocket_max_rooms 130;
}
location /room { websocket room $arg_k; }
location /publish { websocket_publish room $arg_k; }
"""


@pytest.fixture
def server(nginx):
    return nginx(LOCATIONS)


def post(server, room, text):
    Publisher(server, f"/publish?k={room}").post(text)


def test_welcome_names_the_client(server):
    client = connect(server)
    assert set(client.welcome) >= {"type", "client"}
    assert client.response.header("Sec-WebSocket-Protocol") == "rooms.v1.json"


def test_client_without_subprotocol_speaks_the_same(server):
    client = connect(server, subprotocols=[])
    assert client.response.header("Sec-WebSocket-Protocol") is None
    subscribe(client, "chat.a")


def test_answer_to_subscribe(server):
    client = connect(server)
    assert ask(client, subscribe=["chat.a", "b"], ref={"x": [1]}) == {
        "type": "subscribed", "ref": {"x": [1]},
        "rooms": {"chat.a": {"last": read_last(server, "chat.a"), "clients": 1,
                             "recovered": False}},
        "refused": {"b": "the name fits no websocket_rooms of this location"}}


def read_last(server, room):
    """The id of the last message, as another client reads it."""
    return room_client.join(server, f"/room?k={room}").welcome["last"]


def test_subscriber_and_client_of_the_room_get_the_same(server):
    both = [joined(server, "chat.a"), room_client.join(server, "/room?k=chat.a")]
    post(server, "chat.a", "posted")
    send(both[0], publish="chat.a", data="from rooms")
    both[1].text(json.dumps({"data": "from room"}))
    received = []
    for client in both:
        messages = []
        while len(messages) != 3:
            found = read(client)
            if found["type"] == "message":
                messages.append(found)
        received.append([(each["id"], each["data"], each["from"], each["time"])
                      for each in messages])
    assert received[0] == received[1]
    assert {each[1] for each in received[0]} == {"posted", "from rooms",
                                              "from room"}


def test_messages_name_their_room(server):
    client = joined(server, "chat.a", "news.b", "exact")
    for room in ("chat.a", "news.b", "exact"):
        post(server, room, f"in {room}")
    for room in ("chat.a", "news.b", "exact"):
        assert data_of(client, room) == [f"in {room}"]


def test_published_object_has_room_and_id(server):
    client = joined(server, "quiet.a")
    answer = ask(client, publish="quiet.a", data="x", ref=7)
    assert answer == {"type": "published", "ref": 7, "room": "quiet.a",
                      "id": answer["id"]}
    other = joined(server, "quiet.a")
    send(client, publish="quiet.a", data="y")
    assert data_of(other, "quiet.a") == ["y"]


def test_binary_data(server):
    sender, receiver = connect(server), joined(server, "chat.a")
    subscribe(sender, "quiet.a")
    assert ask(sender, publish="open.a", base64="AAEC/w==")["type"] == (
        "published")
    receiver = joined(server, "open.a")
    send(sender, publish="open.a", base64="AAEC/w==")
    assert read_type(receiver, "message")["base64"] == "AAEC/w=="


def test_unsubscribing_is_a_border(server):
    client = joined(server, "chat.a", "chat.b")
    other = joined(server, "chat.a")
    assert ask(client, unsubscribe=["chat.a"], ref=1) == {
        "type": "unsubscribed", "ref": 1, "rooms": ["chat.a"]}
    post(server, "chat.a", "not received")
    assert data_of(other, "chat.a") == ["not received"]
    post(server, "chat.b", "received")
    assert data_of(client, "chat.b") == ["received"]
    assert subscribe(client, "chat.a")["chat.a"]["clients"] == 2


def test_publishing_needs_the_room_or_an_open_pattern(server):
    client = connect(server)
    assert ask(client, publish="chat.a", data="x")["message"] == (
        "not subscribed")
    assert ask(client, publish="open.a", data="x")["type"] == "published"
    assert "websocket_rooms" in ask(client, publish="x", data="x")["message"]
    subscribe(client, "news.a")
    assert ask(client, publish="news.a", data="x", ref=1) == {
        "type": "error", "ref": 1, "room": "news.a",
        "message": "clients do not publish in this room"}


def test_missed_messages_follow_the_answer(server):
    for number in range(5):
        post(server, "chat.a", f"{number}")
    client = connect(server)
    answer = ask(client, subscribe=["chat.a", "news.b"],
                 since={"chat.a": "0", "news.b": "0"})
    assert answer["rooms"]["chat.a"]["recovered"] is True
    assert answer["rooms"]["news.b"]["recovered"] is True
    assert data_of(client, "chat.a", 5) == [f"{n}" for n in range(5)]
    post(server, "chat.a", "live")
    message = read_type(client, "message")
    assert message["data"] == "live"
    client.disconnect()
    client = connect(server)
    post(server, "chat.a", "missed")
    send(client, subscribe=["chat.a"], since={"chat.a": message["id"]})
    assert read(client)["rooms"]["chat.a"]["recovered"] is True
    assert data_of(client, "chat.a") == ["missed"]


def test_since_of_another_epoch_is_not_recovered(server):
    post(server, "chat.a", "kept")
    client = connect(server)
    answer = ask(client, subscribe=["chat.a"], since={"chat.a": "1-1"})
    assert answer["rooms"]["chat.a"]["recovered"] is False
    assert data_of(client, "chat.a") == ["kept"]


def test_many_rooms_in_one_object_get_one_answer(server):
    names = [f"chat.{number}" for number in range(128)]
    client = connect(server)
    assert len(subscribe(client, *names, ref=1)) == 128
    assert ask(client, ping=1, ref=2) == {"type": "pong", "ref": 2}
    for name in names[::40]:
        post(server, name, name)
        assert data_of(client, name) == [name]


def test_publish_behind_subscribe_in_one_packet_is_in_the_room(server):
    client = connect(server)
    objects = [{"subscribe": ["chat.a"]}, {"publish": "chat.a", "data": "x"}]
    client.send(b"".join(wire.text(json.dumps(each)) for each in objects))
    assert read(client)["type"] == "subscribed"
    assert sorted(read(client)["type"] for _ in range(2)) == [
        "message", "published"]


REFUSALS = [
    (["chat.a"], "already subscribed"),
    ([""], "the name fits no websocket_rooms of this location"),
    (["chat." + "x" * 5000], "the name is too long"),
]


@pytest.mark.parametrize("names,reason", REFUSALS)
def test_refused_rooms(server, names, reason):
    client = joined(server, "chat.a")
    answer = ask(client, subscribe=names)
    assert answer["refused"] == {names[0]: reason}
    assert answer["rooms"] == {}


def test_more_rooms_than_the_limit_are_refused(server):
    client = connect(server)
    names = [f"chat.{number:03}" for number in range(132)]
    answer = ask(client, subscribe=names)
    assert len(answer["rooms"]) == 130
    assert answer["refused"] == dict.fromkeys(
        ["chat.130", "chat.131"], "websocket_max_rooms reached")
    ask(client, unsubscribe=["chat.000"])
    subscribe(client, "chat.131")


def test_bad_since_is_refused(server):
    client = connect(server)
    answer = ask(client, subscribe=["chat.a"], since={"chat.a": "x"})
    assert answer["refused"] == {"chat.a": "since is no id of a message"}


ERRORS = [
    ("{", "not JSON"),
    ("[]", "not an object"),
    ("{}", "no request: subscribe, unsubscribe, publish, presence, token or "
           "ping"),
    ('{"subscribe":"a"}', "subscribe is not a list of names, of at most 64 KB"),
    ('{"subscribe":[1]}', "subscribe is not a list of names, of at most 64 KB"),
    ('{"subscribe":["a"],"since":[]}',
     "since is not an object with ids, of at most 64 KB"),
    ('{"subscribe":["a"],"publish":"a"}', "more than one request"),
    ('{"publish":"a"}', "no data"),
    ('{"publish":1,"data":""}', "publish is not a string"),
    ('{"publish":"a","data":"","base64":""}', "both data and base64"),
    ('{"publish":"a","base64":"AA"}', "base64 is not valid"),
]


@pytest.mark.parametrize("text,error", ERRORS)
def test_wrong_objects(server, text, error):
    client = connect(server)
    client.text(text)
    assert read(client) == {"type": "error", "message": error}
    assert ask(client, ping=1) == {"type": "pong"}


def test_binary_messages_are_refused(server):
    client = connect(server)
    client.binary(b"x")
    client.expect_close(1003)


def test_clients_count_in_their_rooms(server):
    first = connect(server)
    assert subscribe(first, "chat.a")["chat.a"]["clients"] == 1
    second = connect(server)
    assert subscribe(second, "chat.a")["chat.a"]["clients"] == 2
    assert room_client.join(server, "/room?k=chat.a").welcome["clients"] == 3
    second.disconnect()
    first.disconnect()
