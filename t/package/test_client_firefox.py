"""The package nginx-websocket in Debian's Firefox, against a real nginx."""

import pytest

from browser import start_example
from firefox import Firefox
from publish_client import request
from tcp_proxy import TcpProxy

# Records the messages of a room.
START = """
    const { Room } = await import("/client/index.js");
    window.room = new Room("/room/%s", { transport: "%s", first_delay: 20,
                                         longest_delay: 100 });
    window.texts = [];
    window.gaps = [];
    window.connections = 0;
    room.addEventListener("message", ({ detail }) => texts.push(detail.data));
    room.addEventListener("gap", ({ detail }) => gaps.push(detail));
    room.addEventListener("welcome", () => { connections++; });
    await new Promise((resolve) => room.addEventListener("welcome", resolve));
"""
CONNECTED = """
    while (connections < %d) {
        await new Promise((resolve) =>
            room.addEventListener("welcome", resolve, { once: true }));
    }
"""
RECEIVED = """
    while (!texts.includes("end")) {
        await new Promise((resolve) =>
            room.addEventListener("message", resolve, { once: true }));
    }
    room.close();
    return [texts, gaps, connections];
"""


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    return start_example(module_nginx)


@pytest.fixture(name="firefox", scope="module")
def firefox_fixture():
    started = Firefox()
    yield started
    started.close()


@pytest.fixture(name="page")
def page_fixture(firefox, server):
    """Opens a page, by default one without scripts. Leaves it at the end."""
    def page(path="/nginx.conf", port=server.port):
        firefox.open(f"http://127.0.0.1:{port}{path}")
        return firefox
    yield page
    firefox.open("about:blank")


def publish(server, room, text):
    response = server.request(request("POST", f"/publish?room={room}", text))
    assert response.status == 200, response


@pytest.mark.parametrize("transport", ["websocket", "event-stream"])
def test_page_publishes_and_receives(page, server, transport):
    firefox = page(f"/module/?transport={transport}")
    publish(server, "module", "from a shell")
    lines = firefox.run("""
        const lines = () => [...document.querySelectorAll("#log li")]
            .map((each) => each.textContent);
        const changed = () => new Promise((resolve) => new MutationObserver(
            (_, observer) => { observer.disconnect(); resolve(); })
            .observe(document.getElementById("log"), { childList: true }));
        const message = document.getElementById("message");
        message.value = "Grüße";
        message.form.requestSubmit();
        while (!lines().includes("You: Grüße")
               || !lines().includes("from a shell")) {
            await changed();
        }
        return lines();""")
    assert {"You: Grüße", "from a shell"} <= set(lines)


@pytest.mark.parametrize("transport", ["websocket", "event-stream"])
def test_reload_and_cuts_lose_and_repeat_nothing(page, server, transport):
    room = f"cut_{transport.replace('-', '_')}"
    expected = []

    def publish_some(name):
        for number in range(20):
            expected.append(f"{name}:{number}")
            publish(server, room, expected[-1])

    proxy = TcpProxy(server.port)
    try:
        firefox = page(port=proxy.port)
        firefox.run(START % (room, transport))
        for turn in range(5):
            publish_some(f"{turn}")
            proxy.reset()
            publish_some(f"{turn} after")
            firefox.run(CONNECTED % (turn + 2))
        workers = server.reload()
        publish_some("reload")
        server.wait_for_workers_gone(workers)
        publish(server, room, "end")
        texts, gaps, connections = firefox.run(RECEIVED)
    finally:
        proxy.close()
    assert texts == [*expected, "end"]
    assert gaps == [] and connections >= 7


def test_page_that_is_left_and_shown_again_resumes(page, server):
    firefox = page()
    firefox.run(START % ("left", "auto"))
    firefox.run("dispatchEvent(new PageTransitionEvent('pagehide'));")
    assert firefox.run("return room.state;") == "suspended"
    publish(server, "left", "end")
    firefox.run("dispatchEvent(new PageTransitionEvent('pageshow'));")
    texts, gaps, connections = firefox.run(RECEIVED)
    assert (texts, gaps, connections) == (["end"], [], 2)
