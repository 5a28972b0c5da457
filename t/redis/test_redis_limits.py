"""The cost of a message that waits for Redis, and the clock by which its age is
measured."""

import time

import pytest

import rooms_client
from nginx_server import seconds
from preload import preloaded
from publish_client import post
from redis_faults import (Received, injected_fault, start_for_faults,
                          wait_for_loss)
from room_client import read, send_text

LOCATIONS = """
location /room { websocket room room history=10 history_time=20s; }
location /publish { websocket_publish room room; }
location = /status { websocket_status; }
"""


# Time

@pytest.mark.parametrize("name", ["cut", "frozen", "blackhole"])
def test_message_expires_after_command_timeout(hosts, start_redis, name):
    """Connecting may take longer."""
    group = start_for_faults(hosts, start_redis, LOCATIONS,
                             "connect_timeout=5s command_timeout=1s",
                             workers=1)
    member = group[0].join("/room")
    with injected_fault(group, name):
        publisher = group[0].publisher("/publish").client
        began = time.monotonic()
        publisher.send(post("posted", "/publish"))
        send_text(member, "sent", ref=1)
        assert read(member, seconds(5))["type"] == "error"
        assert publisher.read_response(seconds(5)).status == 503
        assert 0.9 < time.monotonic() - began < seconds(3.5)


# Memory

def test_ref_counts_in_the_queue(hosts, start_redis):
    """The queue takes 64 KB. Each message has few bytes, and 10 KB that come
    back with its reply."""
    group = start_for_faults(
        hosts, start_redis, LOCATIONS,
        "connect_timeout=10s command_timeout=10s queue=64k", workers=1)
    member = group[0].join("/room")
    with injected_fault(group, "cut"):
        wait_for_loss(group[0])
        for number in range(20):
            send_text(member, f"{number}", ref=[number, "x" * 10000])
        refused = [read(member) for _ in range(14)]
    assert [one["ref"][0] for one in refused] == list(range(6, 20))
    assert Received(member, "5").data == [f"{number}" for number in range(6)]


def test_refs_that_wait_with_their_rooms_are_limited(hosts, start_redis):
    group = start_for_faults(
        hosts, start_redis, "location /rooms { websocket rooms; "
        "websocket_rooms *; } location = /status { websocket_status; }",
        "connect_timeout=1s command_timeout=1s wait=60s", workers=1)
    client = rooms_client.connect(group[0].server)
    refs = ["x" * 30_000, "y" * 40_000]
    with injected_fault(group, "cut"):
        wait_for_loss(group[0])
        for room, ref in zip("ab", refs):
            rooms_client.send(client, subscribe=[room], ref=ref)
        rooms_client.send(client, subscribe=["c"], ref=3)
        assert read(client, seconds(10)) == {
            "type": "error", "ref": 3,
            "message": "too much waits for other rooms"}
    answers = [read(client, seconds(20)) for _ in refs]
    assert sorted(each["ref"] for each in answers) == refs
    assert {room for each in answers for room in each["rooms"]} == {"a", "b"}


# Clocks

@pytest.mark.parametrize("lead", [40_000, -40_000], ids=["ahead", "behind"])
def test_age_of_messages_is_measured_by_the_clock_of_redis(
        run_folder, hosts, start_redis, lead):
    """The clock of one host is wrong by twice the history's time."""
    redis = start_redis()
    right = hosts(LOCATIONS, 1, redis=redis, workers=1)
    with preloaded(run_folder, "clock_lead") as clock:
        clock.number = lead % 2**64
        with clock.environment():
            wrong = hosts(LOCATIONS, 1, redis=redis, workers=1)
        member = wrong[0].join("/room")
        before = int(time.time() * 1000)
        right[0].post("/publish", "by the right one")
        wrong[0].post("/publish", "by the wrong one")
        first, second = read(member), read(member)
        assert before - 1000 < first["time"] <= second["time"]
        assert second["time"] < time.time() * 1000 + 1000
        for host in (*right, *wrong):
            late = host.join("/room?since=0")
            assert late.welcome["recovered"]
            assert [read(late), read(late)] == [first, second]
            assert host.get_state("/publish")[1] == 2


def test_clock_that_is_set_changes_no_age(run_folder, hosts, start_redis):
    with preloaded(run_folder, "clock_lead") as clock:
        with clock.environment():
            group = hosts(LOCATIONS, 1, workers=1)
        member = group[0].join("/room")
        group[0].post("/publish", "first")
        first = read(member)
        clock.number = 3_600_000
        late = group[0].join("/room?since=0")
        assert read(late) == first


def test_clock_that_is_set_changes_no_leader(run_folder, hosts):
    """Each worker looks at the leader at intervals of 400 ms."""
    with preloaded(run_folder, "clock_lead") as clock:
        with clock.environment():
            group = hosts(LOCATIONS, 1, workers=4)
        leader = group[0].wait_for_leader()
        for hours in 1, 24, -24, -1, 0:
            clock.number = hours * 3_600_000 % 2**64
            time.sleep(0.6)
            assert group[0].leader() == leader
        assert "takes its place" not in group[0].server.log()
