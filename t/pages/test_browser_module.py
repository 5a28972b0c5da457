"""The page with one import: a WebSocket, an event stream, and the change from
one to the other where no WebSocket passes."""

import json

import pytest
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import Page, browser_fixture, server_fixture
from publish_client import request
from tcp_proxy import TcpProxy
from team_page import team_opener

WEBSOCKET, STREAM = "WebSocket", "event stream"


class ModulePage(Page):
    """The actions and the contents of the page."""

    name = "module"

    def wait_open(self, transport):
        self.wait(lambda: (self.text("state"), self.text("transport")) == (
            "open", transport), f"open by {transport}")
        return self

    def lines(self):
        """The messages, the oldest first."""
        return self.texts_of("#log li")[::-1]

    def wait_lines(self, *last):
        self.wait(lambda: self.lines()[-len(last):] == list(last), f"{last}")
        return self

    def type_text(self, text):
        self.find("message").send_keys(text, Keys.ENTER)


@pytest.fixture(name="open_page")
def open_page_fixture(browser, server):
    page = ModulePage(browser)
    browser.get_log("browser")

    def open_page(transport="auto", port=None):
        browser.get(f"http://127.0.0.1:{port or server.port}/module/"
                    f"?transport={transport}")
        return page

    yield open_page
    errors = page.console_errors()
    browser.get("about:blank")
    assert not errors, errors


def publish(server, text):
    response = server.request(request("POST", "/publish?room=module", text))
    assert response.status == 200
    return json.loads(response.body)["id"]


@pytest.mark.parametrize("transport, name", [
    ("auto", WEBSOCKET), ("websocket", WEBSOCKET), ("event-stream", STREAM)])
def test_page_publishes_and_receives(open_page, server, transport, name):
    page = open_page(transport).wait_open(name)
    page.type_text(f"Grüße by {transport}")
    page.wait_lines(f"You: Grüße by {transport}")
    publish(server, "from a shell\nin two lines")
    page.wait_lines(f"You: Grüße by {transport}",
                    "from a shell\nin two lines")
    page.type_text("last")
    page.wait_lines("from a shell\nin two lines", "You: last")
    page.check_fits(name=transport)
    page.check_names(least=5)


@pytest.mark.parametrize("transport, name", [("websocket", WEBSOCKET),
                                             ("event-stream", STREAM)])
def test_reload_loses_nothing(open_page, server, transport, name):
    page = open_page(transport).wait_open(name)
    publish(server, "before")
    page.wait_lines("before")
    workers = server.reload()
    publish(server, "between")
    server.wait_for_workers_gone(workers)
    publish(server, "after")
    page.wait_lines("before", "between", "after").wait_open(name)


class WithoutUpgrades(TcpProxy):
    """A proxy that passes no field Upgrade on, as some networks do."""

    def _turn(self, pair, name):
        super()._turn(pair, name)
        for way in pair.ways.values():
            for index, (when, data) in enumerate(way.waiting):
                way.waiting[index] = when, data.replace(
                    b"\r\nUpgrade: websocket", b"\r\nX-Upgrad: websocket")


def test_network_without_websockets_gets_an_event_stream(open_page, server):
    proxy = WithoutUpgrades(server.port)
    try:
        page = open_page("auto", proxy.port).wait_open(STREAM)
        page.type_text("through")
        page.wait_lines("You: through")
        refused = [entry for entry in page.console_errors()
                   if "WebSocket connection" in entry["message"]]
        assert len(refused) == 2
        page.browser.get("about:blank")
    finally:
        proxy.close()


def test_team_chat_without_websockets(browser, server):
    """Tokens go in Authorization; the rooms of each user are in the address."""
    proxy = WithoutUpgrades(server.port)
    opener = team_opener(browser, proxy.port)
    open_team = next(opener)
    try:
        ada, linus = open_team("Ada"), open_team("Linus")
        ada.type_text("from Ada")
        linus.wait_texts("from Ada").type_text("from Linus")
        ada.wait_texts("from Ada", "from Linus")
        linus.choose("@Ada").type_text("psst")
        ada.wait_unread(at_Linus=1).choose("@Linus").wait_texts("psst")
        browser.get_log("browser")  # discards refused attempts
        for _ in opener:
            pass
    finally:
        proxy.close()
