"""A flood of one client must not delay other clients of its worker.

A stopped worker that continues finds all data on its sockets at once. strace
then shows from which sockets it receives, and in which order.
"""

import collections

import pytest

import wire
from strace import SENDING, WAITING, traced
from tuned_client import framed, numbered
from worker_probe import only_worker, stopped

pytestmark = pytest.mark.alone

TURN = 64 * 1024
# The last receive of a turn may exceed the budget
LONGEST_TURN = 2 * TURN
# One receive for a large message is larger
LARGE_TURN = 256 * 1024
FLOOD = 1 << 20


PAGE = 64 * 1024  # of a history, in a turn of the event loop
LOCATIONS = """
location /echo { websocket echo; }
location /history { websocket room history history=3000; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    """A server whose sockets hold a whole flood before the worker reads it."""
    return module_nginx(LOCATIONS, listen="rcvbuf=4m sndbuf=4m")


def flood_of(size):
    """Messages of one size that together are a flood."""
    return numbered(FLOOD // (size + 8), size)


def largest(received):
    """The descriptor from which most bytes were received."""
    totals = collections.Counter()
    for descriptor, size in received:
        totals[descriptor] += size
    return totals.most_common(1)[0][0]


def flood_before_others(trace):
    """For each other client, the bytes received from the flooder before the
    first receive from that client."""
    flooder, read, before = largest(trace.received()), 0, {}
    for descriptor, size in trace.received():
        if descriptor == flooder:
            read += size
        else:
            before.setdefault(descriptor, read)
    assert read >= FLOOD // 2, "no flood"
    return list(before.values())


@pytest.mark.parametrize("size", [20, 1000, 16384])
def test_others_are_answered_while_a_flood_is_read(server, size):
    pid, messages = only_worker(server), flood_of(size)
    flooder = server.connect()
    others = [server.connect() for _ in range(20)]
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            flooder.send(framed(messages), duplex=False)
            for index, other in enumerate(others):
                other.text(str(index))
        for index, other in enumerate(others):
            other.expect_text(str(index))
        for message in messages:
            flooder.expect_text(message)
    waited = flood_before_others(trace)
    assert len(waited) == 20
    longest = LONGEST_TURN if size < 4096 else LARGE_TURN
    assert max(waited) <= longest, waited


def test_new_client_is_served_while_a_flood_is_read(server):
    pid, messages = only_worker(server), flood_of(1000)
    flooder = server.connect()
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            flooder.send(framed(messages), duplex=False)
            late = server.open()
            late.send(wire.upgrade_request() + wire.text("late"))
        assert late.read_response().status == 101
        late.expect_text("late")
        for message in messages:
            flooder.expect_text(message)
    # The connection is accepted in one turn and read in a later one
    assert max(flood_before_others(trace)) <= 4 * LONGEST_TURN


@pytest.mark.parametrize("size", [20, 3000])
def test_floods_share_the_worker(server, size):
    pid, messages = only_worker(server), flood_of(size)
    flooders = [server.connect() for _ in range(3)]
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            for flooder in flooders:
                flooder.send(framed(messages), duplex=False)
        for flooder in flooders:
            for message in messages:
                flooder.expect_text(message)
    read = collections.Counter()
    whole = len(framed(messages))
    for descriptor, size_read in trace.received():
        read[descriptor] += size_read
        if len(read) == 3 and max(read.values()) < whole:
            assert max(read.values()) - min(read.values()) <= LONGEST_TURN
    assert sorted(read.values()) == [whole] * 3


def test_large_message_does_not_keep_others_waiting(server):
    pid, payload = only_worker(server), bytes(1000000)
    flooder, other = server.connect(), server.connect()
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            flooder.send(wire.binary(payload) * 3, duplex=False)
            other.text("between")
        other.expect_text("between")
        for _ in range(3):
            flooder.expect_binary(payload)
    # A receive of up to 1 MiB goes directly into the message
    assert max(flood_before_others(trace)) <= 1.2 * len(payload)


def test_slow_and_fast_reader_keep_their_order(server):
    messages = numbered(3000, 700)
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.send(framed(messages), duplex=False)
    for message in messages:
        for client in clients:
            client.expect_text(message)


def sent_between_waits(trace):
    """The bytes sent in each turn of the event loop."""
    turns = [0]
    for call in trace.calls:
        if call.name in WAITING:
            turns.append(0)
        elif call.name in SENDING and call.result > 0:
            turns[-1] += call.result
    return turns


def test_long_history_leaves_in_pages(server):
    """Other events are handled after each page."""
    pid, messages = only_worker(server), numbered(3000, 1000)
    publisher = server.connect("/history")
    publisher.send(framed(messages), duplex=False)
    for message in messages:
        publisher.expect_text(message)
    late = server.open()
    with traced(pid, server.prefix) as trace:
        late.send(wire.upgrade_request("/history?since=0"))
        assert late.read_response().status == 101
        for message in messages:
            late.expect_text(message)
    turns = sent_between_waits(trace)
    assert sum(turns) > 3000 * 1000
    assert max(turns) < 3 * PAGE
