"""Messages and handshakes that wait for Redis: their time, their number, and
that each message is published once."""

import threading
import time

import pytest

import wire
from hosts import SHORT_TIMEOUTS, stream_of
from nginx_server import seconds, wait_until
from publish_client import answer_of, post
from redis_faults import (Received, injected_fault, read_raw_until,
                          start_for_faults, try_to_post, wait_until_joined,
                          wait_until_published)
from room_client import read, read_data, read_type, send_text, sequence
from sequence_publisher import SequencePublisher
from tcp_proxy import DOWN

LOCATIONS = """
location /room { websocket room room$arg_k history=1000; }
location /publish { websocket_publish room room$arg_k; }
"""

PATIENT = "connect_timeout=10s command_timeout=10s queue=64k"
KILOBYTE = "x" * 1000


@pytest.fixture
def patient(hosts, start_redis):
    """Hosts with timeouts longer than any outage here."""
    return start_for_faults(hosts, start_redis, LOCATIONS, PATIENT,
                            workers=1)


@pytest.fixture
def hasty(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS, SHORT_TIMEOUTS,
                            workers=1)


def in_stream(group):
    """The number of messages in the room's stream in Redis."""
    return group.redis.command("XLEN", stream_of("room:room"))


def wait_until_reached(host, before):
    """Waits until the host has sent bytes to Redis."""
    wait_until(lambda: host.proxy.passed["up"] > before, seconds(5),
               "a command")


# Published after an outage

@pytest.mark.parametrize("name", ["killed", "frozen", "cut", "late"])
def test_messages_sent_in_a_short_outage_are_published(patient, name):
    raw, far = patient[0].connect("/room"), patient[1].join("/room")
    member = patient[0].join("/room")
    with injected_fault(patient, name):
        for number in range(10):
            raw.text(f"{number}")
        raw.expect_alive()
        send_text(member, "10", ref="mine")
        member.expect_alive()
    for client in (far, member):
        received = Received(client, "10", 10)
        received.check()
        assert received.data == [f"{number}" for number in range(11)]
        assert not received.gaps
        assert [one for one in received.others if one["type"] == "error"] == []
    assert read_raw_until(raw, "10") == received.data
    if not received.others:
        assert read(member) == {"type": "published", "ref": "mine",
                                "id": received.messages[-1]["id"]}
    assert in_stream(patient) == 11
    raw.expect_alive()


@pytest.mark.parametrize("name", ["killed", "frozen", "cut", "late"])
def test_post_waits_over_a_short_outage(patient, name):
    far = patient[1].join("/room")
    publisher = patient[0].publisher("/publish")
    with injected_fault(patient, name):
        publisher.client.send(post("x" * 10, "/publish"))
        publisher.client.wait_until_read()
    replies = answer_of(publisher.client.read_response(seconds(10)))
    message = read_type(far, "message", seconds(10))
    assert message["id"] == replies["id"] and message["data"] == "x" * 10
    assert in_stream(patient) == 1


@pytest.mark.parametrize("way", ["post", "json", "raw"])
def test_message_whose_answer_was_lost_is_published_once(patient, way):
    """Redis has stored the message, and the connection ended before its
    reply."""
    near, far = patient[0].join("/room"), patient[1].join("/room")
    raw = patient[0].connect("/room")
    publisher = patient[0].publisher("/publish")
    patient[0].proxy.pause(DOWN)
    if way == "post":
        publisher.client.send(post("once", "/publish"))
    elif way == "json":
        send_text(near, "once", ref=1)
    else:
        raw.text("once")
    message = read_type(far, "message")
    assert message["data"] == "once"
    patient[0].proxy.reset()
    patient[0].proxy.release()
    if way == "post":
        answer = publisher.client.read_response(seconds(10))
        assert answer_of(answer)["id"] == message["id"]
    received = Received(near, "once", 10)
    assert received.messages == [message]
    if way == "json":
        replies = received.others or [read(near)]
        assert replies == [{"type": "published", "ref": 1,
                            "id": message["id"]}]
    raw.expect_text("once", seconds(10))
    assert in_stream(patient) == 1
    send_text(far, "next")
    for client in (near, far):
        assert read_data(client) == ["next"]
    raw.expect_text("next")


def test_many_messages_whose_answers_were_lost(patient):
    near, far = patient[0].connect("/room"), patient[1].join("/room")
    near.text("first")
    assert read_data(far) == ["first"]
    near.expect_text("first")
    patient[0].proxy.pause(DOWN)
    near.send([wire.text(f"{number}") for number in range(200)])
    received = [read_type(far, "message")]
    patient[0].proxy.reset()
    patient[0].proxy.release()
    rest = Received(far, "199", 10)
    assert [one["data"] for one in received] + rest.data == [
        f"{number}" for number in range(200)]
    rest.check()
    assert read_raw_until(near, "199",
                          10) == [f"{number}" for number in range(200)]
    assert in_stream(patient) == 201


def test_handshakes_wait_over_a_short_outage(patient):
    with injected_fault(patient, "cut"):
        clients = [host.server.open() for host in patient]
        for client in clients:
            client.send(wire.upgrade_request("/room"))
            client.wait_until_read()
            client.expect_nothing()
    for client in clients:
        assert client.read_response(seconds(10)).status == 101
    clients[0].text("x")
    for client in clients:
        client.expect_text("x", seconds(20))


def test_client_that_does_not_wait_for_its_handshake(patient):
    """The client disconnects, and nothing of it is counted."""
    with injected_fault(patient, "cut"):
        clients = [patient[0].server.open() for _ in range(20)]
        for client in clients:
            client.send(wire.upgrade_request("/room?k=gone"))
            client.wait_until_read()
        for client in clients[:10]:
            client.abort()
        for client in clients[10:]:
            client.half_close()
            client.disconnect()
    late = wait_until_joined(patient[0], "/room?k=gone")
    patient[0].wait_for_clients("/publish?k=gone", 1)
    late.expect_alive()


# Expired

@pytest.mark.parametrize("name", ["killed", "frozen", "cut", "late", "full",
                                  "locked"])
def test_raw_client_is_closed_if_its_message_expires(hasty, name):
    raw, quiet = hasty[0].connect("/room"), hasty[0].connect("/room")
    with injected_fault(hasty, name):
        began = time.monotonic()
        raw.text("lost")
        assert read_raw_until(raw, "never", 3)[-1] is None
        took = time.monotonic() - began
        assert took < seconds(2.5)
        assert took > 0.3 or name in ("full", "locked"), "no wait"
        raw.close(1013)
        raw.expect_eof()
        quiet.expect_alive()
    text = wait_until_published(hasty[0], "/publish", "last")
    assert read_raw_until(quiet, text)[-1] == text


def test_acknowledgements_arrive_in_order(hasty):
    member = hasty[0].join("/room")
    with injected_fault(hasty, "cut"):
        for number in range(20):
            send_text(member, f"{number}", ref=number)
        for number in range(20):
            replies = read(member, seconds(2.5))
            assert (replies["type"], replies["ref"]) == ("error", number)
        member.text("no JSON")
        assert read(member)["type"] == "error"
        member.expect_alive()


# Full queue

def test_full_queue_refuses_at_once(patient):
    """The queue takes 64 KB; each message has a thousand bytes."""
    member, far = patient[0].join("/room"), patient[1].join("/room")
    with injected_fault(patient, "cut"):
        began = time.monotonic()
        for number in range(200):
            send_text(member, KILOBYTE, ref=number)
        refused = [read(member)["ref"]]
        while refused[-1] != 199:
            replies = read(member)
            assert replies["type"] == "error"
            refused.append(replies["ref"])
        assert 100 <= len(refused) <= 190, len(refused)
        assert refused == list(range(200 - len(refused), 200))
        assert try_to_post(patient[0], "/publish", KILOBYTE) == 503
        assert time.monotonic() - began < seconds(4)
        member.expect_alive()
    waited = 200 - len(refused)
    ids = [sequence(read_type(far, "message", seconds(10))["id"])
           for _ in range(waited)]
    assert ids == list(range(1, waited + 1))
    far.expect_alive()
    replies = [read(member) for _ in range(2 * waited)]
    assert [one["ref"] for one in replies if one["type"] == "published"] == \
        list(range(waited))
    assert in_stream(patient) == waited


def test_full_queue_closes_a_raw_client(patient):
    raw, quiet = patient[0].connect("/room"), patient[0].connect("/room")
    far = patient[1].connect("/room")
    texts = [f"{number:04}" + KILOBYTE for number in range(200)]
    with injected_fault(patient, "cut"):
        raw.send([wire.text(text) for text in texts])
        raw.expect_failure(1013)
        quiet.expect_alive()
    last = wait_until_published(patient[0], "/publish", "last")
    received = read_raw_until(far, last)
    assert received[:-1] == texts[:len(received) - 1], "not the first ones"
    assert 10 <= len(received) <= 100
    assert read_raw_until(quiet, last) == received


def test_large_message_passes_a_small_queue(patient):
    """Only messages that wait count, not those that can be sent at once."""
    near, far = patient[0].connect("/room"), patient[1].connect("/room")
    for _ in range(3):
        near.text("x" * 500000)
        far.expect_text("x" * 500000, seconds(10))
        near.expect_text("x" * 500000, seconds(10))


def test_idle_connections_that_redis_ends_lose_nothing(patient):
    patient.redis.config_set("timeout", "1")
    listeners = [host.join("/room") for host in patient]
    with SequencePublisher(patient[0], "/publish", 0.9) as stream:
        stream.wait_for(4)
        last = stream.stop()
    assert stream.accepted() == list(range(1, last + 1))
    for client in listeners:
        received = Received(client, f"{last}")
        received.check()
        assert len(received.messages) == last and not received.gaps


def test_flood_with_a_small_queue_is_published_or_refused(patient):
    near, far = patient[0].join("/room"), patient[1].join("/room")

    def talk():
        for number in range(2000):
            send_text(near, f"{number:05}".ljust(300, "."), ref=number)

    thread = threading.Thread(target=talk)
    thread.start()
    replies = {}
    while len(replies) < 2000:
        found = read(near, seconds(10))
        if found["type"] != "message":
            replies[found["ref"]] = found
    thread.join()
    accepted = {number for number, one in replies.items()
                if one["type"] == "published"}
    received = [read_type(far, "message") for _ in accepted]
    assert {int(one["data"].rstrip(".")) for one in received} == accepted
    assert len(accepted) > 1000
    far.expect_alive()
