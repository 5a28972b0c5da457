"""The room page after the loss of its connection: cut by the page, or by the
end of the server."""

import json
import os
import re
import signal
import tempfile

from selenium.webdriver.common.by import By

# Imported so that pytest finds the fixtures.
from browser import (ExampleConfig, ExampleServer, browser_fixture,
                     server_fixture, start_example)
from nginx_server import seconds
from publish_client import request
from room_client import join, send_text
from room_page import open_room_fixture, publish, room_opener


def test_cut_connection_catches_up_without_loss_or_repetition(
        open_room, server):
    ann = open_room("cut")
    bob = open_room("cut")
    before = ann.client()
    bob.type_text("before")
    ann.wait_text("before").cut()
    bob.wait_count(1).type_text("one", "two").wait_text("one", "two")
    publish(server, "cut", "three")
    peer = join(server, "/room/cut")
    send_text(peer, "four")
    bob.wait_text("three", "four").type_text("five")
    bob.wait_text("one", "two", "three", "four", "five")
    assert ann.texts() == ["before"]
    ann.screenshot("cut")
    assert ann.connect() == "5 messages recovered, none lost."
    assert ann.texts() == ["before", "one", "two", "three", "four", "five"]
    assert ann.client() != before
    note = ann.wait_note(r"5 messages recovered")
    assert re.fullmatch(r"Back after \d+\.\d s, as client "
                        rf"{ann.client()}: 5 messages recovered, none lost",
                        note)
    recovered = ann.browser.find_elements(
        By.CSS_SELECTOR, "[data-recovered=true]")
    assert len(recovered) == 5
    send_text(peer, "after")
    ann.wait_text("five", "after")
    bob.wait_text("five", "after")
    assert ann.ids() == bob.ids()
    assert not any("Gap" in note for note in ann.notes())
    bob.look().screenshot("whole")


def test_cut_ends_by_itself(open_room):
    ann = open_room("brief").cut(1)
    assert ann.wait(lambda: ann.text("result"), "the end of the cut") == (
        "0 messages recovered, none lost.")
    assert not ann.find("strip").is_displayed()


def test_cut_connection_under_load_misses_nothing(open_room, server):
    ann = open_room("load")
    bob = open_room("load")
    for number in range(5):
        ann.cut()
        publish(server, "load", *(f"{number}:{i}" for i in range(15)))
        ann.look().click_when_shown("retry")
        publish(server, "load", *(f"{number}:{i}" for i in range(15, 30)))
        ann.wait_open().wait_text(f"{number}:29")
    expected = [f"{number}:{i}" for number in range(5) for i in range(30)]
    assert ann.texts() == expected
    assert bob.texts() == expected
    assert ann.ids() == bob.ids()


def test_history_that_is_too_short_is_shown_as_a_gap(open_room, server):
    ann = open_room("gap")
    ann.type_text("before").wait_text("before").cut()
    publish(server, "gap", *map(str, range(104)))
    assert ann.connect() == "100 messages recovered, some may be lost."
    assert ann.texts() == ["before", *map(str, range(4, 104))]
    assert ann.wait_note("^Gap, messages may be missing: the room")
    order = ann.browser.execute_script("""
        const rows = Array.from(document.querySelectorAll("#rows li"));
        return rows.slice(-102).map(({ dataset }) => dataset.tone);""")
    assert order[:2] == ["bad", "bad"], "the gap does not precede the messages"
    ann.browser.execute_script("""
        document.querySelectorAll("#rows li").forEach((row) =>
            row.textContent.startsWith("Gap") && row.scrollIntoView({
                block: "center" }));""")
    ann.screenshot("gap")


def test_text_that_is_published_meanwhile_is_sent_once(open_room):
    ann = open_room("held")
    bob = open_room("held")
    ann.cut().type_text("kept", "and kept")
    assert ann.text("waiting") == "2 messages to send"
    assert ann.texts() == []
    ann.connect()
    bob.wait_text("kept", "and kept")
    ann.wait_text("kept", "and kept")
    ann.wait(lambda: ann.text("waiting") == "", "nothing to send")
    ann.cut()
    ann.connect()
    assert ann.type_text("last").wait_text("last").messages() == [
        ("own", "kept"), ("own", "and kept"), ("own", "last")]


def test_reload_of_nginx_costs_nothing(open_room, server):
    ann = open_room("reload")
    bob = open_room("reload")
    bob.type_text("before")
    ann.wait_text("before")
    server.reload()
    for page in (ann, bob):
        page.look().wait_note("^Connection closed: 1001 Going Away$")
        page.wait_note(r"^Back after .* recovered, none lost$")
    ann.wait_open().wait_count(2)
    publish(server, "reload", "over HTTP")
    bob.wait_open().type_text("after")
    ann.wait_text("before", "over HTTP", "after")
    assert ann.ids() == bob.ids()
    assert not any("Gap" in note for note in ann.notes() + bob.notes())


class SamePort(ExampleConfig):
    """examples/nginx.conf with the port that the browser uses."""

    def __init__(self, port):
        super().__init__(tempfile.mkdtemp(prefix="backends-"))
        self.port = port

    def text(self, prefix, module_file, token, ports, certificate):
        return super().text(prefix, module_file, token,
                            [ports[0], self.port, *ports[2:]], certificate)


def start_again(pool, server):
    """Kills nginx and starts it again. The master is killed first, so that it
    starts no workers."""
    for pid in [server.pid, *server.worker_pids()]:
        os.kill(pid, signal.SIGKILL)
    server.process.wait(seconds(10))
    server.stopped = True
    again = ExampleServer(pool.prefix(), SamePort(server.port))
    again.port = server.port
    pool.servers.append(again)
    again.begin_test()
    return again


def test_killed_server_is_found_again_with_a_gap(browser, nginx):
    server = start_example(nginx)
    opener = room_opener(browser, server)
    ann = next(opener)("killed")
    ann.type_text("before").wait_text("before")
    before = ann.ids()
    server = start_again(nginx, server)
    ann.wait_note("^Connection closed: 1006 Abnormal Closure$")
    ann.wait_open()
    ann.wait_note("^Gap, messages may be missing: the room")
    ann.type_text("after").wait_text("before", "after")
    publish(server, "killed", "over HTTP")
    ann.wait_text("before", "after", "over HTTP")
    epochs = [name.partition("-")[0] for name in ann.ids()]
    assert epochs[0] != epochs[1] == epochs[2]
    assert ann.ids()[0] == before[0]
    browser.get_log("browser")  # discards refused attempts
    for _ in opener:
        pass


def test_stopped_server_is_waited_for(browser, nginx):
    server = start_example(nginx)
    opener = room_opener(browser, server)
    ann = next(opener)("stopped")
    server.send_signal(signal.SIGQUIT)
    ann.wait_note("^Connection closed: 1001 Going Away$")
    server.wait_for_exit()
    ann.wait(lambda: "1006" in ann.text("strip"), "a refusal")
    ann.wait(lambda: re.search(r"Connecting (in \d+ s\.|…)",
                               ann.text("strip")), "a countdown")
    ann.screenshot("offline")
    ann.type_text("kept")
    ann.wait(lambda: ann.text("waiting") == "1 message to send", "waiting")
    browser.get("about:blank")
    browser.get_log("browser")
    for _ in opener:
        pass


def test_room_that_the_user_closed_stays_closed(open_room, server):
    ann = open_room("closed")
    state = json.loads(server.request(request(
        "DELETE", "/publish?room=closed&reason=good+night")).body)
    assert state == {"clients": 1}
    ann.wait_note("^The room was closed: good night$")
    assert ann.text("state") == "closed"
    ann.click_when_shown("retry")
    ann.wait_open().wait_count(1)
