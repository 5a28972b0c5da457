"""The room page in a window of a real browser, and publishing to its room over
HTTP."""

import json
import re
from urllib.parse import urlencode

import pytest

from browser import WindowPage, windows_closed
from publish_client import post


class RoomPage(WindowPage):
    """One window with the room page. Each call first switches to that
    window."""

    name = "room"

    def wait_open(self):
        self.look().wait(lambda: self.text("state") == "open", "connection")
        return self

    def messages(self):
        """(own, other or http, text), oldest first."""
        return [tuple(row) for row in self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll(".message"),
                (row) => [row.dataset.kind,
                          row.querySelector(".text").textContent]);""")]

    def texts(self):
        return [text for _, text in self.messages()]

    def ids(self):
        return self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll(".message"),
                ({ dataset }) => dataset.id);""")

    def notes(self):
        """The notes that the page itself wrote into its log."""
        return self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll(".note"),
                (row) => row.textContent);""")

    def wait_text(self, *texts):
        """Waits until these are the last messages; each must be there once."""
        self.wait(lambda: self.texts()[-len(texts):] == list(texts),
                  f"{texts} at the end")
        for text in texts:
            assert self.texts().count(text) == 1, text
        return self

    def wait_note(self, pattern, count=1):
        """Waits for `count` matching notes; returns the last one."""
        def found():
            notes = [note for note in self.notes() if re.search(pattern, note)]
            return len(notes) >= count and notes
        return self.wait(found, f"a note like {pattern}")[-1]

    def wait_count(self, clients):
        """Waits until the page shows so many clients."""
        text = ("you alone" if clients == 1
                else f"{clients} here, you included")
        self.look().wait(lambda: self.text("count") == text, text)
        return self

    def here(self):
        return self.look().texts_of("#here li")

    def client(self):
        """The id of this window's connection."""
        return int(re.fullmatch(r"You, (\d+)", self.here()[0]).group(1))

    def type_text(self, *texts):
        """Types texts and publishes them."""
        for text in texts:
            self.enter(self.look().find("text"), text)
        return self

    def cut(self, length=600):
        """Cuts the connection for so many seconds, or until connect()."""
        box = self.look().find("seconds")
        box.clear()
        box.send_keys(str(length))
        self.click("cut")
        self.wait_note(f"You cut the connection for {length} second")
        return self

    def connect(self):
        """Reconnects; returns the text about missed messages."""
        self.look().click_when_shown("retry")
        self.wait_open()
        return self.wait(lambda: self.text("result"), "the result")


@pytest.fixture(name="open_room")
def open_room_fixture(browser, server):
    """Opens room pages, the first in the current window. At the end all are
    closed, and their consoles must have no errors."""
    yield from room_opener(browser, server)


def room_opener(browser, server):
    pages = []

    def open_room(room):
        if pages:
            browser.switch_to.new_window("window")
        browser.get(f"http://127.0.0.1:{server.port}/room/?"
                    + urlencode({"room": room}))
        pages.append(RoomPage(browser, browser.current_window_handle))
        return pages[-1].wait_open()

    with windows_closed(browser):
        yield open_room


def publish(server, room, *texts, **options):
    """Publishes over HTTP; returns the ids."""
    answers = [server.request(post(text, f"/publish?room={room}", **options))
               for text in texts]
    assert [answer.status for answer in answers] == [200] * len(texts)
    return [json.loads(answer.body)["id"] for answer in answers]
