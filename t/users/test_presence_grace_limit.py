"""A user lingers in at most `websocket_max_rooms` rooms: a client that goes from
room to room does not fill the memory."""

import json

import pytest

import rooms_client
from publish_client import Publisher
from room_client import join, read

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user;
                   websocket_max_rooms 4;
                   websocket room $arg_k presence=on presence_grace=1h; }
location = /rooms { websocket_user $websocket_arg_user; websocket rooms;
                    websocket_max_rooms 4;
                    websocket_rooms * presence=on presence_grace=1h; }
location = /list { websocket_publish room $arg_k; }
location = /status { websocket_status; }
"""
LINGERS = [{"user": "eve", "clients": 0}]


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http="websocket_shared_memory 512k;")


def ask(server, path):
    publisher = Publisher(server, path)
    try:
        return json.loads(publisher.ask("GET").body)
    finally:
        publisher.client.disconnect()


def lingering_in(server, rooms):
    """Those rooms of the list in which eve lingers."""
    found = []
    for room in rooms:
        users = ask(server, f"/list?k={room}&presence=1")["users"]
        assert users in ([], LINGERS), users
        found += [room] if users else []
    return found


def visit(client, *rooms):
    rooms_client.subscribe(client, *rooms)
    answer = rooms_client.ask(client, unsubscribe=list(rooms))
    assert answer["rooms"] == list(rooms), answer


def test_earliest_room_is_left_for_one_more(server):
    observer = join(server, "/room?k=a0")
    client = rooms_client.connect(server, "/rooms?user=eve")
    rooms = [f"a{number}" for number in range(6)]
    for room in rooms[:4]:
        visit(client, room)
    number = client.welcome["client"]
    joined = read(observer)
    assert (joined["type"], joined["user"]) == ("joined", "eve"), joined
    assert lingering_in(server, rooms) == rooms[:4]
    visit(client, "a4")
    assert read(observer) == {"type": "left", "user": "eve", "client": number,
                              "clients": 1}
    visit(client, "a1")  # again: a2 is the earliest now
    visit(client, "a5")
    assert lingering_in(server, rooms) == ["a1", "a3", "a4", "a5"]


def test_others_linger_as_before(server):
    other = rooms_client.connect(server, "/rooms?user=bob")
    visit(other, "b0")
    for number in range(6):
        client = join(server, f"/room?k=b{number}&user=eve")
        client.disconnect()
        client = join(server, f"/room?k=b{number}&user=eve")
        client.disconnect()
    assert ask(server, "/list?k=b0&presence=1")["users"] == [
        {"user": "bob", "clients": 0}]


def test_visits_of_many_rooms_take_no_memory(server):
    client = rooms_client.connect(server, "/rooms?user=eve")
    for number in range(500):
        visit(client, *[f"c{number}-{each}" for each in range(4)])
    assert ask(server, "/status?format=json")["zone"]["refused"] == 0
    assert lingering_in(server, [f"c{number}-0" for number in (0, 498, 499)]
                        ) == ["c499-0"]
    bob = join(server, "/room?k=c&user=bob")
    assert ask(server, "/list?k=c&presence=1")["users"] == [
        {"user": "bob", "clients": 1}], bob.welcome
