"""Plug-ins on several hosts that publish in constructors and destructors."""

import pytest

from nginx_server import seconds
from plugin_builder import build_file
from redis_faults import (injected_fault, start_for_faults, try_to_connect,
                          wait_until_connected)

LOCATIONS = "location /publish_in_ctor { websocket publish_in_ctor $arg_k; }"


@pytest.fixture
def pair(hosts, start_redis):
    return start_for_faults(
        hosts, start_redis, LOCATIONS, workers=1,
        http=f"websocket_plugin {build_file('publish_in_ctor.cpp')};\n")


def texts(what):
    return [what, f"{what} and asks", f"{what} for all"]


def next_text(client):
    return client.read_frame(seconds(5)).payload.decode()


def expect_texts(client, what):
    assert [next_text(client) for _ in range(3)] == texts(what)


def test_resource_publishes_when_it_begins_and_ends(pair):
    """Its first client is connected after the constructor. After an outage the
    first message alone is sent until it has a reply, so that the listener may
    get the others of its own resource."""
    listener = pair[0].connect("/publish_in_ctor?k=a")
    listener.expect_text("welcome")
    for number in range(3):
        passing = pair[1].connect("/publish_in_ctor?k=a")
        passing.expect_text("welcome")
        found = [next_text(listener) for _ in range(3)]
        if number == 0 and found[0] != "begins":
            found = [*found[found.index("begins"):],
                     *(next_text(listener)
                       for _ in range(found.index("begins")))]
        assert found == texts("begins")
        passing.disconnect()
        expect_texts(listener, "ends")


@pytest.mark.parametrize("name", ["killed", "frozen"])
def test_resource_that_ends_in_an_outage(pair, name):
    """No client receives the message, and nothing else fails."""
    clients = [pair[number % 2].connect(f"/publish_in_ctor?k={number}")
               for number in range(4)]
    for client in clients:
        client.expect_text("welcome")
    with injected_fault(pair, name):
        for client in clients[:2]:
            client.disconnect()
        status, client = try_to_connect(pair[0], "/publish_in_ctor?k=new")
        assert status == 503
        client.disconnect()
        pair[1].server.reload()
    for host in pair:
        wait_until_connected(host, "/publish_in_ctor?k=again").disconnect()
    test_resource_publishes_when_it_begins_and_ends(pair)
