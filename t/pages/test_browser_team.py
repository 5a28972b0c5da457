"""The team chat with three users in windows of a real browser."""

import json

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Imported so that pytest finds the fixtures.
from browser import browser_fixture
from rooms_client import send, subscribe
from team_page import (TeamPublisher, call, connect_as, log_in,
                       open_team_fixture, team_server)

MARKUP = "<b>Bold</b><img src=x onerror=alert(1)>"
TEAM = ["Ada", "Grace", "Linus"]


# Talking

def test_three_users_talk_in_a_room(open_team):
    ada, grace, linus = map(open_team, TEAM)
    ada.type_text("Hello, all")
    linus.wait_texts("Hello, all").type_text("Grüße, Ada: 你好 🙂")
    grace.wait_texts("Hello, all", "Grüße, Ada: 你好 🙂").type_text(MARKUP)
    for page in (ada, grace, linus):
        page.wait_texts("Hello, all", "Grüße, Ada: 你好 🙂", MARKUP)
        assert [name for name, _ in page.messages()] == [
            "Ada", "Linus", "Grace"]
        assert page.count("#lines b, #lines img") == 0


def test_unread_messages_are_counted_until_they_are_shown(open_team):
    ada, linus = map(open_team, ["Ada", "Linus"])
    linus.choose("team.help").type_text("one", "two")
    linus.choose("team.random").type_text("three")
    ada.wait_unread(team_help=2, team_random=1)
    assert ada.browser.title == "(3) #general · Team chat"
    ada.choose("team.help").wait_texts("one", "two").wait_unread(team_random=1)
    assert ada.browser.title == "(1) #help · Team chat"
    assert ada.texts_of(".message:has(.fresh:not([hidden])) .text") == ["one"]
    linus.choose("team.help").type_text("four")
    ada.wait_texts("one", "two", "four").wait_unread(team_random=1)
    assert linus.unread() == {}


def test_messages_of_a_hidden_page_are_unread(open_team):
    ada, linus = map(open_team, ["Ada", "Linus"])
    ada.set_visible(False)
    linus.type_text("one", "two")
    ada.wait_unread(team_general=2).wait_texts("one", "two")
    assert ada.browser.title == "(2) #general · Team chat"
    ada.set_visible(True)
    ada.wait_unread()
    assert ada.texts_of(".message:has(.fresh:not([hidden])) .text") == ["one"]
    ada.type_text("three").wait_texts("one", "two", "three")
    assert ada.count(".fresh:not([hidden])") == 0


def test_unread_messages_are_counted_after_a_reload_of_the_page(open_team):
    ada, linus = map(open_team, ["Ada", "Linus"])
    linus.choose("team.help").type_text("read")
    ada.choose("team.help").wait_texts("read").choose("team.general")
    ada.browser.get("about:blank")
    linus.type_text("unread")
    linus.wait_texts("read", "unread")
    ada.look().browser.back()
    ada.wait_open().wait_unread(team_help=1)
    ada.choose("team.help").wait_texts("read", "unread")
    ada.wait_unread().browser.refresh()
    ada.wait_open().wait_texts("read", "unread").wait_unread()


def test_direct_messages_are_seen_by_the_two_alone(open_team):
    ada, grace, linus = map(open_team, TEAM)
    ada.choose("@Grace").type_text("Between us")
    ada.wait_texts("Between us")
    grace.wait_unread(at_Ada=1).choose("@Ada").wait_texts("Between us")
    grace.type_text("Certainly")
    for page in (ada, grace):
        page.wait_texts("Between us", "Certainly")
        assert [name for name, _ in page.messages()] == ["Ada", "Grace"]
    # The order of messages shows that none is still on its way.
    ada.choose("team.general").type_text("later")
    linus.wait_texts("later")
    assert linus.unread() == {}
    linus.choose("@Ada").wait_texts().choose("@Grace").wait_texts()
    assert linus.text("empty-text") == (
        "Only the two of you can read this conversation.")


def test_private_room_is_for_its_members(open_team):
    ada, grace, linus = map(open_team, TEAM)
    ada.choose("team.leads").type_text("Linus is doing well")
    grace.wait_unread(team_leads=1).choose("team.leads")
    grace.wait_texts("Linus is doing well")
    assert linus.count('[data-conversation="team.leads"]') == 0
    assert linus.unread() == {}


def test_message_that_came_twice_is_shown_once(open_team, server):
    ada = open_team("Ada")
    for user in ("Linus", "Grace"):
        raw = connect_as(server, user)
        subscribe(raw, "team.general")
        for text in ("one", "again"):
            send(raw, publish="team.general",
                 data=json.dumps({"text": text, "nonce": "same"}))
        send(raw, publish="team.general", data=f"plain text of {user}")
        ada.wait(lambda: ada.texts()[-1:] == [f"plain text of {user}"],
                 "the last one")
    assert ada.messages() == [
        ("Linus", "one"), ("Linus", "plain text of Linus"),
        ("Grace", "one"), ("Grace", "plain text of Grace")]


@pytest.mark.parametrize("data", [
    {"text": "x", "nonce": "1", "user": "Ada", "own": True, "kind": "gap",
     "state": "failed", "id": "1-1", "time": 0},
    {"text": "x", "nonce": {"a": 1}}, {"text": ["x"]}, ["x"], "x", None])
def test_members_of_a_forged_message_have_no_effect(open_team, server, data):
    ada = open_team("Ada")
    raw = connect_as(server, "Linus")
    subscribe(raw, "team.general")
    send(raw, publish="team.general", data=json.dumps(data))
    ada.wait(lambda: ada.texts(), "the message")
    [(user, text)] = ada.messages()
    assert user == "Linus"
    assert text in ("x", json.dumps(data))
    assert ada.count(".message[data-own=true], .gap, .again") == 0


def test_reader_of_older_messages_is_not_disturbed(open_team, server):
    nginx = TeamPublisher(server)
    for number in range(60):
        nginx.post("team.general", f"{number}")
    ada = open_team("Ada").wait_texts(*map(str, range(60)))
    assert not ada.find("latest").is_displayed()
    ada.browser.execute_script(
        "document.getElementById('log').scrollTop = -600")
    ada.wait(lambda: ada.find("latest").is_displayed(), "the button")
    place = 'return document.querySelector(".text").getBoundingClientRect().top'
    before = ada.browser.execute_script(place)
    nginx.post("team.general", "60")
    ada.wait_texts(*map(str, range(61)))
    assert ada.browser.execute_script(place) == pytest.approx(before, abs=1)
    ada.screenshot("older")
    ada.click("latest")
    ada.wait(lambda: not ada.find("latest").is_displayed(), "the end")
    assert ada.browser.execute_script(
        "return document.getElementById('log').scrollTop") == 0
    ada.browser.execute_script(
        "document.getElementById('log').scrollTop = -600")
    ada.type_text("mine").wait_texts(*map(str, range(61)), "mine")
    assert ada.browser.execute_script(
        "return document.getElementById('log').scrollTop") == 0


# People

def test_dots_show_who_is_online(open_team, server):
    ada = open_team("Ada").wait_people()
    linus = open_team("Linus").wait_people(Ada=True)
    raw = connect_as(server, "Grace")
    subscribe(raw, "team.online")
    for page in (ada, linus):
        page.wait(lambda: page.text("online-count") == "2 online", "the count")
    ada.wait_people(Grace=True, Linus=True)
    raw.leave()
    ada.wait_people(Grace=False, Linus=True)
    linus.look().click("log-out")
    ada.wait_people(Grace=False, Linus=False)
    assert ada.choose("@Linus").text("topic") == "Offline"


def test_user_stays_online_with_another_window(open_team):
    ada = open_team("Ada")
    linus, again = open_team("Linus"), open_team("Linus")
    ada.wait_people(Linus=True)
    again.look().click("log-out")
    again.wait(lambda: again.find("log-in").is_displayed(), "the log-in")
    linus.type_text("Still here")
    ada.wait_texts("Still here").wait_people(Linus=True)


# The log-in

def test_session_lasts_over_a_reload_of_the_page_until_the_log_out(
        open_team, server):
    ada = open_team("Ada").type_text("kept").wait_texts("kept")
    ada.browser.refresh()
    ada.wait_open().wait_texts("kept")
    session = ada.session()
    assert call(server, "token", {}, session)[0] == 200
    ada.click("log-out")
    ada.wait(lambda: call(server, "token", {}, session)[0] == 401,
             "the end of the session")
    assert ada.find("log-in").is_displayed()
    ada.browser.refresh()
    ada.wait(lambda: ada.find("log-in").is_displayed(), "the log-in")
    assert ada.browser.execute_script("return sessionStorage.length") == 0


def test_name_has_one_spelling_and_is_shown_as_text(open_team):
    ada = open_team("Ada")
    other = open_team("  aDA ")
    assert other.text("own-name") == "Ada"
    other.wait_people()
    name = open_team("<i>Zoë</i>").text("own-name")
    assert name == "<i>Zoë</i>"
    ada.wait_people(**{name: True})


def test_refused_name_is_explained(open_team):
    page = open_team()
    page.enter(page.find("name"), "!?")
    page.wait(lambda: page.text("log-in-notice") == "This cannot be a name.",
              "the reason")
    page.log_in("Zoë")
    assert "400" in page.console_errors()[0]["message"]


def test_ended_session_leads_to_the_log_in(open_team, server):
    ada = open_team("Ada")
    assert call(server, "logout", {}, ada.session()) == (200, {})
    ada.browser.refresh()
    ada.wait(lambda: ada.text("log-in-notice") == "Your session has ended.",
             "the reason")
    assert "401" in ada.console_errors()[0]["message"]


# The page

def test_keyboard_alone_suffices(open_team):
    ada, linus = map(open_team, ["Ada", "Linus"])
    active = ada.browser.switch_to
    ada.look().wait_people(Linus=True)
    text = ada.find("text")
    assert active.active_element == text
    text.send_keys("by keyboard", Keys.SHIFT, Keys.ENTER, Keys.SHIFT,
                   "two lines", Keys.ENTER)
    ada.wait_texts("by keyboard\ntwo lines")
    titles = []
    for _ in range(5):
        text.send_keys(Keys.ALT, Keys.ARROW_DOWN)
        titles.append(ada.text("title-text"))
        assert active.active_element == text
    assert titles == ["help", "random", "leads", "Linus", "general"]
    text.send_keys(Keys.ALT, Keys.ARROW_UP)
    assert ada.text("title-text") == "Linus"
    text.send_keys("draft", Keys.ALT, Keys.ARROW_UP)
    assert text.get_property("value") == ""
    text.send_keys(Keys.ALT, Keys.ARROW_DOWN)
    assert text.get_property("value") == "draft"
    row = ada.row("team.random").find_element(By.TAG_NAME, "button")
    row.send_keys(Keys.ENTER)
    assert ada.text("title-text") == "random"
    assert active.active_element == text


def test_controls_are_reached_in_the_order_of_the_page(open_team):
    ada = open_team("Ada")
    ada.browser.execute_script(
        "document.querySelector('.side a').focus()")
    found = []
    for _ in range(8):
        found.append(ada.browser.execute_script("""
            const { id, className, innerText } = document.activeElement;
            return id || innerText.trim() || className;"""))
        ada.browser.switch_to.active_element.send_keys(Keys.TAB)
    assert found == ["home", "general", "help", "random", "leads\nprivate",
                     "log-out", "log", "text"]


def test_new_messages_are_read_out(open_team):
    ada = open_team("Ada")
    log = ada.find("log")
    assert log.aria_role == "log"
    assert log.accessible_name == "general"
    ada.type_text("one", "two").wait_texts("one", "two")
    # A grouped message names its author for screen readers.
    assert ada.texts_of(".head .name") == ["Ada", "Ada"]
    assert ada.count('[data-grouped="true"]') == 1
    assert ada.row("team.help").find_element(
        By.TAG_NAME, "button").accessible_name == "help"


def test_addresses_are_links(open_team):
    ada = open_team("Ada")
    ada.type_text("See https://example.org/a?b=c, or javascript:alert(1)")
    ada.wait(lambda: ada.count("#lines a") == 1, "the link")
    link = ada.browser.find_element(By.CSS_SELECTOR, "#lines a")
    assert link.get_attribute("href") == "https://example.org/a?b=c"
    assert link.get_attribute("rel") == "noopener noreferrer"


def fill(open_team):
    """Three users who have written some messages; returns the page of Ada."""
    ada, grace, linus = map(open_team, TEAM)
    ada.type_text("Good morning! The release is built, and all tests pass.",
                  "Who looks at the notes before lunch?")
    grace.wait(lambda: len(grace.texts()) == 2, "two messages")
    grace.type_text("I do: https://example.org/" + "a-long-address/" * 12)
    linus.wait(lambda: len(linus.texts()) == 3, "three messages")
    linus.type_text("Please look at the part about tokens, too: it has the "
                    "configuration that people copy first.")
    linus.choose("@Ada").type_text("Do you have a minute?")
    grace.choose("team.help").type_text("How do I renew a token?", "Found it")
    ada.wait_unread(team_help=2, at_Linus=1)
    return ada


def test_page_fits_each_screen_with_enough_contrast(open_team):
    ada = fill(open_team)
    ada.check_fits()
    ada.check_contrast()
    ada.check_names(least=12)
    ada.choose("@Linus").type_text("Yes, of course")
    ada.wait_texts("Do you have a minute?", "Yes, of course")
    ada.check_fits(name="direct")
    ada.check_contrast()
    ada.choose("team.leads").check_fits(name="empty")
    ada.click("log-out")
    ada.check_fits(name="log-in")
    ada.check_contrast()
    ada.check_names(least=6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_side_bar_of_a_phone_is_a_drawer(open_team, scheme):
    ada = fill(open_team)
    active = ada.browser.switch_to
    with ada.on_screen(scheme, 390, 844):
        assert not ada.row("team.help").is_displayed()
        assert ada.text("menu-count") == "3"
        ada.click("menu")
        ada.wait(lambda: ada.browser.execute_script(
            "return document.getAnimations().length === 0"), "the drawer")
        assert not ada.low_contrast()
        ada.screenshot(f"drawer-{scheme}")
        assert active.active_element.text == "general"
        active.active_element.send_keys(Keys.ESCAPE)
        assert active.active_element == ada.find("menu")
        ada.click("menu")
        ada.wait(ada.row("team.help").is_displayed, "the drawer")
        ada.choose("team.help")
        assert not ada.row("team.help").is_displayed()
        assert active.active_element == ada.find("title")
        ada.wait_texts("How do I renew a token?", "Found it")
        ada.check_fits([(scheme, 390, 844)], name="help")


def test_wide_window_has_no_drawer(open_team):
    ada = open_team("Ada")
    with ada.on_screen("light", 390, 844):
        ada.click("menu")
        assert ada.find("shade").is_displayed()
        assert ada.find("talk").get_property("inert")
    ada.wait(lambda: not ada.find("shade").is_displayed(), "the wide window")
    ada.choose("team.help").type_text("one").wait_texts("one")


def test_first_visit_has_no_unread_messages(open_team, server):
    log_in(server, "Ada")
    linus = open_team("Linus").wait_people(Ada=False)
    linus.choose("team.help").type_text("old").wait_texts("old")
    linus.choose("@Ada").type_text("Welcome").wait_texts("Welcome")
    ada = open_team("Ada").wait_unread(at_Linus=1)
    ada.choose("team.help").wait_texts("old")
