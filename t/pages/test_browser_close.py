"""Closes of the server in a real browser, where `wasClean` must be true."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture
from nginx_server import seconds

# A browser's kept or early connections would look like leaked ones.
HTTP = """
websocket_close_timeout 60s;
keepalive_timeout 0;
client_header_timeout 2s;
"""
LOCATIONS = """
location /page { default_type text/html; return 200 "<title>close</title>"; }
location /favicon.ico { return 204; }
location /binary { websocket echo; websocket_accept binary; }
location /small {
    websocket echo;
    websocket_max_message_size 1k;
    websocket_timeout 20s;
}
location /closed { websocket room a publish=off; }
location /idle {
    websocket echo;
    websocket_timeout 300ms;
    websocket_ping_interval off;
}
location /delete { websocket_publish room a; }
"""

# Connects, sends data as the case requires, and waits for the end.
SCRIPT = """
const [url, kind, size, done] = arguments;
const socket = new WebSocket(url);
const began = performance.now();
socket.onopen = () => {
    if (kind === "text") {
        socket.send("x".repeat(size));
    } else if (kind === "binary") {
        socket.send(new Uint8Array(size));
    } else if (kind === "delete") {
        fetch("/delete?code=4001", { method: "DELETE" });
    }
};
socket.onclose = (event) => done({
    code: event.code, reason: event.reason, clean: event.wasClean,
    after: performance.now() - began,
});
"""

CASES = {
    "kind not accepted": ("/binary", "text", 5, 1003),
    "too big": ("/small", "binary", 2000, 1009),
    "much too big": ("/small", "binary", 100000, 1009),
    "not to publish": ("/closed", "text", 5, 1008),
    "idle": ("/idle", "none", 0, 1001),
    "deleted": ("/closed", "delete", 0, 4001),
}


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=HTTP)


@pytest.fixture
def page(browser, server):
    browser.get(f"http://127.0.0.1:{server.port}/page")
    return browser


@pytest.mark.parametrize("path, kind, size, code", CASES.values(),
                         ids=CASES.keys())
def test_close_of_the_server_is_clean_for_a_browser(
        page, server, path, kind, size, code):
    for _ in range(6):
        found = page.execute_async_script(
            SCRIPT, f"ws://127.0.0.1:{server.port}{path}", kind, size)
        assert (found["clean"], found["code"]) == (True, code), found
        # Not because websocket_close_timeout, 60 s, has passed
        assert found["after"] < seconds(20) * 1000, found


def test_close_within_a_large_message_shows_its_code(page, server):
    """`wasClean` is not checked: browsers report false while a part of the
    message is still in the page, even after a complete closing handshake."""
    found = page.execute_async_script(
        SCRIPT, f"ws://127.0.0.1:{server.port}/small", "binary", 8 << 20)
    assert found["code"] == 1009, found
    assert found["after"] < seconds(20) * 1000, found
