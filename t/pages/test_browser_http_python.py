"""The page of the chat whose logic is a backend in Python."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import (WindowPage, browser_fixture, server_fixture,
                     windows_closed)


class ChatPage(WindowPage):
    """The actions and the contents of the page, in its own window."""

    name = "http-python"

    def __init__(self, browser, url):
        super().__init__(browser, browser.current_window_handle)
        browser.get(url)
        self.wait(lambda: self.text("state") == "open", "the connection")

    def lines(self):
        """The messages, the newest first, and whose they are."""
        return self.look().lines_of("#log li")

    def users(self):
        return self.look().texts_of("#users li")

    def type_text(self, text):
        self.look().enter(self.find("message"), text)

    def wait_lines(self, *lines):
        """Waits for these messages, the newest first."""
        self.wait(lambda: self.lines() == list(lines), f"{lines}")

    def wait_users(self, *users):
        self.wait(lambda: self.users() == list(users), f"{users}")


@pytest.fixture
def open_chat(browser, server):
    """Opens the page, the first in the current window. At the end all are
    closed, and their consoles must have no errors."""
    pages = []

    def open_chat(name):
        if pages:
            browser.switch_to.new_window("window")
        pages.append(ChatPage(browser, f"http://127.0.0.1:{server.port}"
                                       f"/http-python/?name={name}"))
        return pages[-1]

    with windows_closed(browser):
        yield open_chat


def test_users_talk_and_see_who_comes_and_goes(open_chat):
    ann = open_chat("Ann")
    ann.wait_users("Ann")
    bob = open_chat("Bob")
    bob.wait_users("Ann", "Bob")
    ann.wait_users("Ann", "Bob")
    bob.type_text("<b>Grüße</b>, Ann")
    ann.wait_lines(("other", "Bob <b>Grüße</b>, Ann"), ("note", "Bob joined"),
                   ("note", "Ann joined"))
    bob.wait_lines(("own", "Bob <b>Grüße</b>, Ann"), ("note", "Bob joined"))
    ann.look().check_fits()
    ann.check_names(least=4)
    bob.look().browser.get("about:blank")
    ann.wait_users("Ann")
    assert ann.lines()[0] == ("note", "Bob left")


def test_names_are_shown_as_text_and_reach_the_backend(open_chat):
    name = "Ännchen <i>\N{SLIGHTLY SMILING FACE}"
    page = open_chat("%C3%84nnchen%20%3Ci%3E%F0%9F%99%82")
    page.wait_users(name)
    assert page.text("name") == name
    page.type_text("It is me")
    page.wait_lines(("own", f"{name} It is me"), ("note", f"{name} joined"))


def test_page_connects_again_after_a_reload(open_chat, server):
    page = open_chat("Ann")
    page.wait_users("Ann")
    workers = server.reload()
    page.wait(lambda: page.text("state") == "closed", "the reload")
    assert page.text("fault").startswith("Closed with 1001, Going Away.")
    server.wait_for_workers_gone(workers)
    page.click("reconnect")
    page.wait(lambda: page.text("state") == "open", "the connection")
    page.type_text("Here again")
    page.wait(lambda: page.lines()[0] == ("own", "Ann Here again"),
              "the message")
    page.wait_users("Ann")
