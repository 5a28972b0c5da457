"""Runs the load generator, and replies to it from a fake server."""

import json
import os
import subprocess

import wire
from nginx_server import ROOT, seconds

GENERATOR = os.path.join(ROOT, "build/bench/websocket_load")


def load(server, mode, *options):
    """Runs the generator; returns the finished process. Its patience is long,
    because a pause of the machine is no fault of the server."""
    return subprocess.run(
        [GENERATOR, mode, f"--port={server.port}", "--text",
         f"--patience={seconds(10)}", *options], capture_output=True,
        text=True, check=False, timeout=seconds(30))


def patience(error):
    """Options for a short wait, in a run that waits for missing messages."""
    return ["--patience=0.5"] if error == "are missing" else []


def result(done):
    """Checks that a run succeeded; returns its output."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_found(done, error):
    """Checks that the run failed with this message."""
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
    """Replies correctly to `after` - 1 messages, then as the test chooses."""

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
