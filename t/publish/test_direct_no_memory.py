"""Clients and users for which the shared memory has no space."""

import pytest

from direct_client import ask, direct, join_as, number
from nginx_server import seconds, wait_until
from room_client import read

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user;
                   websocket room $arg_k presence=on presence_grace=0; }
location = /to { websocket_publish room $arg_k client=$arg_client
                                               user=$websocket_arg_user; }
"""
FULL = "no memory for the id or the user of one more client"


@pytest.fixture
def server(nginx):
    started = nginx(LOCATIONS, http="websocket_shared_memory 512k;")
    started.allow_errors(FULL)
    return started


class OneHost:
    """A host for join_as()."""

    def __init__(self, server):
        self.server = server


def fill(server):
    """Clients of many users, until there is no space for one more."""
    clients = []
    while FULL not in server.log():
        clients.append(server.connect(f"/room?k=full&user={len(clients)}"))
    return clients


def leave(server, clients):
    for client in clients:
        client.disconnect()
    wait_until(lambda: ask(server, "GET", "/to?k=full&presence=1")[1]["users"]
               == [], seconds(5), "the end of all users")


def reached(server, target):
    return ask(server, "POST", f"/to?{target}", "x")


def until_reached(server, target):
    wait_until(lambda: reached(server, target) == (200, {"clients": 1}),
               seconds(5), f"{target} is known")


def event(client):
    found = read(client)
    return found["type"], found["user"], found["client"]


def test_client_without_space_is_counted_when_others_have_left(server):
    observer = join_as(OneHost(server))
    others = fill(server)
    client = join_as(OneHost(server), "ann")
    for target in ("user=ann", f"client={number(client)}"):
        assert reached(server, target)[0] == 404
    leave(server, others)
    assert event(observer) == ("joined", "ann", number(client))
    for target in ("user=ann", f"client={number(client)}"):
        until_reached(server, target)
        assert direct(client) == "x"
    assert ask(server, "GET", "/to?k=a&presence=1")[1]["users"] == [
        {"user": "ann", "clients": 1}]
    client.close(1000)
    assert event(observer) == ("left", "ann", number(client))
    assert reached(server, "user=ann")[0] == 404


def test_client_without_space_takes_no_other_of_its_user_away(server):
    others = fill(server)
    first = join_as(OneHost(server), "ann")
    others[0].disconnect()
    leave(server, others[1:])
    second = join_as(OneHost(server), "ann")
    first.disconnect()
    until_reached(server, "user=ann")
    assert direct(second) == "x"
    assert ask(server, "GET", "/to?k=a&presence=1")[1] == {
        "clients": 1, "users": [{"user": "ann", "clients": 1}],
        "more": False}


def test_user_who_leaves_without_space_has_not_been_there(server):
    observer = join_as(OneHost(server))
    others = fill(server)
    join_as(OneHost(server), "ann").disconnect()
    leave(server, others)
    bob = join_as(OneHost(server), "bob")
    assert event(observer) == ("joined", "bob", number(bob))
    assert reached(server, "user=ann")[0] == 404
