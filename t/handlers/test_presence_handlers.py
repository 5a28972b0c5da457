"""Handlers in C++ that learn which users are in their resources."""

import pytest

import plugin_builder
from nginx_server import seconds, wait_until
from worker_picking import REUSEPORT, connect_to

LOCATIONS = """
location = /none { websocket_user $arg_user; websocket present k; }
location = /zero { websocket_user $arg_user; websocket present k grace=0; }
location = /wrong { websocket_user $arg_user; websocket present k grace=x; }
"""


@pytest.fixture
def server(nginx):
    path = plugin_builder.build_file("present.cpp")
    return nginx(LOCATIONS, http=f"websocket_plugin {path};", workers=2,
                 **REUSEPORT)


def connect(server, user, worker, path="/zero"):
    pid = sorted(server.worker_pids())[worker]
    return connect_to(server, pid, f"{path}?user={user}")


def event(client):
    kind, user, number = client.read_frame().payload.decode().split()
    return kind, user


def wait_for_count(client, expected):
    """A client is counted before it is connected, and its user then."""
    def counted():
        client.text("count")
        return client.read_frame().payload == expected
    wait_until(counted, seconds(5), expected)


def leave(client):
    client.close(1000)
    while client.read_frame().close_code != 1000:
        pass
    client.disconnect()


def test_users_join_once_and_leave_once_on_all_workers(server):
    observers = [connect(server, "", worker) for worker in (0, 1)]
    first = connect(server, "ann", 0)
    for observer in observers:
        assert event(observer) == ("joined", "ann")
    second = connect(server, "ann", 1)
    assert event(first) == ("joined", "ann")
    wait_for_count(observers[0], b"4 clients, 3 present")
    leave(first)
    wait_for_count(observers[0], b"3 clients, 3 present")
    third = connect(server, "ann", 1)
    wait_for_count(observers[0], b"4 clients, 3 present")
    leave(second)
    leave(third)
    for observer in observers:
        assert event(observer) == ("left", "ann")
        observer.expect_alive()


def test_users_without_a_grace_are_not_reported(server):
    observer = connect(server, "", 0)
    quiet = connect(server, "ann", 1, "/none")
    guest = connect(server, "bob", 1)
    assert event(observer) == ("joined", "bob")
    leave(quiet)
    leave(guest)
    assert event(observer) == ("left", "ann")
    assert event(observer) == ("left", "bob")


def test_exception_in_presence_grace_is_logged(server):
    server.allow_errors("presence_grace")
    observer = connect(server, "", 0)
    client = connect(server, "ann", 0, "/wrong")
    client.expect_alive()
    guest = connect(server, "bob", 1)
    assert event(observer) == ("joined", "bob")
    guest.disconnect()
