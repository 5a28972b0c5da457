"""Node processes that use the package nginx-websocket, with Node's WebSocket or
npm's ws."""

import functools
import json
import os
import subprocess
import threading

from nginx_server import ROOT, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(ROOT, "src", "client", "package", "index.js")
WS = ["/usr/share/nodejs/ws/wrapper.mjs",
      os.path.join(ROOT, "build/bench/ws/node_modules/ws/wrapper.mjs")]


@functools.cache
def native():
    """The options that give Node a WebSocket, or None."""
    for flags in [], ["--experimental-websocket"]:
        output = subprocess.run(
            ["node", *flags, "-p", "typeof WebSocket"], text=True,
            capture_output=True, check=False)
        if output.stdout.strip() == "function":
            return flags
    return None


def npm_ws():
    """The module of npm's ws."""
    found = [path for path in WS if os.path.exists(path)]
    assert found, "npm's ws is not installed"
    return found[0]


class Node:
    """A process that runs a program of this folder with these arguments. Its
    reports are lines of JSON."""

    def __init__(self, program, *args, flags=(), timeout=60):
        self.process = subprocess.Popen(
            ["node", "--no-warnings", *flags, os.path.join(HERE, program),
             PACKAGE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.deadline = threading.Timer(seconds(timeout), self.process.kill)
        self.deadline.start()

    def send_line(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def read(self):
        """The next object that the program reports."""
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def end(self):
        """All objects until the process ends."""
        output, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        assert errors == ""
        # A text may have U+2028, which is a line end to splitlines()
        return [json.loads(line) for line in output.split("\n") if line]

    def kill(self):
        self.deadline.cancel()
        self.process.kill()
        self.process.communicate()
