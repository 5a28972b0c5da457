"""The number of system calls for messages, counted by strace."""

import pytest

import wire
from strace import OTHERS, RECEIVING, SENDING, WAITING, traced
from tuned_client import framed, numbered
from worker_probe import only_worker, stopped


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx("""
        location /echo { websocket echo; }
        location /room { websocket room lobby self=off; }
        """, listen="rcvbuf=4m sndbuf=4m")


def test_small_message_costs_one_recv_and_one_send(server):
    client = server.connect()
    client.text("warm")
    client.expect_text("warm")
    with traced(only_worker(server), server.prefix) as trace:
        for index in range(100):
            client.text(f"message {index}")
            client.expect_text(f"message {index}")
    assert len(trace.of(RECEIVING)) == 100, trace.calls[:20]
    assert len(trace.of(SENDING)) == 100, trace.calls[:20]
    assert len(trace.received()) == 100
    assert not trace.of(OTHERS), trace.of(OTHERS)[:5]


def test_pipelined_small_messages_cost_few_calls(server, capsys):
    messages = numbered(1000, 20)
    client, pid = server.connect(), only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            client.send(framed(messages))
        for message in messages:
            client.expect_text(message)
    received, sent = trace.of(RECEIVING), trace.of(SENDING)
    with capsys.disabled():
        print(f"\n1,000 pipelined messages of 20 bytes: {len(received)} recv"
              f" and {len(sent)} send calls")
    assert sum(size for _, size in trace.received()) == len(framed(messages))
    assert len(received) <= 3 and len(sent) <= 2, trace.calls


def test_messages_of_one_turn_leave_as_one_piece(server):
    messages = numbered(16, 64)
    publisher = server.connect("/room")
    listeners = [server.connect("/room") for _ in range(20)]
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            publisher.send(framed(messages))
        for listener in listeners:
            for message in messages:
                listener.expect_text(message)
    # One buffer is sent, unlike writev with many
    assert [call.name for call in trace.of(SENDING)] == ["sendto"] * 20


def test_control_frames_leave_with_the_replies(server):
    client, pid = server.connect(), only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            client.send(wire.text("a") + wire.ping("b") + wire.text("c")
                        + wire.close(1000))
        client.expect_text("a")
        client.expect_pong("b")
        client.expect_text("c")
        client.expect_close(1000)
        client.expect_eof()
    assert len(trace.of(SENDING)) == 1, trace.calls


@pytest.mark.parametrize("size", [3000, 16384, 60000])
def test_message_in_one_read_leaves_in_one_write(server, size):
    message = "x" * size
    client, pid = server.connect(), only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            client.text(message)
        client.expect_text(message)
    assert len(trace.of(SENDING)) == 1, trace.calls
    assert len(trace.of(RECEIVING)) <= 2, trace.calls


def test_mebibyte_is_received_in_few_calls(server):
    message = bytes(1 << 20)
    client, pid = server.connect(), only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            client.send(wire.binary(message), duplex=False)
        client.expect_binary(message)
    assert len(trace.of(RECEIVING)) <= 20, trace.calls


def longest_turn(trace):
    """The most bytes received from one descriptor between two waits."""
    longest, turns = 0, {}
    for call in trace.calls:
        if call.name in WAITING:
            turns.clear()
        elif call.name in RECEIVING and call.result > 0:
            turn = turns.get(call.descriptor, 0) + call.result
            turns[call.descriptor] = turn
            longest = max(longest, turn)
    return longest


def test_read_turn_is_bounded(server):
    client, pid = server.connect(), only_worker(server)
    messages = numbered(40000, 20)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            client.send(framed(messages), duplex=False)
        for message in messages:
            client.expect_text(message)
    received = trace.received()
    assert sum(size for _, size in received) == len(framed(messages))
    assert longest_turn(trace) <= 128 * 1024
    # One write per read, but a full socket may cut some in two
    assert len(trace.of(SENDING)) <= 1.5 * len(received) + 2


def test_idle_worker_calls_nothing(server):
    clients = [server.connect() for _ in range(50)]
    with traced(only_worker(server), server.prefix) as trace:
        clients[0].expect_nothing(0.5)
    assert len(trace.calls) <= 1, trace.calls
