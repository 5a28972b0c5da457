"""Clients of `rooms` on several hosts, and while Redis is away."""

import time

import pytest

from nginx_server import seconds, wait_until
from publish_client import Publisher
from redis_faults import injected_fault, start_for_faults
from room_client import read, read_type
from rooms_client import ask, connect, joined, send, subscribe

LOCATIONS = """
location /rooms {
    websocket rooms;
    websocket_rooms chat.* history=1000;
    websocket_max_rooms 1000;
}
location /publish { websocket_publish room $arg_k; }
"""
FAST = "connect_timeout=300ms command_timeout=300ms queue=64k "
NOT_IN_SYNC = ("not in sync with the other hosts: Redis is unreachable or too "
               "slow")


@pytest.fixture
def pair(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS, FAST + "wait=20s",
                            workers=1)


@pytest.fixture
def hasty(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS, FAST + "wait=2s",
                            workers=1)


def test_messages_reach_subscribers_of_all_hosts(pair):
    near, far = (joined(host.server, "chat.a", "chat.b") for host in pair)
    first = ask(near, publish="chat.a", data="text", ref=1)
    messages = [read_type(far, "message")]
    messages.append(first if first["type"] == "message"
                    else read_type(near, "message"))
    assert messages[0] == messages[1]
    far.disconnect()
    host = pair[1].server
    Publisher(pair[0].server, "/publish?k=chat.a").post("missed")
    client = connect(host)
    rooms = subscribe(client, "chat.a",
                      since={"chat.a": messages[0]["id"]})
    assert rooms["chat.a"]["recovered"] is True
    assert read_type(client, "message")["data"] == "missed"


def test_room_that_waits_for_redis_holds_up_no_other_request(pair):
    """Neither before nor after a further room was refused at once."""
    client = joined(pair[0].server, "chat.a")
    too_long = "chat." + "x" * 5000
    with injected_fault(pair, "frozen"):
        send(client, subscribe=["chat.b"], ref=1)
        assert ask(client, ping=1, ref=2) == {"type": "pong", "ref": 2}
        answer = ask(client, subscribe=[too_long], ref=3)
        assert answer["refused"] == {too_long: "the name is too long"}
        before = time.monotonic()
        for number in range(3):
            assert ask(client, ping=1, ref=number)["ref"] == number
        assert time.monotonic() - before < seconds(5)
        assert ask(client, unsubscribe=["chat.a"])["rooms"] == ["chat.a"]
    answer = read(client, seconds(20))
    assert (answer["ref"], list(answer["rooms"])) == (1, ["chat.b"])


def test_refusals_that_wait_are_limited(pair):
    """They take more memory than the requests."""
    client = connect(pair[0].server)
    wrong = [f"{number}" for number in range(1500)]
    with injected_fault(pair, "frozen"):
        send(client, subscribe=["chat.a", *wrong], ref=1)
        answer = ask(client, subscribe=["chat.b"], ref=2)
        assert (answer["type"], answer["ref"]) == ("error", 2)
        assert "wait" in answer["message"]
        assert ask(client, ping=1) == {"type": "pong"}
    answer = read(client, seconds(20))
    assert answer["ref"] == 1 and list(answer["rooms"]) == ["chat.a"]
    assert len(answer["refused"]) == 1500
    subscribe(client, "chat.b")


def test_room_is_refused_when_redis_stays_away(hasty):
    client = joined(hasty[0].server, "chat.a")
    with injected_fault(hasty, "frozen"):
        send(client, subscribe=["chat.b", "chat.c", "x"], ref=1)
        send(client, unsubscribe=["chat.c"], ref=2)
        assert read(client, seconds(5))["type"] == "unsubscribed"
        answer = read(client, seconds(10))
        assert answer["ref"] == 1 and answer["rooms"] == {}
        assert answer["refused"]["chat.b"] == NOT_IN_SYNC
        assert answer["refused"]["chat.c"] == "unsubscribed"
        assert ask(client, ping=1) == {"type": "pong"}

    def published():
        return ask(client, publish="chat.a", data="x")["type"] != "error"
    wait_until(published, seconds(10), "a publication")
    assert read(client)["type"] in ("message", "published")
    subscribe(client, "chat.b")


def test_client_that_leaves_while_its_rooms_wait(pair):
    client = joined(pair[0].server, "chat.a")
    with injected_fault(pair, "frozen"):
        names = [f"chat.{number}" for number in range(100)]
        send(client, subscribe=names)
        assert ask(client, ping=1) == {"type": "pong"}
        client.disconnect()
    other = connect(pair[0].server)
    assert len(subscribe(other, *names)) == 100
