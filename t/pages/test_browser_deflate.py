"""permessage-deflate between nginx and a real browser."""

import pytest

from browser import Page, browser_fixture  # noqa: F401  the fixture `browser`

PAGE = """
location / { default_type text/html; return 200 "<!doctype html><title>x"; }
location /kept {
    websocket echo; websocket_deflate on;
    websocket_deflate_context_takeover on;
}
location /alone { websocket echo; websocket_deflate on; }
location /small {
    websocket echo; websocket_deflate on; websocket_deflate_window 9;
    websocket_deflate_client_window 9; websocket_deflate_context_takeover on;
}
location /off { websocket echo; }
"""

# Sends texts and bytes of many sizes at once, and compares the replies.
ECHO = """
const [path, done] = arguments;
const socket = new WebSocket("ws://" + location.host + path);
socket.binaryType = "arraybuffer";
const words = ["so", "much", "depends", "upon", "grüße", "€", "😀", "wheel"];
const sent = [];
for (const size of [0, 1, 63, 64, 100, 1000, 20000, 200000]) {
    let text = "";
    for (let i = 0; text.length < size; i++) {
        text += words[(i * 7 + size) % words.length] + i + " ";
    }
    sent.push(text, text, new TextEncoder().encode(text).buffer);
}
const plain = (data) => typeof data === "string"
    ? data : Array.from(new Uint8Array(data)).join();
let count = 0;
socket.onopen = () => sent.forEach((data) => socket.send(data));
socket.onmessage = ({ data }) => {
    if (plain(data) !== plain(sent[count])) {
        done({ error: "message " + count + " is another" });
    }
    if (++count === sent.length) {
        done({ count, extensions: socket.extensions });
        socket.close(1000);
    }
};
socket.onclose = ({ code }) => done({ error: "closed with " + code });
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(PAGE, server="keepalive_timeout 0;")


@pytest.mark.parametrize("path, agreed", [
    ("/kept", "permessage-deflate"),
    ("/alone", "permessage-deflate; server_no_context_takeover; "
               "client_no_context_takeover"),
    ("/small", "permessage-deflate; client_max_window_bits=9"),
    ("/off", ""),
])
def test_messages_are_the_same_on_both_sides(browser, server, path, agreed):
    page = Page(browser)
    page.browser.get(f"http://127.0.0.1:{server.port}/")
    result = page.browser.execute_async_script(ECHO, path)
    assert result == {"count": 24, "extensions": agreed}
    entry = server.wait_for_access_log(uri=path)
    assert entry["websocket_extensions"] == agreed
    assert entry["websocket_close_code"] == "1000"
