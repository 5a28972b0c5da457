"""Handlers send to one client or to one user, and list users."""

import pytest

import plugin_builder
from direct_handler_client import (LOCATION, ask, check_messages_to_a_user,
                                   connect)
from plugin_library import loading

@pytest.fixture(params=[1, 3], ids=["1-worker", "3-workers"])
def server(nginx, request):
    path = plugin_builder.build_file("direct.cpp")
    return nginx(LOCATION, workers=request.param, **loading(path))


def test_one_client(server):
    sender, other = connect(server), connect(server, key="b")
    assert ask(sender, f"client {other.number} hello") == "sent to 1"
    other.expect_text("hello")
    assert ask(sender, "client 999999 hello") == "sent to 0"
    other.leave()
    assert ask(sender, f"client {other.number} hello") == "sent to 0"


def test_one_user(server):
    sender = connect(server)
    ann = [connect(server, "ann"), connect(server, "ann", "b")]
    check_messages_to_a_user(sender, ann, 2)


def test_users_of_the_resource(server):
    clients = [connect(server, user) for user in ("b", "a", "b", "stop", "z")]
    other = connect(server, "c", "b")
    assert ask(clients[0], "users") == "a=1 b=2 stop=1 "
    assert ask(clients[0], "users b") == "stop=1 "
    assert ask(other, "users") == "c=1 "


def test_many_users_are_listed_once(server):
    clients = [connect(server, f"u{number:03}") for number in range(150)]
    found = ask(clients[0], "users").split()
    assert found == [f"u{number:03}=1" for number in range(150)]
