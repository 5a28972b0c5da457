"""Scenes of examples/room/room.js, in a browser whose WebSocket, clock and dice
belong to the test: see room_js_harness.js for what a scene may use."""

import os

import pytest

from browser import Page

with open(os.path.join(os.path.dirname(__file__), "room_js_harness.js"),
          encoding="utf-8") as scene_file:
    STAGE = scene_file.read()


@pytest.fixture(name="play")
def play_fixture(browser, server):
    """Runs a scene on an empty page of the server; returns its result."""
    browser.get(f"http://127.0.0.1:{server.port}/nginx.conf")
    browser.get_log("browser")

    def play(scene):
        told = browser.execute_async_script(STAGE.replace("SCENE", scene))
        assert "failure" not in told, told["failure"]
        return told["result"]

    yield play
    errors = Page(browser).console_errors()
    browser.get("about:blank")
    assert not errors
