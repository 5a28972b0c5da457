"""The echo page in a real browser, with the nginx of `make run`."""

import re
import signal

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import Page, browser_fixture, server_fixture, start_example
from nginx_server import seconds, wait_until

MEGABYTE = 1024 * 1024


class EchoPage(Page):
    """The actions and the contents of the page."""

    name = "echo"

    def wait_state(self, state):
        """Waits for a text of the badge: connecting, open, closing, closed."""
        self.wait(lambda: self.text("state") == state, f"state {state}")

    def wait_idle(self, messages):
        """Waits until the page shows that so many messages have come back."""
        self.wait(lambda: self.text("messages-in") == str(messages),
                  f"{messages} echoes")

    def rows(self, direction):
        """The log's rows: the text of each cell by its name."""
        return self.browser.execute_script("""
            const rows = document.querySelectorAll(
                `#log > [data-direction=${arguments[0]}]`);
            return Array.from(rows, (row) => {
                const texts = { ...row.dataset };
                for (const cell of row.children) {
                    texts[cell.className] = cell.textContent;
                }
                return texts;
            });""", direction)

    def send_as_binary(self):
        """Turns the switch on by keyboard."""
        self.find("as-binary").send_keys(Keys.SPACE)
        assert self.find("as-binary").is_selected()

    def disconnect(self, code, reason):
        """Closes from the page; None omits the code."""
        for name, value in (("close-code", code), ("close-reason", reason)):
            self.find(name).clear()
            self.find(name).send_keys(value or "")
        self.click("disconnect")

    def closing(self):
        """The fields of the card about the end of the connection."""
        self.wait_state("closed")
        assert self.find("closed").is_displayed()
        return {name: self.text(f"closed-{name}") for name in
                ("code", "name", "meaning", "by", "reason", "lost")}


def open_page(browser, server):
    """Opens the page and waits until it has connected."""
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{server.port}/echo/")
    page = EchoPage(browser)
    page.wait_state("open")
    return page


@pytest.fixture
def page(browser, server):
    """The page, connected. At the end its console must have no errors."""
    yield from open_page(browser, server).in_turn()


def test_page_connects_by_itself_and_fits_each_screen(page):
    assert page.text("address").startswith("ws://127.0.0.1:")
    page.find("message").send_keys("Hello, nginx\n")
    page.send_as_binary()
    page.find("message").send_keys("Hello in bytes\n")
    page.wait_idle(2)
    page.check_fits()


def test_every_control_has_an_accessible_name(page):
    page.check_names(least=15)


def test_typed_message_is_echoed_as_text(page):
    page.find("message").send_keys("Hello, nginx", Keys.ENTER)
    page.wait_idle(1)
    (sent,), (came,) = page.rows("out"), page.rows("in")
    assert sent["content"] == came["content"] == "Hello, nginx"
    assert (came["kind"], came["bytes"], came["same"]) == ("text", "12",
                                                           "true")
    assert re.fullmatch(r"[\d,.]+ ms", came["extra"])
    assert page.text("bytes-out") == page.text("bytes-in") == "12"
    assert page.text("announcer") == "Echo: Hello, nginx"
    assert page.find("message").get_property("value") == ""


def test_multi_byte_text_is_echoed(page):
    page.find("message").send_keys("Grüße, 你好, €", Keys.ENTER)
    page.click("scripts")
    page.wait_idle(2)
    typed, generated = page.rows("in")
    assert typed["content"] == "Grüße, 你好, €"
    assert typed["bytes"] == str(len("Grüße, 你好, €".encode()))
    assert "\N{SLIGHTLY SMILING FACE}" in generated["content"]
    assert generated["bytes"] == str(len(generated["content"].encode()))
    assert [row["same"] for row in (typed, generated)] == ["true", "true"]


def test_binary_message_is_echoed_and_shown_as_hex(page):
    page.send_as_binary()
    page.find("message").send_keys("hé!", Keys.ENTER)
    page.wait_idle(1)
    (came,) = page.rows("in")
    assert (came["kind"], came["bytes"], came["same"]) == ("bin", "4",
                                                           "true")
    assert came["content"].startswith("68 c3 a9 21")


def test_empty_and_largest_messages_are_echoed(page):
    page.click("empty")
    page.click("large")
    page.send_as_binary()
    page.click("empty")
    page.click("large")
    page.wait_idle(4)
    rows = page.rows("in")
    assert [row["kind"] for row in rows] == ["text", "text", "bin", "bin"]
    assert [row["bytes"] for row in rows] == ["0", str(MEGABYTE)] * 2
    assert {row["same"] for row in rows} == {"true"}


def test_bursts_are_echoed_in_order_and_the_log_stays_bounded(page):
    page.click("burst")
    page.wait_idle(100)
    came = [row["content"] for row in page.rows("in")]
    assert came == [f"message {n} of 100" for n in range(1, 101)]
    page.wait(lambda: any("100 messages echoed in" in note["content"]
                          for note in page.rows("note")), "the summary")
    page.click("burst")
    page.wait_idle(200)
    rows = page.rows("out") + page.rows("in") + page.rows("note")
    assert len(rows) == 200


def test_markup_in_a_message_is_shown_as_text(page):
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    page.find("message").send_keys(markup, Keys.ENTER)
    page.wait_idle(1)
    assert page.rows("in")[0]["content"] == markup
    assert not page.browser.find_elements(By.CSS_SELECTOR,
                                          "#log img, #log b")


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_too_big_message_shows_1009_and_its_meaning(page, binary):
    if binary:
        page.send_as_binary()
    page.click("too-big")
    shown = page.closing()
    assert (shown["code"], shown["name"]) == ("1009", "Message Too Big")
    assert "larger than the receiver accepts" in shown["meaning"]
    assert (shown["by"], shown["lost"]) == ("the server", "1")
    assert "1009, Message Too Big" in page.text("announcer")
    page.screenshot("too-big")


def test_disconnect_with_code_and_reason_then_reconnect(page, server):
    page.find("message").send_keys("seven b", Keys.ENTER)
    page.wait_idle(1)
    page.disconnect("4001", "enough for today, Grüße")
    shown = page.closing()
    assert (shown["code"], shown["name"]) == ("4001", "Private Code")
    assert (shown["by"], shown["reason"]) == ("this page",
                                              "enough for today, Grüße")
    page.screenshot("disconnected")
    line = wait_until(
        lambda: re.search(r".*close=4001.*", server.read("access.log")),
        seconds(5), "the access log's line").group(0)
    assert " 101 " in line and "resource=echo:" in line
    assert "in=1/7B out=1/7B" in line and line.endswith("by=client")

    focused = page.browser.switch_to.active_element
    assert focused.get_property("id") == "reconnect"
    focused.send_keys(Keys.ENTER)
    page.wait_state("open")
    assert not page.find("closed").is_displayed()
    page.find("message").send_keys("again", Keys.ENTER)
    page.wait_idle(2)


def test_disconnect_without_code_shows_1005(page):
    page.disconnect(None, None)
    shown = page.closing()
    assert (shown["code"], shown["by"]) == ("1005", "this page")
    assert "carried no code" in shown["meaning"]


@pytest.mark.parametrize("code, reason", [
    ("1001", ""), ("2999", ""), ("abcd", ""), ("4000", "é" * 62),
    ("", "reason without code")],
    ids=["reserved", "unassigned", "letters", "long-reason", "no-code"])
def test_close_that_a_page_may_not_send_is_refused(page, code, reason):
    page.disconnect(code, reason)
    assert page.browser.find_elements(By.CSS_SELECTOR, "input:invalid")
    assert page.text("state") == "open"


def test_page_connects_again_on_the_way_back(page):
    page.disconnect("1000", "to be seen no more")
    page.closing()
    page.browser.get("about:blank")
    page.browser.back()
    page.wait_state("open")


def test_quitting_server_shows_1001_then_unreachable(browser, nginx):
    server = start_example(nginx)
    page = open_page(browser, server)
    server.send_signal(signal.SIGQUIT)
    shown = page.closing()
    assert (shown["code"], shown["by"]) == ("1001", "the server")
    assert "stops or reloads" in shown["meaning"]
    server.wait_for_exit()
    assert not page.console_errors()
    page.click("reconnect")
    page.wait(lambda: page.text("closed-code") == "1006", "a refusal")
    assert "nothing answers" in page.closing()["meaning"]
    page.screenshot("unreachable")
    assert len(page.console_errors()) == 1
