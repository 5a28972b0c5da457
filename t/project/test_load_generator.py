"""The load generator of make bench reports each mistake of a server."""

import subprocess

import pytest

import wire
from fake_server import FakeServer
from load_generator import (GENERATOR, Late, answer_another, assert_found,
                            corrupt, echo, echo_between_pings, echo_bytewise,
                            fan_out, load, patience, result)
from nginx_server import seconds

@pytest.mark.parametrize("answer", [echo, echo_bytewise, echo_between_pings])
@pytest.mark.parametrize("size", ["0", "20", "125", "126"])
def test_right_echo_counts_each_message(answer, size):
    with FakeServer(answer) as server:
        found = result(load(server, "echo", "--connections=3",
                            "--in-flight=4", f"--size={size}",
                            "--messages=100"))
    assert found["count"] == 100
    assert found["latency_us"]["p50"] > 0
    assert found["latency_us"]["p50"] <= found["latency_us"]["max"]


@pytest.mark.parametrize("size", ["65535", "65536", "1048576"])
def test_large_echo_counts_each_message(size):
    with FakeServer(echo) as server:
        found = result(load(server, "echo", "--connections=2",
                            "--in-flight=2", f"--size={size}",
                            "--messages=10"))
    assert found["count"] == 10


def test_time_ends_a_run():
    with FakeServer(echo) as server:
        found = result(load(server, "echo", "--connections=2",
                            "--seconds=0.1", "--warm-up=0.05"))
    assert found["count"] > 0
    assert found["seconds"] >= 0.1


def shorten(server, client, frame):
    server.send(client, (frame.opcode, frame.payload[:-1]))


def change_kind(server, client, frame):
    server.send(client, (wire.BINARY, frame.payload))


def repeat_each(server, client, frame):
    echo(server, client, frame)
    echo(server, client, frame)


def send_close(server, client, _):
    server.send(client, (wire.CLOSE, wire.close_body(1011)))


def send_masked(server, client, frame):
    server.sockets[client].sendall(wire.frame(frame.opcode, frame.payload))


def send_fragment(server, client, frame):
    server.sockets[client].sendall(
        wire.frame(frame.opcode, frame.payload, fin=False, mask=None))


@pytest.mark.parametrize("wrong, error", [
    (corrupt, "came back changed"),
    (shorten, "came back changed"),
    (change_kind, "came back changed"),
    (answer_another, "came back"),
    (repeat_each, "came back"),
    (send_close, "closed the connection with 1011"),
    (send_masked, "masked frame"),
    (send_fragment, "fragment"),
    (lambda *_: None, "are missing"),
])
def test_wrong_echo_fails(wrong, error):
    with FakeServer(Late(wrong)) as server:
        assert_found(load(server, "echo", "--connections=2",
                          "--messages=1000", *patience(error)),
                     error)


class Swapped:
    """Answers two messages in reverse order."""

    def __init__(self):
        self.held = []

    def __call__(self, server, client, frame):
        self.held.append((frame.opcode, frame.payload))
        if len(self.held) == 2:
            server.send(client, *reversed(self.held))
            self.held.clear()


def test_echo_out_of_order_fails():
    with FakeServer(Swapped()) as server:
        assert_found(load(server, "echo", "--connections=1",
                          "--in-flight=2", "--messages=100"),
                     "came back changed")


def test_wrong_accept_fails():
    with FakeServer(echo, accept=lambda key: "x" * 28) as server:
        assert_found(load(server, "handshake", "--connections=1",
                          "--messages=5"), "Sec-WebSocket-Accept")


def test_handshakes_are_counted():
    with FakeServer(echo) as server:
        found = result(load(server, "handshake", "--connections=3",
                            "--messages=50"))
    assert found["count"] == 50


class Room:
    """Sends each message to all clients. `change` may alter the frames of one
    client at one position, the number of a message in the room."""

    def __init__(self, change=lambda client, number, frame: [frame]):
        self.change = change
        self.number = 0

    def __call__(self, server, _, frame):
        for client in range(len(server.sockets)):
            for one in self.change(client, self.number, frame):
                server.send(client, (one.opcode, one.payload))
        self.number += 1


@pytest.mark.parametrize("publishers", ["1", "3"])
@pytest.mark.parametrize("in_flight", ["1", "5"])
def test_right_fan_out_counts_each_delivery(publishers, in_flight):
    with FakeServer(Room()) as server:
        found = result(fan_out(server, f"--publishers={publishers}",
                               f"--in-flight={in_flight}"))
    assert found["messages"] == 60
    assert found["count"] == 240


def test_separate_publishers_receive_nothing():
    with FakeServer(Room(lambda client, number, frame:
                         [frame] if client else [])) as server:
        found = result(fan_out(server, "--publish-path=/publish",
                               "--connections=3"))
    assert found["count"] == 180


def test_publishers_may_be_at_another_server():
    with FakeServer(echo) as inner:
        def pass_on(_, __, frame):
            for client in range(len(inner.sockets)):
                inner.send(client, (frame.opcode, frame.payload))

        with FakeServer(pass_on) as outer:
            found = result(fan_out(
                inner, "--publish-path=/publish",
                f"--publish-port={outer.port}", "--publishers=1"))
            assert len(inner.sockets) == 4 and len(outer.sockets) == 1
    assert found["count"] == 240


@pytest.mark.parametrize("error, change", [
    ("are missing", lambda client, number, frame:
     [] if (client, number) == (3, 59) else [frame]),
    ("is not", lambda client, number, frame:
     [frame, frame] if (client, number) == (3, 20) else [frame]),
    ("is not", lambda client, number, frame:
     [] if (client, number) == (3, 20) else [frame]),
])
def test_incomplete_or_repeated_fan_out_fails(error, change):
    with FakeServer(Room(change)) as server:
        assert_found(fan_out(server, "--in-flight=3",
                             *patience(error)), error)


def test_repetition_before_all_others_fails():
    """With one message in flight, no other client is further when the first one
    gets it again. So it is compared with the published messages."""
    with FakeServer(Room(lambda client, number, frame:
                         [frame, frame] if (client, number) == (0, 20)
                         else [frame])) as server:
        assert_found(fan_out(server, "--in-flight=1"), "next one")


class Disordered:
    """Sends two messages to one client in reverse order."""

    def __init__(self):
        self.held = []

    def __call__(self, server, _, frame):
        self.held.append((frame.opcode, frame.payload))
        if len(self.held) == 2:
            for client in range(len(server.sockets)):
                server.send(client, *(self.held if client != 2
                                      else reversed(self.held)))
            self.held.clear()


def test_another_order_of_one_client_fails():
    with FakeServer(Disordered()) as server:
        assert_found(fan_out(server, "--publishers=2"), "is not")


@pytest.mark.parametrize("arguments", [
    [], ["echo"], ["echo", "--port=0"], ["sing", "--port=1"],
    ["echo", "--port=1", "--size=x"],
    ["echo", "--port=1", "--raw", "--tls"],
    ["fan-out", "--port=1", "--size=11"],
    ["fan-out", "--port=1", "--connections=1", "--publishers=2"],
    ["fan-out", "--port=1", "--publish-port=2"],
    ["fan-out", "--port=1", "--text", "--rooms=2"],
    ["fan-out", "--port=1", "--objects", "--publish-path=/"],
])
def test_wrong_usage_is_refused(arguments):
    done = subprocess.run([GENERATOR, *arguments], capture_output=True,
                          text=True, check=False, timeout=seconds(10))
    assert done.returncode == 2
    assert done.stderr
