"""The package nginx-websocket in Node against a real nginx that is reloaded or
loses workers, over connections that break, and while Redis is away: nothing is
lost, nothing comes twice, all is in order, and each publication settles."""

import collections
import json
import os
import random
import signal
import time

import pytest

from nginx_server import seconds
from node_process import Node, npm_ws
from publish_client import Publisher
from redis_faults import (injected_fault, start_for_faults, wait_for_loss,
                          wait_until_published)
from room_client import join, read
from tcp_proxy import TcpProxy
from token_issuer import SECRET, TokenIssuer
from worker_picking import wait_for_other_worker

CLIENTS = 20
LOCATIONS = """
websocket_event_stream on;
location /room { websocket room r history=10000; }
location /rooms { websocket rooms; websocket_rooms r history=10000; }
location /token { websocket_jwt subprotocol KEY leeway=0s;
                  websocket room r history=10000; }
location /publish { websocket_publish room r; }
location = /status { websocket_status; }
"""
KINDS = [("Room", "websocket"), ("Room", "event-stream"),
         ("Rooms", "websocket"), ("Rooms", "event-stream")]


@pytest.fixture(name="issuer", scope="module")
def issuer_fixture(tmp_path_factory):
    return TokenIssuer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(name="start")
def start_fixture(nginx, issuer):
    return lambda **options: nginx(
        LOCATIONS.replace("KEY", issuer.key_file()), workers=2,
        http="websocket_drain 500ms;", **options)


@pytest.fixture(name="follow")
def follow_fixture():
    """Starts clients in a Node process, and waits until they are in the
    room."""
    started = []

    def follow(port, kind="Room", transport="websocket", path=None, **options):
        path = path or {"Room": "/room", "Rooms": "/rooms"}[kind]
        started.append(Node("followers.mjs", npm_ws(), json.dumps({
            "url": f"ws://127.0.0.1:{port}{path}", "clients": CLIENTS,
            "kind": kind, "transport": transport, **options}),
            timeout=120))
        assert started[-1].read() == "open"
        return started[-1]

    yield follow
    for node in started:
        node.kill()


def wait_for_connections(node, count):
    """Waits until the clients have had so many connections, and publish."""
    while node.read() < count:
        pass


def whole_room(server, path="/room"):
    """[(id, data)] of all messages, as a new client gets them."""
    client = join(server, path + "?since=0")
    found = []
    while not found or found[-1][1] != "end":
        message = read(client, seconds(20))
        found.append((message["id"], message["data"]))
    return found


def check(node, server):
    """Ends the clients; all of them must have had the whole room. Returns
    their reports."""
    node.send_line("over")
    while node.read() != "published":
        pass
    Publisher(server, "/publish").post("end")
    reports = node.end()
    assert len(reports) == CLIENTS
    room = whole_room(server)
    texts = collections.Counter(text for _, text in room)
    ids = dict(room)
    for each in reports:
        assert list(zip(each["ids"], each["texts"])) == room
        assert not each["gaps"] and not each["faults"]
        for text, name, *doubt in each["results"]:
            if name is not None:
                assert ids[name] == text and texts[text] == 1
            else:
                assert texts[text] <= doubt[0]
    return reports


@pytest.mark.parametrize("kind, transport", KINDS)
def test_reload_loses_and_repeats_nothing(start, follow, kind, transport):
    server = start()
    node = follow(server.port, kind, transport)
    for turn in range(2, 4):
        server.wait_for_workers_gone(server.reload())
        wait_for_connections(node, turn * CLIENTS)
    reports = check(node, server)
    assert {each["connections"] for each in reports} == {3}
    assert {each["transport"] for each in reports} == {transport}


@pytest.mark.parametrize("kind, transport", KINDS)
def test_killed_workers_lose_and_repeat_nothing(start, follow, kind,
                                                transport):
    server = start()
    server.allow_errors("exited on signal 9")
    node = follow(server.port, kind, transport)
    for turn in range(2, 5):
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
            wait_for_other_worker(server, pid, 2)
        wait_for_connections(node, turn * CLIENTS)
    check(node, server)


@pytest.mark.parametrize("kind, transport", KINDS)
def test_random_cuts_lose_and_repeat_nothing(start, follow, kind, transport):
    """Each time 5 % of the connections break, also those that publish."""
    server = start()
    proxy = TcpProxy(server.port)
    try:
        node = follow(proxy.port, kind, transport)
        while node.read() < 4 * CLIENTS:
            proxy.reset_some(lambda pairs: random.sample(
                pairs, min(len(pairs), max(1, len(pairs) // 20))))
        check(node, server)
    finally:
        proxy.close()


@pytest.mark.parametrize("kind, transport", KINDS)
def test_redis_that_is_away_loses_and_repeats_nothing(
        hosts, start_redis, follow, kind, transport):
    group = start_for_faults(hosts, start_redis, LOCATIONS.replace(
        "websocket_jwt subprotocol KEY leeway=0s;", ""), workers=1)
    node = follow(group[0].server.port, kind, transport)
    with injected_fault(group, "killed"):
        wait_for_loss(group[0])
    wait_until_published(group[0], "/publish", "back")
    check(node, group[1].server)


@pytest.mark.parametrize("transport", ["websocket", "event-stream"])
@pytest.mark.parametrize("says_end", [True, False])
def test_tokens_that_end_lose_and_repeat_nothing(start, follow, transport,
                                                 says_end):
    """A token that is renewed in time keeps a WebSocket. The page of the others
    does not say when a token ends, so the server closes with 3000."""
    server = start()
    life = seconds(2.5)
    node = follow(server.port, "Room", transport, "/token", jwt={
        "secret": SECRET.decode(), "seconds": life, "says_end": says_end})
    keeps = says_end and transport == "websocket"
    if keeps:
        end = time.monotonic() + 1.3 * life  # the first tokens have ended
        while time.monotonic() < end:
            node.read()
    else:
        wait_for_connections(node, 3 * CLIENTS)
    reports = check(node, server)
    assert (max(each["connections"] for each in reports) == 1) == keeps
