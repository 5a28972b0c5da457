"""The page of the handler in C in a real browser."""

import signal

import pytest
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import Page, browser_fixture, server_fixture, start_example


class EchoPage(Page):
    """The actions and the contents of the page."""

    name = "echo-c"

    def wait_state(self, state):
        """Waits for a text of the badge: connecting, open, closed."""
        self.wait(lambda: self.text("state") == state, f"state {state}")

    def lines(self):
        """The replies, the newest first."""
        return self.texts_of("#log li")

    def type_text(self, text):
        self.find("message").send_keys(text, Keys.ENTER)


@pytest.fixture
def page(browser, nginx):
    """The page, connected, with a server of its own."""
    server = start_example(nginx)
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{server.port}/echo-c/")
    page = EchoPage(browser)
    page.server = server
    page.wait_state("open")
    yield page
    errors = page.console_errors()
    browser.get("about:blank")
    assert not errors, errors


def test_messages_are_echoed_numbered(page):
    page.type_text("Hello, C")
    page.type_text("<b>Grüße</b>")
    page.wait(lambda: page.lines() == ["2: <b>Grüße</b>", "1: Hello, C"],
              "both answers")
    page.check_fits()
    page.check_names(least=3)


def test_reconnecting_restarts_the_numbers(page):
    page.type_text("one")
    page.wait(lambda: page.lines() == ["1: one"], "the answer")
    workers = page.server.worker_pids()
    page.server.send_signal(signal.SIGHUP)
    page.wait_state("closed")
    page.server.wait_for_workers_gone(workers)
    assert page.lines()[0].startswith("Closed with 1001, Going Away.")
    page.click("reconnect")
    page.wait_state("open")
    page.type_text("two")
    page.wait(lambda: page.lines()[0] == "1: two", "the answer")
