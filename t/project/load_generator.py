"""Runs of the load generator, and answers for the fake server."""

import json
import os
import subprocess

import wire
from nginx_server import ROOT, seconds

GENERATOR = os.path.join(ROOT, "build/bench/websocket_load")


def load(server, mode, *options):
    """The finished process. A pause of the machine is no fault of a server:
    where nothing shall be missing it waits for long."""
    return subprocess.run(
        [GENERATOR, mode, f"--port={server.port}", "--text",
         f"--patience={seconds(10)}", *options], capture_output=True,
        text=True, check=False, timeout=seconds(30))


def patience(error):
    """A run that waits for something that never arrives ends soon."""
    return ["--patience=0.5"] if error == "are missing" else []


def result(done):
    """Checks that a run succeeded; returns its output."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_found(done, error):
    """The run fails with a message."""
    assert done.returncode == 1, done.stdout
    assert error in done.stderr
    assert done.stdout == ""


def echo(server, client, frame):
    server.send(client, (frame.opcode, frame.payload))


def echo_bytewise(server, client, frame):
    server.send_bytewise(client, frame.opcode, frame.payload)


def echo_between_pings(server, client, frame):
    server.send(client, (wire.PING, b"?"), (frame.opcode, frame.payload),
                (wire.PONG, b""))


class Late:
    """Answers correctly `count` times, then as the test chooses."""

    def __init__(self, wrong, after=20):
        self.wrong = wrong
        self.left = after

    def __call__(self, server, client, frame):
        self.left -= 1
        (echo if self.left > 0 else self.wrong)(server, client, frame)


def corrupt(server, client, frame):
    payload = bytearray(frame.payload)
    payload[-1] ^= 1
    server.send(client, (frame.opcode, bytes(payload)))


def answer_another(server, client, frame):
    server.send((client + 1) % 2, (frame.opcode, frame.payload))


def fan_out(server, *options):
    return load(server, "fan-out", "--connections=4", "--messages=60",
                *options)
