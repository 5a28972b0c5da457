"""The page of the team chat in a window of a real browser, and raw clients of
its location."""

import http.client
import json
import socket
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By

from browser import WindowPage, start_example, windows_closed
from rooms_client import connect

LIVE = "/team/live"

# The visible texts whose contrast to their background is below 4.5, as WCAG AA
# requires. Backgrounds are opaque, or nothing.
LOW_CONTRAST = """
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => channels(colour).slice(0, 3)
        .map((each) => each / 255)
        .map((each) => each <= 0.04045 ? each / 12.92
            : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
    const background = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = getComputedStyle(each).backgroundColor;
            if ((channels(colour)[3] ?? 1) > 0) {
                return colour;
            }
        }
        return "rgb(255, 255, 255)";
    };
    return Array.from(document.querySelectorAll("body *")).filter((each) =>
        each.checkVisibility({ opacityProperty: true,
                               visibilityProperty: true })
        && !each.matches(":disabled, :disabled *, .hidden")
        && Array.from(each.childNodes).some((node) =>
            node.nodeType === Node.TEXT_NODE && node.data.trim())
    ).map((each) => {
        const [a, b] = [light(getComputedStyle(each).color),
                        light(background(each))];
        return [each.className || each.id || each.tagName, each.textContent,
                (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    }).filter(([, , contrast]) => contrast < 4.5);
"""


def call(server, name, message, session=None):
    """Calls the backend; returns the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Content-Type": "application/json"}
    if session is not None:
        headers["Authorization"] = f"Bearer {session}"
    connection.request("POST", f"/team/api/{name}", json.dumps(message),
                       headers)
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def log_in(server, name):
    """Logs a user in; returns the session."""
    status, answer = call(server, "login", {"name": name})
    assert status == 200, answer
    return answer["session"]


def token_of(server, session):
    status, answer = call(server, "token", {}, session)
    assert status == 200, answer
    return answer


def connect_with(server, token):
    """A raw client with a token, as a page connects."""
    return connect(server, LIVE,
                   subprotocols=["rooms.v1.json", f"bearer.{token}"])


def connect_as(server, name):
    """A raw client of a user, who has logged in."""
    return connect_with(server, token_of(server, log_in(server, name))["token"])


class TeamPage(WindowPage):
    """One window. Each call first switches to it."""

    name = "team"

    def log_in(self, name):
        self.look().wait(lambda: self.find("name").is_displayed(), "the log-in")
        self.find("name").clear()
        self.enter(self.find("name"), name)
        return self.wait_open()

    def wait_open(self):
        """Waits for the connection, and for a conversation."""
        self.look().wait(lambda: self.text("state") == "Online"
                         and self.text("title-text"), "the connection")
        return self

    def session(self):
        """The session of the backend."""
        return self.look().browser.execute_script("""
            return JSON.parse(sessionStorage.getItem("team:session"))
                .session""")

    def set_visible(self, visible):
        """Shows or hides the page, as a browser does with its tabs."""
        self.look().browser.execute_script("""
            Object.defineProperty(document, "visibilityState",
                { configurable: true, value: arguments[0] });
            document.dispatchEvent(new Event("visibilitychange"));""",
            "visible" if visible else "hidden")

    # Messages

    def messages(self):
        """(user, text) of the conversation that is shown, oldest first."""
        return [tuple(row) for row in self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll(".body"), (row) =>
                [row.querySelector(".name").textContent,
                 row.querySelector(".text").textContent]);""")]

    def texts(self):
        return [text for _, text in self.messages()]

    def wait_texts(self, *texts):
        """Waits until these are all messages, and sent."""
        self.wait(lambda: self.texts() == list(texts)
                  and self.count("[data-state=sending]") == 0, f"{texts}")
        return self

    def count(self, selector):
        """The number of elements that match."""
        return self.look().browser.execute_script(
            "return document.querySelectorAll(arguments[0]).length", selector)

    def find_all(self, selector):
        return self.look().browser.find_elements(By.CSS_SELECTOR, selector)

    def type_text(self, *texts):
        """Types texts and sends them."""
        for text in texts:
            self.enter(self.look().find("text"), text)
        return self

    def low_contrast(self):
        return self.browser.execute_script(LOW_CONTRAST)

    def check_contrast(self):
        """Fails for texts that are hard to read, light or dark."""
        for scheme in ("light", "dark"):
            with self.on_screen(scheme, 1280, 860):
                assert not self.low_contrast(), scheme

    # The side bar

    def row(self, conversation):
        """The row of a conversation in the side bar."""
        selector = f'[data-conversation="{conversation}"]'
        return self.look().wait(lambda: self.browser.find_elements(
            By.CSS_SELECTOR, selector), f"{selector} in the side bar")[0]

    def choose(self, conversation):
        self.row(conversation).find_element(By.TAG_NAME, "button").click()
        return self

    def unread(self):
        """{conversation: unread messages}, of those that have some."""
        return {name: int(count) for name, count in
                self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll(".side [data-unread]"),
                ({ dataset }) => [dataset.conversation, dataset.unread]);""")
                if count != "0"}

    def wait_unread(self, **counts):
        """Waits for these counts; _ stands for the dot or the @."""
        wanted = {name.replace("team_", "team.").replace("at_", "@"): count
                  for name, count in counts.items()}
        self.wait(lambda: self.unread() == wanted, f"unread: {wanted}")
        return self

    def people(self):
        """{name: whether online}."""
        return dict(self.look().browser.execute_script("""
            return Array.from(document.querySelectorAll("#people > li"),
                (row) => [row.querySelector(".label").textContent,
                          row.dataset.online === "true"]);"""))

    def wait_people(self, **people):
        self.wait(lambda: self.people() == people, f"{people}")
        return self


@pytest.fixture(name="server")
def team_server(nginx):
    """One nginx for each test, whose rooms are empty."""
    return start_example(nginx)


@pytest.fixture(name="open_team")
def open_team_fixture(browser, server):
    """Opens windows of users, the first in the current window. At the end all
    are closed, and their consoles must have no errors."""
    yield from team_opener(browser, server.port)


def team_opener(browser, port):
    pages = []

    def open_team(name=None):
        if pages:
            browser.switch_to.new_window("window")
        browser.get(f"http://127.0.0.1:{port}/team/")
        pages.append(TeamPage(browser, browser.current_window_handle))
        return pages[-1].log_in(name) if name else pages[-1]

    with windows_closed(browser, "sessionStorage.clear(); localStorage.clear()"):
        yield open_team


class SocketConnection(http.client.HTTPConnection):
    """A connection over a Unix socket."""

    def __init__(self, path):
        super().__init__("nginx")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class TeamPublisher:
    """Publishes to rooms as the backend does, by the socket in its folder."""

    def __init__(self, server):
        self.connection = SocketConnection(
            f"{server.config.folder}/backends/team.sock")

    def ask(self, method, room, body=None, more=""):
        self.connection.request(
            method, f"/publish?room={quote(room)}{more}", body)
        response = self.connection.getresponse()
        assert response.status == 200
        return json.loads(response.read())

    def post(self, room, text):
        return self.ask("POST", room, text.encode())

    def close_clients(self, room, code):
        """Closes the clients of a room; returns their number."""
        return self.ask("DELETE", room, more=f"&code={code}")["clients"]
