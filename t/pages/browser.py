"""A real browser and the nginx of `make run`, for the tests of pages.

A test file imports the fixtures `browser` and `server` from here.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from selenium.common.exceptions import (ElementClickInterceptedException,
                                        ElementNotInteractableException,
                                        NoSuchElementException,
                                        StaleElementReferenceException)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from chromium import start_chromium
from example_backends import ExampleBackends
from nginx_server import ROOT, NginxServer, seconds

EXAMPLES = os.path.join(ROOT, "examples")
PLUGINS = os.path.join(ROOT, "build", "examples")
SCREENSHOTS = os.path.join(ROOT, "build", "screenshots")
PLUGIN_LINE = "websocket_plugin ../examples/"
# Screens: colour scheme, width, height.
SCREENS = [("light", 1280, 860), ("dark", 1280, 860), ("light", 390, 844),
           ("dark", 390, 844), ("light", 320, 640)]

# The test harness asks this server whether nginx serves, and for the number of
# its connections. The browser's kept or early connections would count, so they
# end soon.
HARNESS_LINES = """http {{
    keepalive_timeout 0;
    client_header_timeout 2s;
    server {{
        listen 127.0.0.1:{control};
        access_log off;
        location = /token {{ return 200 "{token} $pid"; }}
        location = /active {{ stub_status; }}
    }}
"""


class ExampleConfig:
    """examples/nginx.conf with the port and the paths of the test.

    folder: that of the backends, whose path must be short enough for a socket.
    """

    workers, level, master, module, tls = 2, "info", True, True, False

    def __init__(self, folder):
        self.folder = folder

    @staticmethod
    def ports_needed():
        """Control, main, TLS, which is not used, http-python and team."""
        return 5

    def text(self, prefix, module_file, token, ports, _certificate):
        """Each replaced text must occur exactly once."""
        with open(os.path.join(EXAMPLES, "nginx.conf"),
                  encoding="utf-8") as file:
            text = file.read()
        build_plugins(re.findall(PLUGIN_LINE + r"(\S+);", text))
        text = text.replace(PLUGIN_LINE, f"websocket_plugin {PLUGINS}/")
        user = "user root;" if os.geteuid() == 0 else ""
        for old, new in {
            "load_module ../ngx_http_websocket_module.so;":
                f"load_module {module_file}; daemon off; {user}",
            "error_log stderr info;": f"error_log {prefix}/error.log info;",
            # The kernel spreads connections over the workers; a few clients
            # could all reach one
            "listen 127.0.0.1:8080;":
                f"listen 127.0.0.1:{ports[1]} reuseport;",
            "proxy_pass http://127.0.0.1:8090;":
                f"proxy_pass http://127.0.0.1:{ports[3]};",
            "proxy_pass http://127.0.0.1:8091;":
                f"proxy_pass http://127.0.0.1:{ports[4]};",
            "fastcgi_pass unix:": f"fastcgi_pass unix:{self.folder}/",
            "listen unix:": f"listen unix:{self.folder}/",
            "../build/run/backends/": f"{self.folder}/backends/",
            # PHP does not accept all paths that nginx does
            "root ../../examples;": f"root {EXAMPLES}/../examples;",
            "alias ../../src/": f"alias {ROOT}/src/",
            "http {\n": HARNESS_LINES.format(control=ports[0], token=token),
        }.items():
            assert text.count(old) == 1, f"examples/nginx.conf: {old}"
            text = text.replace(old, new)
        return text


def build_plugins(names):
    """Builds missing plug-ins. `make test` has built all of them, but a single
    test may run without it."""
    assert names, "examples/nginx.conf names no plug-in"
    if all(os.path.exists(os.path.join(PLUGINS, name)) for name in names):
        return
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("MAKE")}
    done = subprocess.run(["make", "examples"], cwd=ROOT, env=environment,
                          text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


class ExampleServer(NginxServer):
    """The nginx of `make run`, with the backends of the examples."""

    backends = None

    def _run(self):
        self.end_backends()
        self.backends = ExampleBackends(self.config.folder, *self.ports)
        super()._run()

    def stop(self, *args, **options):
        try:
            super().stop(*args, **options)
        finally:
            self.end_backends()
            shutil.rmtree(self.config.folder, ignore_errors=True)

    def end_backends(self):
        if self.backends:
            self.backends.end()
        self.backends = None


def start_example(pool):
    """Starts examples/nginx.conf; the pool stops and checks it."""
    server = ExampleServer(pool.prefix(), ExampleConfig(
        tempfile.mkdtemp(prefix="backends-")))
    pool.servers.append(server)
    server.begin_test()
    return server


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    """One nginx for all tests of a file."""
    return start_example(module_nginx)


@pytest.fixture(name="browser", scope="module")
def browser_fixture(request):
    """The browser with one empty window and an empty console."""
    chromium = start_chromium(request.config)
    yield chromium
    first, *others = chromium.window_handles
    for handle in others:
        chromium.switch_to.window(handle)
        chromium.close()
    chromium.switch_to.window(first)
    chromium.get("about:blank")
    chromium.get_log("browser")


class Page:
    """The actions and the contents of a page; subclasses add to them."""

    # The prefix of the names of screenshots.
    name = "page"

    def __init__(self, browser):
        self.browser = browser

    def find(self, name):
        """The element with this id."""
        return self.browser.find_element(By.ID, name)

    def text(self, name):
        """The text of an element, visible or not."""
        return self.find(name).get_property("textContent").strip()

    def texts_of(self, selector):
        """The texts of all elements that match, at one moment: the page may
        replace them at any time."""
        return [text for _, text in self.lines_of(selector)]

    def lines_of(self, selector):
        """The same, each with its class."""
        return [tuple(pair) for pair in self.browser.execute_script("""
            return Array.from(document.querySelectorAll(arguments[0]),
                (each) => [each.className, each.innerText.trim()]);""",
            selector)]

    def wait(self, condition, what):
        """Waits until the condition holds; returns its result."""
        return WebDriverWait(self.browser, seconds(10), 0.02).until(
            lambda _: condition(), what)

    def click(self, name):
        """Clicks the element with this id."""
        self.find(name).click()

    def click_at(self, selector):
        """Clicks the element that matches, also if the page replaces it
        meanwhile."""
        def clicked():
            try:
                self.browser.find_element(By.CSS_SELECTOR, selector).click()
            except (NoSuchElementException, StaleElementReferenceException):
                return False
            return True
        self.wait(clicked, f"{selector}, clicked")

    def click_when_shown(self, name):
        """Waits until the element with this id is shown; clicks it."""
        def clicked():
            try:
                self.find(name).click()
            except (ElementNotInteractableException,
                    ElementClickInterceptedException):  # it has moved
                return False
            return True
        self.wait(clicked, f"{name}, shown")

    def enter(self, element, text):
        """Types into a field and presses Enter. The text is inserted, because
        some versions of the driver have no keys for some characters."""
        element.click()
        self.browser.execute_cdp_cmd("Input.insertText", {"text": text})
        element.send_keys(Keys.ENTER)

    def screenshot(self, name):
        """Saves a screenshot in build/screenshots."""
        os.makedirs(SCREENSHOTS, exist_ok=True)
        self.browser.save_screenshot(os.path.join(
            SCREENSHOTS, f"{self.name}-{name}.png"))

    @contextlib.contextmanager
    def on_screen(self, scheme, width, height):
        """Shows the page on such a screen within the block."""
        send = self.browser.execute_cdp_cmd
        try:
            send("Emulation.setEmulatedMedia", {"features": [
                {"name": "prefers-color-scheme", "value": scheme}]})
            send("Emulation.setDeviceMetricsOverride",
                 {"width": width, "height": height, "mobile": width < 800,
                  "deviceScaleFactor": 1})
            yield
        finally:
            send("Emulation.setEmulatedMedia", {"features": []})
            send("Emulation.clearDeviceMetricsOverride", {})

    def check_fits(self, screens=tuple(SCREENS), name="open"):
        """Fails if the page scrolls sideways; saves screenshots."""
        for scheme, width, height in screens:
            with self.on_screen(scheme, width, height):
                self.screenshot(f"{name}-{scheme}-{width}")
                overflow = self.browser.execute_script(
                    "return document.documentElement.scrollWidth"
                    " - innerWidth")
                assert overflow <= 0, f"scrolls sideways at {width} px"

    def check_names(self, least):
        """Each control has a name for screen readers."""
        controls = self.browser.execute_script("""
            return Array.from(document.querySelectorAll(
                "a, button, input, textarea, summary, [tabindex='0']"))
                .filter((control) => control.checkVisibility());""")
        assert len(controls) >= least
        for control in controls:
            assert control.accessible_name.strip(), control.get_property(
                "outerHTML")

    def in_turn(self):
        """Yields the page to a test, which must leave a console without
        errors."""
        yield self
        errors = self.console_errors()
        self.browser.get("about:blank")
        assert not errors, errors

    def console_errors(self):
        """Severe console messages since the last call."""
        return [entry for entry in self.browser.get_log("browser")
                if entry["level"] == "SEVERE"]


class WindowPage(Page):
    """A page in a window of its own, which each action first switches to."""

    def __init__(self, browser, handle):
        super().__init__(browser)
        self.handle = handle

    def look(self):
        """Switches the browser to this window."""
        self.browser.switch_to.window(self.handle)
        return self


@contextlib.contextmanager
def windows_closed(browser, clear=""):
    """Closes all windows but the current one at the end. Their consoles must
    have no errors. clear: a script that each window runs before."""
    first = browser.current_window_handle
    browser.get_log("browser")
    yield
    errors = []
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        errors += Page(browser).console_errors()
        browser.execute_script(clear)
        browser.get("about:blank")
        if handle != first:
            browser.close()
    browser.switch_to.window(first)
    assert not errors, errors
