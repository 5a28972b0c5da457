"""Handlers send to one client or to one user, and list users."""

import pytest

import plugin_builder
from plugin_library import loading

LOCATIONS = r"""
location = /direct { websocket_user $arg_user; websocket direct $arg_k; }
"""


@pytest.fixture(params=[1, 3], ids=["1-worker", "3-workers"])
def server(nginx, request):
    path = plugin_builder.build_file("direct.cpp")
    return nginx(LOCATIONS, workers=request.param, **loading(path))


def connect(server, user="", key="a"):
    client = server.connect(f"/direct?user={user}&k={key}")
    client.number = client.read_frame().payload.decode()
    return client


def ask(client, text):
    client.text(text)
    return client.read_frame().payload.decode()


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
    assert ask(sender, "user ann hello") == "sent to 2"
    for client in ann:
        client.expect_text("hello")
    assert ask(sender, "user bob hello") == "sent to 0"
    assert ask(sender, "close ann out") == "sent to 2"
    for client in ann:
        client.expect_close(4001, "out")


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
