"""Runs scripts with Room of the package nginx-websocket in a browser. The test
provides WebSocket, clock and random numbers: see room_js_harness.js."""

import os

import pytest

from browser import Page

with open(os.path.join(os.path.dirname(__file__), "room_js_harness.js"),
          encoding="utf-8") as script_file:
    HARNESS = script_file.read()


@pytest.fixture(name="run_script")
def run_script_fixture(browser, server):
    """Runs a script on an empty page of the server; returns its result."""
    browser.get(f"http://127.0.0.1:{server.port}/nginx.conf")
    browser.get_log("browser")

    def run_script(script):
        outcome = browser.execute_async_script(
            HARNESS.replace("SCRIPT", script))
        assert "failure" not in outcome, outcome["failure"]
        return outcome["result"]

    yield run_script
    errors = Page(browser).console_errors()
    browser.get("about:blank")
    assert not errors, errors
