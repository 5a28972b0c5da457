"""Messages to one client or to one user, over HTTP."""

import base64
import json
import os
import signal
from urllib.parse import quote

import pytest

import rooms_client
from nginx_server import seconds, wait_until
from publish_client import request
from room_client import join, read, read_type
from worker_picking import REUSEPORT

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user; websocket room $arg_k; }
location = /rooms { websocket_user $websocket_arg_user; websocket rooms;
                    websocket_rooms * presence=on; }
location = /echo { websocket_user $websocket_arg_user; websocket echo; }
location = /to { websocket_publish room $arg_k client=$arg_client
                                               user=$websocket_arg_user; }
location = /rooms-to { websocket_publish rooms "" client=$arg_client
                                                  user=$websocket_arg_user; }
"""


@pytest.fixture(params=[1, 3], ids=["1-worker", "3-workers"])
def server(nginx, request):
    return nginx(LOCATIONS, workers=request.param)


def ask(server, method, path, body=None):
    """The response, and its object if it is 200."""
    link = server.open()
    link.send(request(method, path, body))
    response = link.read_response()
    link.disconnect()
    return (response.status,
            json.loads(response.body) if response.status == 200 else None)


def direct(client):
    """The data of the next object, a message for this client."""
    found = read_type(client, "direct")
    assert set(found) == {"type", "time", "data"}
    return found["data"]


def number(client):
    return client.welcome["client"]


def test_message_to_one_client(server):
    clients = [join(server, "/room?k=a") for _ in range(4)]
    to = clients[2]
    assert ask(server, "POST", f"/to?client={number(to)}", "x") == (
        200, {"clients": 1})
    assert direct(to) == "x"
    for client in clients:
        client.text('{"ping":1}')
        assert read(client) == {"type": "pong"}


def test_message_to_one_user(server):
    ann = [join(server, "/room?k=a&user=ann"), join(server, "/room?k=b&user=ann")]
    bob = join(server, "/room?k=a&user=bob")
    assert ask(server, "POST", "/to?user=ann", "x") == (200, {"clients": 2})
    for client in ann:
        assert direct(client) == "x"
    assert ask(server, "POST", "/to?user=ann&k=b", "y") == (
        200, {"clients": 1})
    assert direct(ann[1]) == "y"
    bob.text('{"ping":1}')
    assert read(bob) == {"type": "pong"}


def test_plain_clients_get_the_bytes(server):
    plain = server.connect("/room?k=a&user=ann")
    plain.ping()
    plain.expect_pong()
    echo = server.connect("/echo?user=ann")
    assert ask(server, "POST", "/to?user=ann", "x") == (200, {"clients": 1})
    plain.expect_text("x")
    echo.expect_alive()


def test_binary_and_large_messages(server):
    client = join(server, "/room?k=a")
    link = server.open()
    link.send(request("POST", f"/to?client={number(client)}", b"\xff" * 500_000,
                      kind="application/octet-stream"))
    assert link.read_response().status == 200
    found = read_type(client, "direct")
    assert base64.b64decode(found["base64"]) == b"\xff" * 500_000


@pytest.mark.parametrize("arguments", [
    "client=1", "user=nobody", "client=1&k=a", "user=nobody&k=a"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_absent_targets(server, method, arguments):
    body = "x" if method == "POST" else None
    assert ask(server, method, f"/to?{arguments}", body)[0] == 404


@pytest.mark.parametrize("arguments", ["client=x", "client=1&user=a",
                                       "client=-1"])
def test_wrong_targets(server, arguments):
    assert ask(server, "POST", f"/to?{arguments}", "x")[0] == 400


def test_without_a_target_the_key_is_needed(server):
    client = join(server, "/room?k=a")
    assert ask(server, "POST", "/to", "x")[0] == 400
    assert ask(server, "POST", "/to?k=a", "x")[1]["clients"] == 1
    assert read_type(client, "message")["data"] == "x"


def test_closing_one_user(server):
    ann, bob = (join(server, f"/room?k=a&user={name}")
                for name in ("ann", "bob"))
    assert ask(server, "DELETE", "/to?user=ann&code=4001&reason=out") == (
        200, {"clients": 1})
    ann.expect_close(4001, "out")
    bob.text('{"ping":1}')
    assert read(bob) == {"type": "pong"}


def test_other_handlers_do_not_get_it(server):
    other = server.connect("/echo?user=ann")
    other.expect_alive()
    client = join(server, "/room?k=a&user=ann")
    assert ask(server, "POST", "/to?user=ann", "x") == (200, {"clients": 1})
    assert direct(client) == "x"
    other.expect_alive()


def test_clients_of_rooms_are_addressed_too(server):
    client = rooms_client.connect(server, "/rooms?user=ann")
    assert ask(server, "POST", f"/rooms-to?client={number(client)}",
               "x") == (200, {"clients": 1})
    assert direct(client) == "x"
    assert ask(server, "GET", "/rooms-to?user=ann") == (200, {"clients": 1})


def test_gone_clients_are_not_found(server):
    client = join(server, "/room?k=a&user=ann")
    assert ask(server, "GET", "/to?user=ann") == (200, {"clients": 1})
    client.leave()
    assert ask(server, "GET", "/to?user=ann")[0] == 404
    assert ask(server, "GET", f"/to?client={number(client)}")[0] == 404


def test_users_of_a_resource_are_listed_in_pages(server):
    clients = [join(server, f"/room?k=a&user={quote(name)}")
               for name in ("b", "a", "b", "é", "")]
    users = [{"user": "a", "clients": 1}, {"user": "b", "clients": 2},
             {"user": "é", "clients": 1}]
    path = "/to?k=a&presence=1"
    assert ask(server, "GET", path) == (
        200, {"clients": 5, "users": users, "more": False})
    assert ask(server, "GET", f"{path}&limit=2")[1] == {
        "clients": 5, "users": users[:2], "more": True}
    assert ask(server, "GET", f"{path}&limit=2&after=b")[1] == {
        "clients": 5, "users": users[2:], "more": False}
    assert ask(server, "GET", f"{path}&limit=0")[0] == 400
    assert ask(server, "GET", "/to?presence=1")[1]["users"] == users
    for client in clients:
        client.disconnect()


def test_presence_in_rooms_lists_users(server):
    ann, bob, nobody = (
        rooms_client.connect(server, f"/rooms?user={name}")
        for name in ("ann", "bob", ""))
    rooms_client.subscribe(bob, "a", "b")
    rooms_client.subscribe(nobody, "a")
    rooms_client.subscribe(ann, "a")
    assert rooms_client.ask(ann, presence="a", ref=1) == {
        "type": "presence", "ref": 1, "room": "a", "clients": 3,
        "users": [{"user": "ann", "clients": 1}, {"user": "bob", "clients": 1}],
        "more": False}
    assert rooms_client.ask(ann, presence="a", after="ann")["users"] == [
        {"user": "bob", "clients": 1}]
    assert rooms_client.ask(ann, presence="b")["message"] == "not subscribed"


def test_users_of_a_killed_worker_are_gone(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    first, second = server.worker_pids()
    join(server, "/room?k=a&user=ann", pid=first)
    bob = join(server, "/room?k=a&user=bob", pid=second)
    server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: ask(server, "GET", "/to?user=ann")[0] == 404,
               seconds(5), "the end of the dead worker's clients")
    users = ask(server, "GET", "/to?k=a&presence=1")[1]["users"]
    assert users in ([{"user": "ann", "clients": 0},
                      {"user": "bob", "clients": 1}],
                     [{"user": "bob", "clients": 1}])
    wait_until(lambda: len(ask(server, "GET", "/to?k=a&presence=1")[1][
        "users"]) == 1, seconds(6), "the end of the grace")
    assert ask(server, "GET", "/to?k=a&presence=1")[1]["users"] == [
        {"user": "bob", "clients": 1}]
    bob.disconnect()
