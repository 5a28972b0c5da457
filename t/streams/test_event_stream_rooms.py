"""Event streams of `rooms`: several rooms in one stream."""

import urllib.parse

import pytest

import room_client
from event_stream_client import join_rooms, open_stream, refusal
from publish_client import Publisher
from tuned_client import TIGHT_LISTEN

LOCATIONS = """
websocket_event_stream on;
location /rooms {
    websocket rooms;
    websocket_rooms chat.* history=100 presence=on presence_grace=0;
    websocket_rooms few.* history=2;
    websocket_rooms odd*;
    websocket_rooms own.$arg_u;
    websocket_max_rooms 130;
    websocket_send_queue 64k drop;
}
location /room { websocket room $websocket_arg_k; }
location /publish { websocket_publish room $websocket_arg_k; }
"""


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    return module_nginx(LOCATIONS, workers=2, listen=TIGHT_LISTEN)


def post(server, room, *texts):
    """Publishes texts; returns their ids."""
    name = urllib.parse.quote(room, safe="")
    publisher = Publisher(server, f"/publish?k={name}")
    ids = ["%d-%d" % publisher.post(text) for text in texts]
    publisher.client.disconnect()
    return ids


def parsed(positions):
    """The id of an event as a dict."""
    pairs = (element.split("=") for element in positions.split(","))
    return {urllib.parse.unquote(room): last for room, last in pairs}


def read_messages(stream, count):
    """The next messages as (room, data); their ids must fit."""
    found = []
    for _ in range(count):
        event = stream.read("message")
        message = event.json
        assert parsed(event.id)[message["room"]] == message["id"]
        found.append((message["room"], message["data"]))
    return found


def test_one_stream_has_the_messages_of_its_rooms(server):
    stream = join_rooms(server, "/rooms", ["chat.1", "few.1", "nothing"])
    assert set(stream.subscribed["rooms"]) == {"chat.1", "few.1"}
    assert stream.subscribed["refused"] == {
        "nothing": "the name fits no websocket_rooms of this location"}
    assert parsed(stream.last_id) == {
        room: state["last"]
        for room, state in stream.subscribed["rooms"].items()}
    first, = post(server, "chat.1", "a")
    second, = post(server, "few.1", "b")
    assert read_messages(stream, 2) == [("chat.1", "a"), ("few.1", "b")]
    assert parsed(stream.last_id) == {"chat.1": first, "few.1": second}


def test_all_rooms_resume(server):
    rooms = ["chat.r1", "chat.r2", "few.r3"]
    stream = join_rooms(server, "/rooms", rooms)
    post(server, "chat.r1", "seen")
    assert read_messages(stream, 1) == [("chat.r1", "seen")]
    stream.leave()
    post(server, "chat.r1", "1", "2")
    post(server, "chat.r2", "3")
    post(server, "few.r3", "4", "5", "6")
    back = join_rooms(server, "/rooms", rooms,
                      ("Last-Event-ID", stream.last_id))
    assert {room: state["recovered"] for room, state
            in back.subscribed["rooms"].items()} == {
                "chat.r1": True, "chat.r2": True, "few.r3": False}
    missed = read_messages(back, 5)
    assert sorted(missed) == [("chat.r1", "1"), ("chat.r1", "2"),
                              ("chat.r2", "3"), ("few.r3", "5"),
                              ("few.r3", "6")]
    post(server, "chat.r2", "live")
    assert read_messages(back, 1) == [("chat.r2", "live")]


def test_header_precedes_the_argument(server):
    ids = post(server, "chat.h", "1", "2", "3")
    since = urllib.parse.quote(f"chat.h={ids[0]}")
    stream = join_rooms(server, f"/rooms?since={since}", ["chat.h"])
    assert read_messages(stream, 2) == [("chat.h", "2"), ("chat.h", "3")]
    stream = join_rooms(server, f"/rooms?since={since}", ["chat.h"],
                        ("Last-Event-ID", f"chat.h={ids[1]}"))
    assert read_messages(stream, 1) == [("chat.h", "3")]


def test_bad_positions_refuse_their_room_alone(server):
    stream = join_rooms(server, "/rooms", ["chat.x", "chat.y"],
                        ("Last-Event-ID", "chat.x=nonsense,,=,chat.z=1-1"))
    assert set(stream.subscribed["rooms"]) == {"chat.y"}
    assert stream.subscribed["refused"] == {
        "chat.x": "since is no id of a message"}


def test_names_may_be_anything(server):
    rooms = ["odd,a=b", "odd%41", "odd \"\u00e4", "odd\n"]
    stream = join_rooms(server, "/rooms", rooms)
    assert set(stream.subscribed["rooms"]) == set(rooms)
    for room in rooms:
        post(server, room, "x")
        assert read_messages(stream, 1) == [(room, "x")]
    assert set(parsed(stream.last_id)) == set(rooms)
    back = join_rooms(server, "/rooms", rooms,
                      ("Last-Event-ID", stream.last_id))
    assert all(state["recovered"]
               for state in back.subscribed["rooms"].values())


def test_pattern_with_a_variable(server):
    stream = join_rooms(server, "/rooms?u=anna", ["own.anna", "own.bert"])
    assert set(stream.subscribed["rooms"]) == {"own.anna"}


def test_presence_of_a_room(server):
    stream = join_rooms(server, "/rooms", ["chat.p", "few.p"])
    client = room_client.join(server, "/room?k=chat.p")
    event = stream.read("joined")
    assert event.id is None
    assert event.json == {"type": "joined", "room": "chat.p",
                          "client": client.welcome["client"], "clients": 2}
    client.leave()
    assert stream.read("left").json["clients"] == 1


def test_many_rooms(server):
    rooms = [f"chat.many{number}" for number in range(128)]
    stream = join_rooms(server, "/rooms", rooms)
    assert len(stream.subscribed["rooms"]) == 128
    post(server, rooms[100], "x")
    assert read_messages(stream, 1) == [(rooms[100], "x")]
    back = join_rooms(server, "/rooms", rooms,
                      ("Last-Event-ID", stream.last_id))
    assert all(state["recovered"]
               for state in back.subscribed["rooms"].values())


@pytest.mark.parametrize("query", ["", "?rooms=", "?rooms=,,"])
def test_stream_without_rooms_is_refused(server, query):
    assert refusal(server, f"/rooms{query}").status == 400


def test_room_that_is_named_twice(server):
    stream = open_stream(server, "/rooms?rooms=chat.t,chat.t")
    stream.read("welcome")
    assert set(stream.read("subscribed").json["rooms"]) == {"chat.t"}
    post(server, "chat.t", "once", "end")
    assert read_messages(stream, 2) == [("chat.t", "once"), ("chat.t", "end")]


def test_slow_stream_continues_from_the_history(server):
    """A stream that does not read is behind, and gets what is kept in order;
    the position in each id is what was sent."""
    rooms = ["chat.slow", "few.slow"]
    stream = join_rooms(server, "/rooms", rooms)
    texts = [f"{number} " + 20_000 * "x" for number in range(60)]
    post(server, "chat.slow", *texts)
    post(server, "few.slow", "0", "1")
    got = read_messages(stream, 62)
    assert [text for room, text in got if room == "chat.slow"] == texts
    assert [text for room, text in got if room == "few.slow"] == ["0", "1"]


def test_gap_is_an_event(server):
    stream = join_rooms(server, "/rooms", ["few.gap"])
    texts = [f"{number} " + 20_000 * "x" for number in range(100)]
    post(server, "few.gap", *texts)
    event = stream.read()
    got = []
    while event.kind == "message":
        got.append(event.json["data"])
        event = stream.read()
    assert event.kind == "gap" and event.json == {"type": "gap",
                                                  "room": "few.gap"}
    assert got == texts[:len(got)]
    assert [data for _, data in read_messages(stream, 2)] == texts[-2:]
