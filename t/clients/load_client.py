"""A client of examples/load, for its tests."""

import json
import os

import wire
from nginx_server import ROOT, seconds

PLUGIN = os.path.join(ROOT, os.environ.get("WEBSOCKET_EXAMPLES",
                                           "build/examples"),
                      "system_load.so")
LOADED = {"http": f"websocket_plugin {PLUGIN};"}
LOCATIONS = """
location = /echo { websocket echo; }
location = /load { websocket system_load; }
location = /quick { websocket system_load interval=100 network=lo; }
"""


class Viewer:
    """A client that reads JSON."""

    def __init__(self, client):
        self.client = client

    def message(self):
        """The next message of any type."""
        frame = self.client.read_frame(seconds(10))
        assert (frame.opcode, frame.fin) == (wire.TEXT, True), frame
        return json.loads(frame.payload)

    def next(self, kind):
        """The next message of a type. Earlier samples are skipped."""
        while (message := self.message())["type"] != kind:
            assert message["type"] == "sample", message
        return message

    def samples(self, count):
        return [self.next("sample") for _ in range(count)]

    def sample_until(self, condition, attempts=100):
        """The first sample for which the condition holds."""
        for _ in range(attempts):
            if condition(sample := self.next("sample")):
                return sample
        raise AssertionError(f"not in {attempts} samples, the last: {sample}")

    def ask(self, command):
        """Sends a command; returns the response, settings or an error."""
        self.client.text(command)
        while (message := self.message())["type"] == "sample":
            pass
        return message


def watch(server, path="/quick"):
    """Connects a viewer; returns it with its first settings and history."""
    viewer = Viewer(server.connect(path))
    viewer.settings = viewer.message()
    viewer.history = viewer.message()
    assert viewer.settings["type"] == "settings"
    assert viewer.history["type"] == "history"
    return viewer


def start(sample):
    """The time at which the period of a sample began; it ended at `time`."""
    return sample["time"] - sample["period"]
