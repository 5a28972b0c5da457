"""The page of the to-do list whose logic is a script of PHP."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import (WindowPage, browser_fixture, server_fixture,
                     windows_closed)


class TodoPage(WindowPage):
    """The actions and the contents of the page, in its own window."""

    name = "http-php"

    def __init__(self, browser, url):
        super().__init__(browser, browser.current_window_handle)
        browser.get(url)
        self.wait(lambda: self.text("state") == "open", "the connection")

    def tasks(self):
        """The tasks, and whether each is done."""
        rows = self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll("#tasks li"),
                (row) => [row.querySelector("span").textContent,
                          row.querySelector("input").checked]);""")
        return [tuple(row) for row in rows]

    def wait_tasks(self, *tasks):
        self.wait(lambda: self.tasks() == list(tasks), f"{tasks}")

    def click_in(self, number, selector):
        """Clicks a control of a task."""
        self.look().click_at(f"#tasks li:nth-child({number + 1}) {selector}")

    def add(self, text):
        self.look().enter(self.find("text"), text)


@pytest.fixture
def two_pages(browser, server):
    """The page in two windows. Their consoles must have no errors."""
    url = f"http://127.0.0.1:{server.port}/http-php/"
    with windows_closed(browser):
        one = TodoPage(browser, url)
        browser.switch_to.new_window("window")
        other = TodoPage(browser, url)
        yield one, other


def test_changes_of_the_list_reach_all_windows(two_pages):
    one, other = two_pages
    one.add("<b>Milk</b>")
    other.wait_tasks(("<b>Milk</b>", False))
    other.add("Äpfel")
    one.wait_tasks(("<b>Milk</b>", False), ("Äpfel", False))
    one.click_in(1, "input")
    other.wait_tasks(("<b>Milk</b>", False), ("Äpfel", True))
    one.look().check_fits()
    one.check_names(least=7)
    other.click_in(0, "button")
    one.wait_tasks(("Äpfel", True))
    one.browser.refresh()
    one.wait_tasks(("Äpfel", True))
    one.click_in(0, "button")
    for page in two_pages:
        page.wait_tasks()
        assert page.find("tasks-empty").is_displayed()
