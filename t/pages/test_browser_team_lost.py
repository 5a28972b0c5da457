"""The team chat after the loss of its connection, of messages, and of calls of
its backend."""

import json

import pytest
from selenium.webdriver.common.by import By

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, start_example
from tcp_proxy import TcpProxy
from team_page import (TeamPublisher, call, log_in, open_team_fixture,
                       team_opener, team_server)

TEAM = ["Ada", "Grace", "Linus"]
GAP = "Messages may be missing here."


@pytest.fixture(name="proxy")
def proxy_fixture(server):
    proxy = TcpProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture(name="open_far")
def open_far_fixture(browser, proxy):
    """Opens windows whose connections go through the proxy."""
    opener = team_opener(browser, proxy.port)
    yield next(opener)
    proxy.restore()
    browser.get_log("browser")  # discards refused attempts
    for _ in opener:
        pass


def connect_now(page):
    """Waits for the connection, without the delay if there is one."""
    retry = page.look().find("retry")
    if retry.is_displayed():
        page.browser.execute_script("arguments[0].click()", retry)
    return page.wait_open()


def test_dropped_connections_resume_without_loss_or_repetition(
        open_team, server):
    pages = [open_team(name) for name in TEAM]
    session = log_in(server, "Linus")
    nginx = TeamPublisher(server)
    published, direct = [], []
    for turn in range(4):
        assert nginx.close_clients("team.general", 1012) >= 1
        for number in range(10):
            published.append(f"{turn}:{number}")
            nginx.post("team.general", published[-1])
        direct.append(f"direct {turn}")
        assert call(server, "direct", {"to": "Ada", "text": direct[-1],
                                       "nonce": direct[-1]}, session)[0] == 200
        pages[turn % 3].wait_texts(*published)
    for page in pages:
        page.wait_texts(*published).wait_open()
    ada, grace, linus = pages
    ada.wait_unread(at_Linus=4).choose("@Linus").wait_texts(*direct)
    linus.choose("@Ada").wait_texts(*direct)
    assert grace.unread() == {}
    assert not any(GAP in text for page in pages
                   for text in page.texts_of(".gap"))


def test_reload_of_nginx_loses_nothing(open_team, server):
    ada, linus = map(open_team, ["Ada", "Linus"])
    ada.type_text("before")
    workers = server.reload()
    nginx = TeamPublisher(server)
    for number in range(20):
        nginx.post("team.general", f"{number}")
    server.wait_for_workers_gone(workers)
    linus.type_text("after")
    for page in (ada, linus):
        page.wait_texts("before", *map(str, range(20)), "after").wait_open()


def test_messages_written_without_a_connection_are_sent_once(
        open_far, proxy):
    ada, linus = open_far("Ada"), open_far("Linus")
    ada.type_text("before")
    linus.wait_texts("before")
    ada.look()
    proxy.cut()
    ada.wait(lambda: ada.find("strip").is_displayed(), "the strip")
    assert ada.text("strip-text") in ("No connection.", "Connecting again …")
    assert ada.text("state") in ("Offline", "Connecting …")
    ada.type_text("one", "two")
    assert ada.texts() == ["before", "one", "two"]
    assert ada.count("[data-state=sending]") == 2
    ada.wait(lambda: ada.texts_of(".status:not(:empty)") == [
        "Sending …", "Sending …"], "the state of both")
    ada.check_fits(name="offline")
    proxy.restore()
    connect_now(ada).wait_texts("before", "one", "two")
    assert not ada.find("strip").is_displayed()
    connect_now(linus).wait_texts("before", "one", "two").type_text("three")
    ada.wait_texts("before", "one", "two", "three")


def test_messages_missed_for_good_are_a_gap(open_far, server, proxy):
    ada = open_far("Ada")
    ada.type_text("before").wait_texts("before")
    proxy.cut()
    nginx = TeamPublisher(server)
    for number in range(250):
        nginx.post("team.general", f"{number}")
    proxy.restore()
    connect_now(ada).wait_texts("before", *map(str, range(50, 250)))
    assert ada.texts_of(".gap") == [GAP]
    assert ada.browser.execute_script("""
        return document.querySelector(".message:has(.gap)")
            .previousElementSibling.querySelector(".text").textContent"""
    ) == "before"


def test_direct_message_that_failed_is_sent_again(open_team, browser):
    ada, linus = map(open_team, ["Ada", "Linus"])
    ada.choose("@Linus")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs",
                            {"urls": ["*/team/api/direct"]})
    ada.type_text("Important")
    ada.wait(lambda: ada.texts_of(".status") == [
        "Not sent: The server does not answer.\nTry again"], "the failure")
    ada.check_fits(name="failed")
    assert ada.find_all("button.again")[0].accessible_name == "Try again"
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.execute_cdp_cmd("Network.disable", {})
    ada.console_errors()  # discards the failed call
    ada.click_at(".again")
    ada.wait_texts("Important")
    linus.wait_unread(at_Ada=1).choose("@Ada").wait_texts("Important")


def test_message_that_ends_connections_fails_in_the_end(open_team):
    ada = open_team("Ada")
    # The location closes a connection with a message of 32 KB.
    ada.browser.execute_script("""
        const text = document.getElementById("text");
        text.removeAttribute("maxlength");
        text.value = "x".repeat(33000);
        text.dispatchEvent(new Event("input"));""")
    ada.click("send")
    ada.wait(lambda: ada.texts_of(".status")[0].startswith("Not sent: "),
             "the failure")
    ada.wait_open().type_text("short")
    ada.wait(lambda: "short" in ada.texts()
             and ada.count("[data-state=sending]") == 0, "the next message")


def test_token_is_renewed_before_it_ends(browser, nginx, monkeypatch):
    monkeypatch.setenv("TEAM_TOKEN_SECONDS", "2")
    server = start_example(nginx)
    opener = team_opener(browser, server.port)
    ada = next(opener)("Ada")
    browser.execute_script("""
        window.states = [];
        new MutationObserver(() => states.push(
            document.getElementById("state").textContent))
            .observe(document.getElementById("state"), { childList: true });
        """)
    ada.wait(lambda: browser.execute_script("""
        return performance.getEntriesByType("resource").filter(
            ({ name }) => name.endsWith("/api/token")).length""") >= 9,
        "8 renewals")
    assert browser.execute_script("return states") == []
    ada.type_text("Still here").wait_texts("Still here")
    for _ in opener:
        pass
