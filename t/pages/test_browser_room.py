"""The room page in a real browser, with windows on both workers."""

import os
import re
import shlex
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, server_fixture
from nginx_server import seconds, wait_until
from publish_client import BINARY, post, request
from room_page import RoomPage, open_room_fixture, publish


# Talking

def clients_of_workers(server):
    """The number of page connections of each worker."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if (int(fields[1].partition(":")[2], 16) == server.port
                    and fields[3] == "01"):
                inodes.add(f"socket:[{fields[9]}]")
    counts = []
    for pid in server.worker_pids():
        folder = f"/proc/{pid}/fd"
        counts.append(sum(os.readlink(f"{folder}/{name}") in inodes
                          for name in os.listdir(folder)))
    return sorted(counts)


def test_windows_of_both_workers_talk(open_room, server):
    ann = open_room("workers")
    bob = open_room("workers")
    for _ in range(100):
        if wait_until(lambda: sum(found := clients_of_workers(server)) == 2
                      and found, seconds(10), "both") == [1, 1]:
            break
        bob.browser.refresh()
        bob.wait_open()
    assert clients_of_workers(server) == [1, 1]
    ann.wait_count(2)
    bob.wait_count(2)
    ann.type_text("Hello, Bob")
    bob.wait_text("Hello, Bob").type_text("Grüße, Ann: 你好 🙂")
    ann.wait_text("Hello, Bob", "Grüße, Ann: 你好 🙂").type_text("one", "two")
    bob.wait_text("one", "two")
    assert [kind for kind, _ in ann.messages()] == [
        "own", "other", "own", "own"]
    assert [kind for kind, _ in bob.messages()] == [
        "other", "own", "other", "other"]
    assert ann.ids() == bob.ids()


def test_joins_and_leaves_are_named_and_counted(open_room, server):
    ann = open_room("presence").wait_count(1)
    bob = open_room("presence").wait_count(2)
    client = bob.client()
    ann.wait_note(f"^Client {client} joined$")
    assert ann.here() == [f"You, {ann.client()}", f"Client {client}"]
    assert bob.here() == [f"You, {client}", "1 more"]
    ann.type_text("It is me")
    bob.wait_text("It is me")
    assert bob.here() == [f"You, {client}", f"Client {ann.client()}"]
    raw = server.connect("/room/presence")
    ann.wait_count(3)
    raw.leave()
    bob.wait_count(2).browser.close()
    ann.wait_count(1).wait_note(f"^Client {client} left$")
    assert ann.here() == [f"You, {ann.client()}"]


def test_history_arrives_on_joining(open_room, server):
    ids = publish(server, "history", *map(str, range(60)))
    page = open_room("history")
    page.wait_text(*map(str, range(10, 60)))
    assert page.ids() == ids[10:]
    assert page.notes() == [f"You are client {page.client()}"]
    assert not page.browser.find_elements(
        By.CSS_SELECTOR, "[data-recovered=true]")


def test_ids_and_times_are_shown_when_they_are_wanted(open_room, server):
    [name] = publish(server, "details", "hello")
    page = open_room("details").wait_text("hello")
    details = page.browser.find_element(By.CSS_SELECTOR, ".details")
    assert not details.is_displayed()
    page.find("details").send_keys(Keys.SPACE)
    assert re.fullmatch(rf"id {name} \d\d:\d\d:\d\d\.\d{{3}}", details.text)
    time = page.browser.find_element(By.CSS_SELECTOR, ".message time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                        time.get_attribute("datetime"))


def test_publishing_over_http_appears(open_room, server):
    page = open_room("http")
    publish(server, "http", "from a shell")
    page.wait_text("from a shell")
    publish(server, "http", b"\x00\xff", kind=BINARY)
    page.wait_text("2 bytes: 00 ff")
    assert page.messages()[0] == ("http", "from a shell")


def test_line_for_the_shell_publishes_into_this_room(open_room, server):
    page = open_room("shell")
    program, option, text, address = shlex.split(page.text("curl"))
    assert (program, option) == ("curl", "-d")
    assert urlsplit(address).netloc == f"127.0.0.1:{server.port}"
    path = address.partition(str(server.port))[2]
    server.request(post(text, path,
                        kind="application/x-www-form-urlencoded"))
    page.wait_text(text)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_pages_of_other_sites_may_not_publish(open_room, server, method):
    page = open_room(f"sites_{method}")
    refused = server.request(request(
        method, f"/publish?room=sites_{method}",
        "x" if method == "POST" else None,
        headers=[("Origin", "http://evil.example")]))
    assert refused.status == 403
    page.type_text("still here").wait_text("still here")
    assert page.texts() == ["still here"]


def test_what_is_published_is_shown_as_text(open_room, server):
    markup = "<b>Bold</b><img src=x onerror=alert(1)>"
    page = open_room("markup")
    publish(server, "markup", markup)
    page.wait_text(markup).type_text(markup + "!")
    page.wait_text(markup, markup + "!")
    assert not page.browser.find_elements(By.CSS_SELECTOR, "#log b, #log img")


def test_one_each_second_is_published_while_it_is_wanted(open_room):
    page = open_room("ticks")
    page.find("ticks").send_keys(Keys.SPACE)
    page.wait_text("tick 1", "tick 2")
    page.find("ticks").send_keys(Keys.SPACE)
    page.type_text("enough")
    page.wait(lambda: page.texts()[-1] == "enough", "the end")


# The page

def test_room_page_fits_each_screen(open_room, server):
    ann = open_room("screens")
    bob = open_room("screens")
    bob.type_text("Is anybody here?")
    ann.wait_text("Is anybody here?")
    ann.type_text("Yes. What is said in a room reaches the clients of all "
                  "workers, in one order.")
    publish(server, "screens", "Backup finished: 1,204 files",
            "https://example.org/" + "a-very-long-address/" * 12)
    ann.cut()
    bob.type_text("Are you still there?", "It seems not.")
    ann.connect()
    bob.type_text("Welcome back")
    ann.wait_text("Welcome back").check_fits()
    ann.find("details").send_keys(Keys.SPACE)
    ann.check_fits(name="details")
    ann.cut(600).check_fits(name="away")


def test_keyboard_alone_suffices(open_room):
    page = open_room("keyboard")
    active = page.browser.switch_to
    page.find("text").send_keys("by keyboard", Keys.SHIFT, Keys.ENTER,
                                Keys.SHIFT, "two lines", Keys.ENTER)
    page.wait_text("by keyboard\ntwo lines")
    assert active.active_element == page.find("text")
    page.find("seconds").send_keys(Keys.ENTER)
    page.wait_note("You cut the connection for 10 seconds")
    page.find("retry").send_keys(Keys.ENTER)
    page.wait_open()
    assert active.active_element == page.find("text")


def test_every_control_has_an_accessible_name(open_room):
    page = open_room("names")
    page.check_names(least=12)
    page.cut()
    page.check_names(least=13)


def test_rooms_are_apart_and_chosen_by_name(open_room):
    ann = open_room("garden")
    bob = open_room("kitchen")
    ann.type_text("to the garden").wait_text("to the garden")
    assert bob.wait_count(1).texts() == []
    ann.look().find("other").send_keys("not a room", Keys.ENTER)
    assert ann.browser.find_elements(By.CSS_SELECTOR, "#other:invalid")
    ann.find("other").clear()
    ann.find("other").send_keys("kitchen", Keys.ENTER)
    ann.wait(lambda: ann.browser.current_url.endswith("?room=kitchen"),
             "the kitchen")
    ann.wait_open().wait_count(2).type_text("to the kitchen")
    bob.wait_text("to the kitchen")
    assert ann.text("address") == "/room/kitchen"


def test_address_with_an_impossible_room_is_explained(open_room):
    page = open_room("<b>no</b>")
    assert page.text("room-fault").startswith(
        "“<b>no</b>” cannot be a room")
    assert page.text("room-name") == "lobby"


def test_another_window_is_of_the_same_room(open_room):
    page = open_room("windows")
    before = set(page.browser.window_handles)
    page.click("window")
    handle = page.wait(lambda: set(page.browser.window_handles) - before,
                       "another window").pop()
    RoomPage(page.browser, handle).look().wait_open().wait_count(2)
    page.wait_count(2)
