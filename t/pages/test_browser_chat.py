"""The start page and the chat in two windows of a real browser."""

import re
import signal
import socket
from urllib.parse import urlencode, urljoin

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import (SCREENS, WindowPage, browser_fixture, server_fixture,
                     start_example, windows_closed)
from nginx_server import seconds

PHONES = [screen for screen in SCREENS if screen[1] < 800]


class Chat(WindowPage):
    """One window with a chat box. Each call first switches to that window."""

    def __init__(self, browser, handle, name):
        super().__init__(browser, handle)
        self.name = name

    def part(self, selector):
        """The first element of the chat box that matches."""
        return self.look().browser.find_element(
            By.CSS_SELECTOR, f"chat-box {selector}")

    def wait_state(self, state):
        """Waits for the connection's state."""
        self.look().wait(lambda: self.browser.find_element(
            By.TAG_NAME, "chat-box").get_attribute("data-state") == state,
            f"state {state}")
        return self

    def rows(self):
        """The rows of the log: (own, other or note, text), oldest first. A
        message is "name: text"."""
        rows = self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll("chat-box li"),
                (row) => [row.dataset.kind, row.matches(".chat-note")
                    ? row.firstElementChild.textContent
                    : `${row.querySelector(".chat-who").textContent}: ${
                        row.querySelector(".chat-text").textContent}`]);
            """)
        return [tuple(row) for row in rows]

    def wait_row(self, kind, text):
        """Waits until one row has this text."""
        self.wait(lambda: self.rows().count((kind, text)) == 1,
                  f"{kind} {text!r}")
        return self

    def type_text(self, text):
        """Types a text and sends it."""
        self.enter(self.part("textarea"), text)
        return self

    def shown_name(self):
        """The text of the field for the user's name."""
        return self.part(".chat-own-name").text


@pytest.fixture
def open_chat(browser, server):
    """Opens pages with a chat, the first in the current window. At the end all
    are closed, and their consoles must have no errors."""
    base = f"http://127.0.0.1:{server.port}/"
    chats = []

    def open_chat(path="chat/", wait=True, **arguments):
        if chats:
            browser.switch_to.new_window("window")
        browser.get(urljoin(base, path) + ("?" + urlencode(arguments)
                                           if arguments else ""))
        chats.append(Chat(browser, browser.current_window_handle,
                          "chat" if path else "start"))
        return chats[-1].wait_state("open") if wait else chats[-1]

    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {
        "origin": base.rstrip("/"), "storageTypes": "local_storage"})
    with windows_closed(browser, "sessionStorage.clear()"):
        yield open_chat


def close_window(chat, other):
    """Closes a window as a user does, and switches to another one."""
    chat.look().browser.close()
    other.look()


def test_two_windows_talk_and_one_sees_the_other_leave(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    ann.wait_row("note", "You joined lobby as Ann.")
    bob = open_chat(room="lobby", name="Bob")
    ann.wait_row("note", "Bob joined")
    ann.type_text("Hello, Bob")
    bob.wait_row("other", "Ann: Hello, Bob")
    ann.wait_row("own", "You: Hello, Bob")
    bob.type_text("Grüße, Ann: 你好 🙂 says who?")
    ann.wait_row("other", "Bob: Grüße, Ann: 你好 🙂 says who?")
    ann.screenshot("ann")
    bob.look().screenshot("bob")
    close_window(bob, ann)
    ann.wait_row("note", "Bob left")
    ann.screenshot("bob-left")
    assert [kind for kind, _ in ann.rows()] == [
        "note", "note", "own", "other", "note"]


def test_chat_page_fits_each_screen(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    bob = open_chat(room="lobby", name="Bob")
    bob.type_text("Is anybody here?")
    bob.type_text("I have found a chat in nginx.")
    ann.wait_row("other", "Bob: I have found a chat in nginx.")
    ann.type_text("Yes. It is a handler of a few lines, in the event loop of "
                  "the worker itself.")
    ann.wait_row("other", "Bob: I have found a chat in nginx.")
    bob.type_text("https://example.org/" + "a-very-long-address/" * 12)
    ann.wait(lambda: len(ann.rows()) == 6, "the address")
    ann.check_fits()


def test_start_page_chats_at_once_and_fits_each_screen(open_chat):
    start = open_chat("")
    start.wait_row("note", f"You joined lobby as {start.shown_name()}.")
    guest = open_chat(room="lobby", name="Bob")
    assert guest.browser.switch_to.active_element == guest.part("textarea")
    guest.type_text("Hello from the other page")
    start.wait_row("other", "Bob: Hello from the other page")
    start.type_text("Hello to all")
    guest.wait_row("other", f"{start.shown_name()}: Hello to all")
    start.look().check_fits()


def test_cards_lead_to_pages_without_errors(open_chat):
    start = open_chat("")
    links = [link.get_property("href") for link in
             start.browser.find_elements(By.CSS_SELECTOR,
                                         ".examples a[href$='/']")]
    base = start.browser.current_url
    assert {link.removeprefix(base) for link in links} >= {
        "chat/", "room/", "team/", "echo/", "echo-c/", "load/",
        "http-python/", "http-php/"}
    for link in links:
        start.browser.get(link)
        start.wait(lambda: start.browser.find_elements(
            By.CSS_SELECTOR, "[data-state=open], [data-state=log-in]"),
            f"{link} to connect, or to ask who it is")
        assert start.browser.find_element(By.TAG_NAME, "h1").text
        with start.on_screen(*PHONES[0]):
            overflow = start.browser.execute_script(
                "return document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, link
        assert not start.console_errors(), link
        start.browser.find_element(By.CSS_SELECTOR, "header a").click()
        start.wait(lambda: start.browser.current_url == base, "the way back")


def test_configuration_can_be_read(open_chat):
    start = open_chat("")
    links = [link.get_property("href") for link in
             start.browser.find_elements(By.CSS_SELECTOR, "aside > p a")]
    assert links
    start.browser.get(links[0])
    assert "websocket chat $room;" in start.browser.page_source


def test_names_and_texts_are_shown_as_text(open_chat):
    markup = "<b>Bold</b><img src=x onerror=alert(1)>"
    ann = open_chat(room="lobby", name="Ann")
    bob = open_chat(room="lobby", name="<b>Bob</b>")
    ann.wait_row("note", "<b>Bob</b> joined")
    bob.type_text(markup)
    ann.wait_row("other", f"<b>Bob</b>: {markup}")
    bob.wait_row("own", f"You: {markup}")
    for chat in (ann, bob):
        assert not chat.look().browser.find_elements(
            By.CSS_SELECTOR, "chat-box b, chat-box img")
    assert bob.shown_name() == "<b>Bob</b>"


def test_line_that_only_looks_like_another_kind(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    bob = open_chat(room="lobby", name="Bob says no")
    ann.wait_row("note", "Bob no joined")
    bob.type_text("Ann has left")
    ann.wait_row("other", "Bob no: Ann has left")
    bob.part("textarea").send_keys("two lines", Keys.SHIFT, Keys.ENTER,
                                   Keys.SHIFT, "of text", Keys.ENTER)
    ann.wait_row("other", "Bob no: two lines\nof text")


def test_equal_name_and_text_of_another_are_not_own(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    twin = open_chat(room="lobby", name="Ann")
    ann.wait_row("note", "Ann joined")
    ann.type_text("one")
    twin.wait_row("other", "Ann: one")
    twin.type_text("one")
    ann.wait(lambda: ("other", "Ann: one") in ann.rows(), "the message")
    twin.wait_row("own", "You: one")
    assert ann.rows()[-2:] == [("own", "You: one"), ("other", "Ann: one")]
    assert twin.rows()[-2:] == [("other", "Ann: one"), ("own", "You: one")]


def test_changed_name_is_announced_and_remembered(open_chat):
    bob = open_chat(room="lobby", name="Bob")
    ann = open_chat(room="lobby")
    before = ann.shown_name()
    bob.wait_row("note", f"{before} joined")
    ann.part(".chat-name").click()
    box = ann.part(".chat-name-form input")
    assert ann.browser.switch_to.active_element == box
    box.clear()
    ann.enter(box, "  Ännchen \N{SLIGHTLY SMILING FACE}")
    bob.wait_row("note", f"{before} left")
    bob.wait_row("note", "Ännchen \N{SLIGHTLY SMILING FACE} joined")
    ann.type_text("It is me")
    bob.wait_row("other", "Ännchen \N{SLIGHTLY SMILING FACE}: It is me")
    assert ann.look().browser.switch_to.active_element == ann.part("textarea")
    next_visit = open_chat("", name="")
    assert next_visit.shown_name() == "Ännchen \N{SLIGHTLY SMILING FACE}"


def test_random_names_belong_to_a_window(open_chat):
    first = open_chat(room="lobby")
    name = first.shown_name()
    assert re.fullmatch(r"\w+ \w+", name)
    first.browser.refresh()
    first.wait_state("open")
    assert first.shown_name() == name
    stored = first.browser.execute_script(
        "return localStorage.getItem('chat-name')")
    assert stored is None


def test_link_names_the_room_alone_and_rooms_are_apart(open_chat):
    ann = open_chat(room="kitchen_2", name="Ann")
    assert ann.browser.current_url.endswith("/chat/?room=kitchen_2")
    assert (ann.find("invitation").get_property("value")
            == ann.browser.current_url)
    bob = open_chat(room="lobby", name="Bob")
    bob.type_text("to the lobby")
    bob.wait_row("own", "You: to the lobby")
    guest = open_chat(room="kitchen_2", name="Guest")
    ann.wait_row("note", "Guest joined")
    assert ann.rows() == [("note", "You joined kitchen_2 as Ann."),
                          ("note", "Guest joined")]
    assert guest.rows() == [("note", "You joined kitchen_2 as Guest.")]


def test_chooser_opens_a_room_and_remembers_it(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    ann.find("room").send_keys("not a room", Keys.ENTER)
    assert ann.browser.find_elements(By.CSS_SELECTOR, "#room:invalid")
    ann.find("room").clear()
    ann.find("room").send_keys("garden", Keys.ENTER)
    ann.wait(lambda: ann.browser.current_url.endswith("?room=garden"),
             "the garden")
    ann.wait_row("note", "You joined garden as Ann.")
    rooms = ann.browser.find_elements(By.CSS_SELECTOR, "#rooms a")
    assert [room.text.lstrip("#") for room in rooms] == ["lobby", "garden"]
    rooms[0].click()
    ann.wait_row("note", "You joined lobby as Ann.")


def test_address_with_an_impossible_room_is_explained(open_chat):
    ann = open_chat(room="<b>no</b>", name="Ann")
    assert ann.text("room-fault").startswith("“<b>no</b>” cannot be a room")
    ann.wait_row("note", "You joined lobby as Ann.")


def test_second_window_is_another_user(open_chat):
    ann = open_chat(room="garden", name="Ann")
    before = set(ann.browser.window_handles)
    ann.part(".chat-foot a").click()
    handle = ann.wait(lambda: set(ann.browser.window_handles) - before,
                      "a second window").pop()
    second = Chat(ann.browser, handle, "chat").wait_state("open")
    name = second.shown_name()
    assert name != "Ann"
    ann.wait_row("note", f"{name} joined")


def below_end(chat):
    """The number of pixels of the log below its visible part."""
    return chat.look().browser.execute_script("""
        const bottom = (selector) => document.querySelector(selector)
            .getBoundingClientRect().bottom;
        return bottom(".chat-log li:last-child") - bottom(".chat-log");""")


def test_log_is_followed_unless_the_reader_scrolled_up(open_chat):
    ann = open_chat(room="lobby", name="Ann")
    for number in range(40):
        ann.type_text(f"line {number}")
    ann.wait_row("own", "You: line 39")
    ann.wait(lambda: below_end(ann) < 2, "the end")
    for scheme, width, height in SCREENS:
        with ann.on_screen(scheme, width, height):
            ann.wait(lambda: below_end(ann) < 2, f"the end on {width} px")
    ann.browser.execute_async_script("""
        const [done] = arguments;
        const style = document.querySelector("chat-box").style;
        style.height = "3000px";
        document.querySelector(".chat-log").scrollTop;
        style.height = "";
        requestAnimationFrame(() => requestAnimationFrame(done));""")
    assert below_end(ann) < 2
    ann.part(".chat-log").send_keys(Keys.HOME)
    ann.wait(lambda: below_end(ann) > 500, "the beginning")
    seen = below_end(ann)
    bob = open_chat(room="lobby", name="Bob")
    bob.type_text("read on")
    ann.wait_row("other", "Bob: read on")
    assert below_end(ann) > seen
    ann.type_text("at the end")
    ann.wait(lambda: below_end(ann) < 2, "the end")


def test_every_control_has_an_accessible_name(open_chat):
    chat = open_chat(room="lobby")
    chat.check_names(least=10)
    chat.part(".chat-name").click()
    chat.check_names(least=10)
    chat.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert chat.part(".chat-name").is_displayed()
    chat.browser.get(chat.browser.current_url.partition("chat/")[0])
    chat.wait_state("open").check_names(least=8)


def test_reload_shows_the_code_and_the_chat_reconnects(open_chat, server):
    ann = open_chat(room="lobby", name="Ann")
    bob = open_chat(room="lobby", name="Bob")
    ann.wait_row("note", "Bob joined")
    server.reload()
    for chat in (ann, bob):
        chat.wait_row("note", "Connection closed: 1001 Going Away.")
        chat.wait_state("open")
    bob.type_text("back again")
    ann.wait_row("other", "Bob: back again")
    assert not ann.part(".chat-closed").is_displayed()


def test_stopped_server_is_waited_for(browser, nginx):
    server = start_example(nginx)
    browser.get(f"http://127.0.0.1:{server.port}/chat/?name=Ann")
    ann = Chat(browser, browser.current_window_handle, "chat")
    ann.wait_state("open")
    server.send_signal(signal.SIGQUIT)
    ann.wait_row("note", "Connection closed: 1001 Going Away.")
    server.wait_for_exit()
    ann.wait(lambda: "1006" in ann.part(".chat-closed").text, "a refusal")
    assert re.search(r"Trying (again in \d+ s|…)",
                     ann.part(".chat-closed").text)
    ann.part("textarea").send_keys("kept", Keys.ENTER)
    assert ann.part("textarea").get_property("value") == "kept"
    ann.screenshot("offline")
    with socket.create_server(("127.0.0.1", server.port)) as listener:
        listener.settimeout(seconds(5))
        ann.part(".chat-closed button").click()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4096).startswith(
                b"GET /chat/lobby?name=Ann HTTP/1.1")
    browser.get("about:blank")
    browser.get_log("browser")
