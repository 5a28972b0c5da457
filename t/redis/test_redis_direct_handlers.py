"""Handlers that send to clients and users of other hosts, and list users."""

import os
import signal

import pytest

import direct_handler_client
import plugin_builder
from direct_handler_client import ask, check_messages_to_a_user
from hosts import SHORT_TIMEOUTS
from nginx_server import seconds, wait_until

LOCATIONS = direct_handler_client.LOCATION + r"""
location = /echo { websocket echo; }
location = /status { websocket_status; }
"""


@pytest.fixture
def pair(hosts):
    path = plugin_builder.build_file("direct.cpp")
    return hosts(LOCATIONS, http=f"websocket_plugin {path};\n")


def connect(host, user="", key="a"):
    return direct_handler_client.connect(host.server, user, key)


def test_one_client_of_another_host(pair):
    sender, other = connect(pair[0]), connect(pair[1], key="b")
    assert ask(sender, f"client {other.number} hello") == "sent to 0"
    other.expect_text("hello")
    assert ask(sender, "client 1 hello") == "sent to 0"
    assert ask(sender, f"client {sender.number} hello") == "sent to 1"
    sender.expect_text("hello")


def test_one_user_of_two_hosts(pair):
    sender = connect(pair[0])
    ann = [connect(host, "ann", key) for host in pair for key in "ab"]
    check_messages_to_a_user(sender, ann, 2)


def test_order_of_messages_to_a_client_and_its_user(pair):
    sender, other = connect(pair[0]), connect(pair[1], "ann")
    for index in range(100):
        target = "user ann" if index % 2 else f"client {other.number}"
        sender.text(f"{target} {index}")
    for index in range(100):
        other.expect_text(str(index))


def test_users_of_all_hosts(pair):
    clients = [connect(host, user) for host, users in
               zip(pair, ("bac", "ad")) for user in users]
    for client in clients:
        assert ask(client, "all") == "all: a=2 b=1 c=1 more"
        assert ask(client, "all a") == "all: b=1 c=1 d=1 "
        assert ask(client, "all d") == "all: "
    assert ask(clients[0], "users") == "a=1 b=1 c=1 "


def test_list_of_users_ends_with_the_client(pair):
    """The client ends before the hosts have answered."""
    client, other = connect(pair[0], "a"), connect(pair[0], "b")
    for _ in range(20):
        client.text("all")
    client.disconnect()
    wait_until(lambda: ask(other, "all") == "all: b=1 ", seconds(5),
               "the end of the client")


def test_list_of_users_without_redis(hosts, start_redis):
    path = plugin_builder.build_file("direct.cpp")
    group = hosts(LOCATIONS, redis=start_redis(), proxies=True, workers=1,
                  options=SHORT_TIMEOUTS, http=f"websocket_plugin {path};\n")
    group.allow_redis_errors()
    client = connect(group[0], "a")
    assert ask(client, "all") == "all: a=1 "
    group[0].proxy.cut()
    assert ask(client, "all", seconds(5)) == "some: "
    assert ask(client, "user a hello") == "sent to 1"
    client.expect_text("hello")


def test_flood_of_a_handler_is_bounded_and_in_order(pair):
    """Beyond the queue, messages are dropped and counted. Nothing stalls."""
    sender, other = connect(pair[0]), connect(pair[1], "ann")
    echo = pair[1].connect("/echo")
    for _ in range(5):
        assert ask(sender, "flood ann") == "sent to 0"
    sender.text("user ann end")
    found = []
    while not found or found[-1] != "end":
        found.append(other.read_frame(seconds(10)).payload.decode())
        echo.expect_alive()
    numbers = [int(text) for text in found[:-1]]
    assert len(numbers) > 1000
    assert sum(after < before for before, after in zip(numbers, numbers[1:])
               ) <= 4


def test_worker_killed_with_requests(pair):
    """The others go on, and the new worker asks under other numbers."""
    host = pair[0]
    client = connect(host, "a")
    other = connect(pair[1], "b")
    for _ in range(20):
        client.text("all")
    host.server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    for pid in host.pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(host.server.worker_pids()) == 2, seconds(5),
               "new workers")
    again = connect(host, "a")
    wait_until(lambda: ask(again, "all") == "all: a=1 b=1 ", seconds(15),
               "the list of both hosts")
    assert ask(other, "all") == "all: a=1 b=1 "
