"""The page of websocket_status in a real browser: it shows the values of the
JSON live, marks old values, and reconnects."""

import json
import os
import re
import signal
import subprocess
import urllib.request

import pytest

# Imported so that pytest finds the fixtures.
from browser import Page, browser_fixture, server_fixture, start_example
from nginx_server import (NGINX, NginxServer, nginx_environment, seconds,
                          wait_until)
from status_reader import check_report
from worker_picking import wait_for_other_worker
from worker_probe import stopped

XSS = "<img src=x onerror=document.title='taken'>"
LOCATIONS = """
location = /status { websocket_status html; }
location /echo { websocket echo; }
location ~ (?s)^/room/(?<name>.+)$ { websocket room $name history=9; }
"""


# A browser's kept or early connections would look like leaked ones.
UNKEPT = {"http": "keepalive_timeout 0; client_header_timeout 1s;"}


class StatusPage(Page):
    """The actions and the contents of the page."""

    name = "status"

    def wait_state(self, state):
        """Waits until the badge has this text."""
        self.wait(lambda: self.text("state") == state, f"state {state}")

    def wait_text(self, name, text):
        self.wait(lambda: self.text(name) == text,
                  f"{name} to be {text}, not {self.text(name)}")

    def rows(self, name):
        """The texts of the cells of each row of a table, list or facts."""
        return self.browser.execute_script(
            "return Array.from(document.getElementById(arguments[0]).children,"
            " (row) => Array.from(row.children, (cell) => cell.textContent))",
            name)

    def curve(self, name, line=0):
        """The path of a chart's curve."""
        return self.browser.execute_script(
            "return document.querySelectorAll(`#${arguments[0]}-chart .curve`)"
            "[arguments[1]].getAttribute('d')", name, line)

    def label(self, name):
        """The accessible text of a chart."""
        return self.browser.execute_script(
            "return document.querySelector(`#${arguments[0]}-chart svg`)"
            ".getAttribute('aria-label')", name)


def open_page(browser, server, path="/status"):
    """Opens the page and waits until it shows values."""
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{server.port}{path}")
    page = StatusPage(browser)
    page.wait_state("live")
    return page


@pytest.fixture
def page(browser, server):
    """The page, live. At the end its console must have no errors."""
    yield from open_page(browser, server).in_turn()


def report_of(server):
    """The current JSON report."""
    with urllib.request.urlopen(
            f"http://127.0.0.1:{server.port}/status?format=json",
            timeout=seconds(5)) as answer:
        report = json.load(answer)
    check_report(report)
    return report


def talk(client, count=1, text="hello there"):
    """Sends `count` messages and waits for each echo."""
    for _ in range(count):
        client.text(text)
        client.expect_text(text)


def grouped(number):
    return f"{number:,}"


def shown_counts(worker):
    """The cells of a row of the table of workers that only show counts."""
    handshakes = worker["handshakes"]
    return [grouped(number) for number in (
        worker["clients"], worker["messages_in"], worker["messages_out"],
        worker["dropped"], worker["slow_closes"], handshakes["accepted"],
        sum(handshakes["refused"].values()))]


def plain_cells(row):
    return [row[3], row[4], row[5], *row[8:]]


def test_numbers_match_the_json(page, server):
    for index in range(7):
        talk(server.connect("/echo"), 40 * index)
    for _ in range(3):
        server.connect("/room/lobby")
    server.connect("/echo").leave(4001)
    server.connect("/echo").leave(1001)
    server.request(b"GET /echo HTTP/1.1\r\nHost: x\r\n"
                   b"Connection: close\r\n\r\n")
    wait_until(lambda: report_of(server)["total"]["clients"] == 10,
               seconds(5), "ten clients")
    report = report_of(server)
    total = report["total"]
    page.wait_text("clients", "10")
    page.wait(lambda: page.text("rate-in") == "0", "quiet")
    assert page.text("dropped") == "0"
    assert [plain_cells(row) for row in page.rows("workers")] == [
        shown_counts(worker) for worker in report["workers"]]
    assert [row[:3] for row in page.rows("workers")] == [
        [str(worker["slot"]), str(worker["pid"]), "serving"]
        for worker in report["workers"]]
    assert plain_cells(page.rows("total")[0]) == shown_counts(total)
    assert {row[0]: row[2] for row in page.rows("closes")} == {
        code: grouped(count) for code, count in total["close_codes"].items()}
    handshakes = total["handshakes"]
    assert {row[0]: row[2] for row in page.rows("handshakes")} == {
        "101": grouped(handshakes["accepted"]),
        **{code: grouped(count)
           for code, count in handshakes["refused"].items()}}
    assert page.rows("resources") == [
        [each["handler"], each["key"], grouped(each["clients"]),
         grouped(each["messages"]), each["last"]]
        for each in report["resources"]]
    assert page.rows("handlers") == [
        [each["name"], grouped(each["clients"])]
        for each in report["handlers"]]
    assert dict(page.rows("zone"))["Resources"] == grouped(
        report["zone"]["logs"])
    assert re.fullmatch(r"[\d.]+ (B|KiB) of 30(\.\d)? MiB, 0 %",
                        page.text("fill-text"))
    assert f"version {report['version']}" in page.text("about")


def test_page_updates_with_traffic(page, server):
    before = page.curve("clients")
    clients = [server.connect("/echo") for _ in range(4)]
    page.wait_text("clients", "4")
    assert page.curve("clients") != before

    def talking():
        for client in clients:
            talk(client, 20)
        return all(float(page.text(name).replace(",", "")) > 10
                   for name in ("rate-in", "rate-out"))

    page.wait(talking, "a rate")
    assert page.text("bytes-in").split()[1] in ("B", "KiB", "MiB")
    for line in (0, 1):
        page.wait(lambda: page.curve("messages", line).count("L") > 1,
                  "a curve")
    page.check_fits(name="live")
    for client in clients:
        client.leave()
        client.disconnect()
    page.wait_text("clients", "0")
    page.wait_text("rate-in", "0")
    assert page.label("clients").startswith(
        "Clients in the last 2 minutes: connected from 0 to 4, now 0")
    assert "out from" in page.label("messages")


def test_start_page_leads_here(page, server):
    page.browser.get(f"http://127.0.0.1:{server.port}/")
    page.browser.find_element("link text", "Statistics").click()
    page.wait_state("live")


def test_pointer_shows_a_moment_of_the_past(page, server):
    server.connect("/echo")
    page.wait_text("clients", "1")
    plot = page.browser.find_element("css selector", "#clients-chart .plot")
    page.browser.execute_script("""
        const box = arguments[0].getBoundingClientRect();
        arguments[0].dispatchEvent(new PointerEvent("pointermove",
            { clientX: box.right - 1, clientY: box.top + 5 }));""", plot)
    legend = page.browser.find_element("css selector", "#clients-chart .when")
    page.wait(lambda: re.search(r"\d+:\d\d:\d\d", legend.text), "a time")


def test_reload_and_killed_worker_do_not_stop_it(page, server):
    talk(server.connect("/echo"), 5)
    page.wait_text("clients", "1")
    counted = int(page.rows("total")[0][4].replace(",", ""))
    old = server.reload()
    server.release_clients()
    server.wait_for_workers_gone(old)
    pids = {str(pid) for pid in server.worker_pids()}
    page.wait(lambda: {row[1] for row in page.rows("workers")} == pids,
              "the new workers")
    victim = server.worker_pids()[0]
    server.send_signal(signal.SIGKILL, victim)
    wait_for_other_worker(server, victim, 2)
    pids = {str(pid) for pid in server.worker_pids()}
    page.wait(lambda: {row[1] for row in page.rows("workers")} == pids,
              "the worker that replaced it")
    page.wait_state("live")
    assert int(page.rows("total")[0][4].replace(",", "")) >= counted
    server.allow_errors("signal 9")
    page.browser.get_log("browser")  # of the killed worker


def test_page_loads_nothing_from_elsewhere(page, server):
    page.wait(lambda: len(page.curve("clients")) > 20, "a few answers")
    asked = page.browser.execute_script(
        "return performance.getEntriesByType('resource')"
        ".map((entry) => entry.name)")
    assert asked and set(asked) == {
        f"http://127.0.0.1:{server.port}/status?format=json"}
    with urllib.request.urlopen(
            f"http://127.0.0.1:{server.port}/status") as answer:
        policy = answer.headers.get_all("Content-Security-Policy")
        text = answer.read().decode()
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; connect-src 'self'; ")
    assert policy[0].count("'sha256-") == 3 and "unsafe" not in policy[0]
    assert not re.search(r"<[^>]* on\w+=", text)
    assert not re.search(r"(src|href)=.https?:", text)
    assert page.browser.execute_script("""
        const script = document.createElement("script");
        script.textContent = "window.taken = true";
        document.body.append(script);
        return window.taken ?? null;""") is None
    refused = page.console_errors()
    assert len(refused) == 1 and "Security Policy" in refused[0]["message"]


def test_every_region_and_chart_is_labelled(page):
    page.check_names(least=2)
    for name in ("clients", "messages"):
        page.wait(lambda: "now" in (page.label(name) or ""), "words")


def test_colours_are_those_that_the_person_prefers(page):
    def colours():
        return page.browser.execute_script(
            "return ['body', '.card', '.curve'].map((name) => {"
            " const style = getComputedStyle(document.querySelector(name));"
            " return [style.backgroundColor, style.color]; })")
    with page.on_screen("light", 1280, 860):
        light = colours()
    with page.on_screen("dark", 1280, 860):
        dark = colours()
    assert all(before != after for before, after in zip(light, dark))


# Clients choose the names of resources

@pytest.mark.parametrize("path", ["/status", "/status?format=html&a=b"])
def test_name_of_a_resource_is_only_text(browser, nginx, path):
    server = nginx(LOCATIONS, **UNKEPT)
    page = open_page(browser, server, path)
    keys = [XSS, "</script><script>document.title='taken'</script>", "a\nb",
            "\u202egnp.exe", "k" * 700, "\xff\xfe"]
    for key in keys:
        coded = "".join(f"%{byte:02x}" for byte in key.encode(
            "latin-1" if key == keys[-1] else "utf-8"))
        server.connect(f"/room/{coded}")
    page.wait_text("clients", str(len(keys)))
    page.wait(lambda: len(page.rows("resources")) == len(keys), "rows")
    assert {row[1] for row in page.rows("resources")} == {
        *keys[:-1], "\ufffd\ufffd"}
    assert page.browser.title == "WebSocket statistics"
    assert not page.browser.find_elements("css selector", "main img")
    page.check_fits(name="names")
    assert not page.console_errors()
    browser.get("about:blank")


# No response

def start_again(server):
    """Starts nginx again on the same ports."""
    return subprocess.Popen(
        [NGINX, "-p", server.prefix, "-c",
         os.path.join(server.prefix, "nginx.conf")],
        env=nginx_environment(server.prefix))


def test_page_shows_a_stopped_nginx_and_reconnects(browser, nginx):
    server = start_example(nginx)
    page = open_page(browser, server)
    talk(server.connect("/echo"), 3)
    page.wait_text("clients", "1")
    opacity = "return getComputedStyle(document.querySelector('main')).opacity"
    NginxServer.stop(server)  # without the backends and their folder
    page.wait_state("no answer")
    assert re.fullmatch(r"The server does not answer; last update at "
                        r"[\d:]+( [AP]M)?\. Retrying\.",
                        page.text("notice"))
    assert page.find("notice").is_displayed()
    assert page.text("announcer").startswith("The server does not answer")
    assert page.text("clients") in ("0", "1")
    page.wait(lambda: float(browser.execute_script(opacity)) < 0.6, "dimming")
    page.screenshot("no-answer")
    again = start_again(server)
    try:
        page.wait_state("live")
        assert not page.find("notice").is_displayed()
        page.wait_text("clients", "0")
        page.wait(lambda: float(browser.execute_script(opacity)) > 0.9,
                  "brightness")
        browser.get("about:blank")
    finally:
        again.send_signal(signal.SIGQUIT)
        again.wait(seconds(10))


def test_page_shows_a_hanging_nginx(browser, nginx):
    server = nginx(LOCATIONS, **UNKEPT)
    page = open_page(browser, server)
    with stopped(server.worker_pids()[0]):
        page.wait_state("no answer")
    page.wait_state("live")
    assert not page.console_errors()
    browser.get("about:blank")


def test_page_shows_what_the_server_refuses(browser, nginx):
    server = nginx("location = /status { websocket_status html;"
                   " if ($arg_format = json) { return 503; } }", **UNKEPT)
    browser.get(f"http://127.0.0.1:{server.port}/status")
    page = StatusPage(browser)
    page.wait_state("no answer")
    assert page.text("notice") == (
        "The server answers with status 503. Retrying.")
    assert page.text("clients") == "–"
    browser.get("about:blank")
