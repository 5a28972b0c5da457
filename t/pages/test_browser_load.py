"""The load page in a real browser: values, charts, pausing, reconnecting."""

import os
import re
import signal

import pytest

# Imported so that pytest finds the fixtures.
from browser import Page, browser_fixture, server_fixture, start_example
from load_client import watch

CHARTS = ["cpu", "memory", "network", "load", "processes"]


class LoadPage(Page):
    """The actions and the contents of the page."""

    name = "load"

    def wait_state(self, state):
        """Waits for a text of the badge: connecting, live, paused, offline."""
        self.wait(lambda: self.text("state") == state, f"state {state}")

    def received(self):
        return int(self.text("received"))

    def wait_samples(self, count=1):
        """Waits for so many more samples."""
        wanted = self.received() + count
        self.wait(lambda: self.received() >= wanted, f"{count} samples")

    def choose(self, interval):
        self.browser.execute_script(
            "document.querySelector(`[name=interval][value='${arguments[0]}']`"
            ").click()", str(interval))

    def chosen(self):
        """The marked interval, which the server has confirmed."""
        return self.browser.execute_script(
            "return document.querySelector('[name=interval]:checked')?.value")

    def drawn(self, name):
        """The number of points of a chart in the colour of its main line."""
        return self.browser.execute_script("""
            const canvas = document.getElementById(`${arguments[0]}-chart`);
            const probe = document.createElement("p");
            const name = arguments[0] === "network" ? "--cool" : "--accent";
            probe.style.color = `var(${name})`;
            document.body.append(probe);
            const wanted = getComputedStyle(probe).color.match(/\\d+/g);
            probe.remove();
            const { data } = canvas.getContext("2d").getImageData(
                0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) {
                count += data[i + 3] > 200 && [0, 1, 2].every((part) =>
                    Math.abs(data[i + part] - wanted[part]) < 12);
            }
            return count;""", name)

    def picture(self, name):
        return self.browser.execute_script(
            "return document.getElementById(`${arguments[0]}-chart`)"
            ".toDataURL()", name)

    def still(self, reduce):
        """Sets the browser's preference for reduced motion."""
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-reduced-motion",
                          "value": "reduce" if reduce else ""}]})


def open_page(browser, server):
    """Opens the page and waits until it has connected."""
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{server.port}/load/")
    page = LoadPage(browser)
    page.wait_state("live")
    return page


@pytest.fixture
def page(browser, server):
    """The page, connected. At the end its console must have no errors."""
    yield from open_page(browser, server).in_turn()


def test_values_are_shown_and_change(page):
    page.wait(lambda: page.chosen() == "1000", "the location's own interval")
    page.wait_samples()
    assert re.fullmatch(r"\d+(\.\d)? %", page.text("cpu"))
    assert re.fullmatch(r"[\d.]+ [KMGT]iB", page.text("memory"))
    assert re.search(r"of [\d.]+ [MGT]iB, [\d.]+ %", page.text("memory-more"))
    assert re.fullmatch(r"[\d.]+ [kMG]?B/s", page.text("network-in"))
    assert re.fullmatch(r"\d+\.\d\d", page.text("load"))
    assert int(page.text("processes")) > 1
    cores = page.browser.execute_script(
        "return Array.from(document.querySelectorAll('#cores li'),"
        " (row) => row.textContent.replace(/\\s+/g, ' ').trim())")
    assert len(cores) == os.cpu_count()
    assert all(re.fullmatch(r"Core \d+ \d+(\.\d)? %", row) for row in cores)
    page.choose(100)
    # Each value may stay equal on a busy or an idle machine
    names = ["cpu", "network-in", "memory", "load", "processes"]
    before = [page.text(name) for name in names]
    page.wait(lambda: [page.text(name) for name in names] != before,
              "other values")


def test_charts_are_drawn_for_each_screen(page):
    page.choose(100)
    page.wait_samples(40)
    for name in CHARTS:
        page.wait(lambda: page.drawn(name) > 20, f"the lines of {name}")
    page.check_fits()
    with page.on_screen("dark", 1280, 860):
        page.wait(lambda: page.drawn("cpu") > 20, "lines in dark colours")


def test_chart_moves_and_stops_with_the_samples(page):
    page.choose(100)
    page.wait_samples(20)
    before = page.picture("cpu")
    page.wait(lambda: page.picture("cpu") != before, "a chart that moves")
    page.click("pause")
    page.wait_state("paused")
    assert page.text("pause") == "Resume"


def test_pausing_stops_the_samples(page, server):
    page.choose(100)
    page.wait_samples(5)
    page.click("pause")
    page.wait_state("paused")
    server.wait_for_log("nobody watches")
    count, clock = page.received(), watch(server, "/load")
    assert clock.ask("interval 100")["interval"] == 100
    clock.samples(10)
    assert page.received() == count
    page.screenshot("paused")
    page.wait(lambda: page.browser.execute_async_script("""
        const [name, done] = arguments;
        const canvas = document.getElementById(name);
        const picture = canvas.toDataURL();
        requestAnimationFrame(() => requestAnimationFrame(() =>
            done(picture === canvas.toDataURL())));""", "cpu-chart"),
              "a chart that does not move")
    page.click("pause")
    page.wait_state("live")
    page.wait_samples(3)
    assert page.chosen() == "100"


def test_less_motion_is_drawn_with_the_samples_alone(page):
    page.still(True)
    try:
        page.choose(5000)
        page.wait(lambda: page.chosen() == "5000", "the long interval")
        page.wait(lambda: page.drawn("memory") > 20, "a line")
        moved = page.browser.execute_async_script("""
            const done = arguments[0];
            const canvas = document.getElementById("cpu-chart");
            const received = document.getElementById("received");
            const seen = new Set();
            let frames = 0;
            const look = () => {
                seen.add(`${received.textContent} ${canvas.toDataURL()}`);
                frames++;
                frames < 60 ? requestAnimationFrame(look) : done(seen.size);
            };
            look();""")
        assert moved <= 4, "the chart moved between samples"
    finally:
        page.still(False)


def test_every_control_and_chart_is_labelled(page):
    page.wait_samples()
    page.check_names(least=7)
    for name in CHARTS:
        label = page.find(f"{name}-chart").accessible_name
        assert re.search(r"in the last minute: from .* to .*, now ", label)
    assert page.text("announcer") == "The feed is live."


def test_second_page_starts_with_the_same_history(page, server):
    page.wait_samples(4)
    page.browser.refresh()
    page.wait_state("live")
    page.wait(lambda: page.drawn("memory") > 20, "the history's line")


def test_page_reconnects_after_a_reload(page, server):
    page.choose(500)
    page.wait(lambda: page.chosen() == "500", "the interval")
    page.wait_samples()
    old = server.reload()
    page.wait_samples(3)
    server.wait_for_workers_gone(old)
    page.wait_samples(3)
    assert page.text("state") == "live"
    assert page.chosen() == "500"
    assert not page.find("notice").is_displayed()


def test_page_stays_paused_over_a_reload(page, server):
    page.click("pause")
    page.wait_state("paused")
    server.wait_for_log("nobody watches")
    mark = server.log_size()
    server.wait_for_workers_gone(server.reload())
    page.wait_state("paused")
    server.wait_for_log("nobody watches", since=mark)
    page.click("pause")
    page.wait_samples(2)


def test_page_tries_on_while_the_server_is_away(browser, nginx):
    server = start_example(nginx)
    page = open_page(browser, server)
    page.wait_samples()
    server.send_signal(signal.SIGQUIT)
    page.wait_state("offline")
    assert re.match(r"Lost the server. Trying again in \d+ s.",
                    page.text("notice-text"))
    server.wait_for_exit()
    page.screenshot("offline")
    page.wait(page.console_errors, "an attempt that fails")
    page.wait_state("offline")
    page.click_when_shown("retry")
    page.wait(page.console_errors, "one more that fails")
    assert page.text("announcer") == "The feed is offline."
    browser.get("about:blank")
