"""Rooms of the package nginx-websocket, without the page of the chat."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture
from rooms_client import subscribe
from rooms_js_harness import RoomsPage
from tcp_proxy import DOWN, TcpProxy
from team_page import (TeamPublisher, connect_as, log_in, team_opener,
                       team_server, token_of)

ROOM = "team.help"
QUICK = {"first_delay": 20, "longest_delay": 100}


@pytest.fixture(name="proxy")
def proxy_fixture(server):
    proxy = TcpProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture(name="start")
def start_fixture(browser, server, proxy):
    """Starts a Rooms in a page whose connections go through the proxy."""
    opener = team_opener(browser, proxy.port)
    page = next(opener)()
    yield lambda **options: RoomsPage(page, server, **{**QUICK, **options})
    proxy.restore()
    browser.execute_script("window.rooms?.close()")
    browser.get_log("browser")  # discards refused attempts
    for _ in opener:
        pass


def test_rooms_of_one_turn_are_asked_for_together(start):
    rooms = start()
    rooms.subscribe("team.general", ROOM, "other", "user.Ada")
    assert rooms.wait_event("subscribed", 2)
    assert rooms.events("welcome")[0]["user"] == "Linus"
    assert [each["room"] for each in rooms.events("subscribed")] == [
        "team.general", ROOM]
    assert {each["room"] for each in rooms.events("refused")} == {
        "other", "user.Ada"}


@pytest.mark.parametrize("history, wanted", [
    (0, []), (2, ["3", "4"]), (100, ["0", "1", "2", "3", "4"])])
def test_latest_messages_come_first(start, server, history, wanted):
    nginx = TeamPublisher(server)
    for number in range(5):
        nginx.post(ROOM, f"{number}")
    rooms = start()
    rooms.subscribe(ROOM, history=history)
    rooms.wait_event("subscribed")
    nginx.post(ROOM, "live")
    rooms.wait_data(ROOM, *wanted, "live")
    assert [each["missed"] for each in rooms.events("message")] == [
        True] * len(wanted) + [False]
    assert not rooms.events("gap")


def test_published_message_has_its_user_and_comes_back_as_own(start, server):
    rooms = start()
    rooms.subscribe(ROOM)
    ada = connect_as(server, "Ada")
    subscribe(ada, ROOM)
    ada.text('{"publish":"team.help","data":"from Ada"}')
    rooms.wait_data(ROOM, "from Ada")
    rooms.run("publish(arguments[0], 'mine \\ud800')", ROOM)
    [[_, name]] = rooms.wait_results(1)
    rooms.wait_data(ROOM, "from Ada", "mine \ufffd")
    theirs, mine = rooms.events("message")
    assert (theirs["user"], theirs["own"]) == ("Ada", False)
    assert (mine["user"], mine["own"], mine["id"]) == ("Linus", True, name)


def test_refused_publications_have_the_reason(start):
    rooms = start()
    rooms.publish(ROOM, "too early")
    rooms.subscribe("team.online", "other")
    rooms.publish("other", "with the request")
    rooms.publish("team.online", "silent")
    rooms.wait_event("refused")
    rooms.publish("other", "later")
    reason = "the name fits no websocket_rooms of this location"
    assert sorted(rooms.wait_results(4)) == [
        ["later", reason, False],
        ["silent", "clients do not publish in this room", False],
        ["too early", "not subscribed", False],
        ["with the request", reason, False]]


def test_room_that_was_left_sends_nothing(start, server):
    rooms = start()
    rooms.subscribe("team.general", ROOM)
    rooms.wait_event("subscribed", 2)
    rooms.run("rooms.unsubscribe(arguments[0])", ROOM)
    nginx = TeamPublisher(server)
    nginx.post(ROOM, "left")
    nginx.post("team.general", "here")
    rooms.wait_data("team.general", "here")
    rooms.subscribe(ROOM, history=10)
    rooms.wait_data(ROOM, "left")


def test_each_room_resumes_after_its_own_last_message(start, server, proxy):
    nginx = TeamPublisher(server)
    rooms = start()
    rooms.subscribe("team.general", ROOM, history=10)
    rooms.wait_event("subscribed", 2)
    nginx.post("team.general", "a1")
    nginx.post(ROOM, "b1")
    rooms.wait_data("team.general", "a1")
    rooms.wait_data(ROOM, "b1")
    proxy.cut()
    rooms.wait_event("state", state="waiting")
    for number in range(2, 5):
        nginx.post("team.general", f"a{number}")
        nginx.post(ROOM, f"b{number}")
    proxy.restore()
    rooms.wait_data("team.general", "a1", "a2", "a3", "a4")
    rooms.wait_data(ROOM, "b1", "b2", "b3", "b4")
    assert [each["resumed"] for each in rooms.events("subscribed")] == [
        False, False, True, True]
    assert all(each["recovered"] for each in rooms.events("subscribed"))
    assert not rooms.events("gap")


def test_delays_grow_at_random_to_their_limit(start, proxy):
    rooms = start(first_delay=10, longest_delay=160)
    rooms.wait_state("open")
    proxy.cut()
    delays = [each["delay"] for each in
              rooms.wait_event("state", 12, state="waiting")][:12]
    limits = [min(160, 10 * 2 ** number) for number in range(12)]
    assert all(0 <= delay <= limit for delay, limit in zip(delays, limits))
    assert len(set(delays)) == 12
    assert max(delays) > 20
    proxy.restore()
    rooms.wait_state("open")


def test_unanswered_publication_that_arrived_is_resolved(start, server, proxy):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    ada = connect_as(server, "Ada")
    subscribe(ada, ROOM)
    proxy.pause(DOWN)
    rooms.publish(ROOM, "arrived")
    assert b"arrived" in ada.read_frame().payload
    assert rooms.run("return results") == []
    proxy.reset()
    proxy.release()
    rooms.wait_data(ROOM, "arrived")
    [[text, name]] = rooms.wait_results(1)
    assert (text, name) == ("arrived", rooms.events("message")[0]["id"])
    assert rooms.events("message")[0]["own"] is True


def test_unanswered_publication_that_did_not_arrive_is_uncertain(
        start, proxy):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    proxy.pause()
    rooms.publish(ROOM, "lost")
    proxy.reset()
    proxy.release()
    assert rooms.wait_results(1) == [
        ["lost", "the connection was lost before the answer", True]]
    assert rooms.data(ROOM) == []
    rooms.publish(ROOM, "next")
    rooms.wait_data(ROOM, "next")


def test_publications_wait_for_a_connection_in_order(start, proxy):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    proxy.cut()
    rooms.wait_event("state", state="waiting")
    for number in range(101):
        rooms.publish(ROOM, f"{number}")
    assert rooms.wait_results(1) == [
        ["100", "too many messages wait for a connection", False]]
    proxy.restore()
    rooms.wait_data(ROOM, *map(str, range(100)))
    assert len(rooms.wait_results(101)) == 101


def test_dead_connection_is_abandoned(start, proxy):
    rooms = start(ping_after=100, pong_within=200)
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    proxy.pause()
    lost = rooms.wait_event("state", state="waiting")[0]
    assert (lost["code"], lost["reason"]) == (1006, "no answer to a ping")
    proxy.restore()
    rooms.wait_event("subscribed", 2)


def test_quiet_connection_that_answers_pings_lasts(start, proxy):
    rooms = start(ping_after=20)
    rooms.wait_state("open")
    before = proxy.passed[DOWN]
    # A pong has 17 bytes of payload.
    rooms.page.wait(lambda: proxy.passed[DOWN] - before > 10 * 17, "10 pongs")
    assert not rooms.events("state", state="waiting")


def test_missed_messages_that_are_gone_are_a_gap(start, server, proxy):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    nginx = TeamPublisher(server)
    nginx.post(ROOM, "before")
    rooms.wait_data(ROOM, "before")
    proxy.cut()
    for number in range(201):
        nginx.post(ROOM, f"{number}")
    proxy.restore()
    rooms.wait_data(ROOM, "before", *map(str, range(1, 201)))
    [before] = rooms.events("message", data="before")
    assert rooms.events("gap") == [
        {"room": ROOM, "cause": "resume", "after": before["id"]}]
    nginx.post(ROOM, "after")
    rooms.wait_event("message", data="after")
    assert len(rooms.events("gap")) == 1


# Tokens

def test_token_callback_is_called_for_each_connection(start, proxy):
    rooms = start()
    rooms.wait_state("open")
    assert rooms.run("return tokens") == 1
    proxy.reset()
    rooms.wait_event("welcome", 2)
    assert rooms.run("return tokens") == 2


def test_failed_token_callback_is_called_again(start, proxy):
    rooms = start()
    rooms.wait_state("open")
    rooms.run("window.good = token; window.token = Error('not now')")
    proxy.reset()
    waiting = rooms.wait_event("state", 3, state="waiting")
    assert waiting[1]["reason"] == "not now"
    rooms.run("window.token = good")
    rooms.wait_state("open")


def test_final_error_of_the_token_callback_ends_all(start, proxy):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    rooms.run("window.token = Object.assign(Error('over'), { final: true })")
    proxy.reset()
    rooms.wait_state("closed")
    assert rooms.events("state")[-1]["reason"] == "over"
    rooms.publish(ROOM, "late")
    assert rooms.wait_results(1) == [["late", "the connection is closed",
                                      False]]


def test_connection_lasts_with_newer_tokens(start, server):
    rooms = start(renew_before=299_900)
    rooms.wait_state("open")
    newer = token_of(server, log_in(server, rooms.user))["token"]
    rooms.run("window.token = { token: arguments[0], expires_in: 0.1 }", newer)
    # The first renewal is half of the time before the end.
    rooms.run("rooms.suspend(); rooms.resume()")
    rooms.page.wait(lambda: rooms.run("return tokens") >= 5, "renewals")
    assert len(rooms.events("welcome")) == 2


# The page

def test_suspended_connection_resumes_where_it_was(start, server):
    rooms = start()
    rooms.subscribe(ROOM)
    rooms.wait_event("subscribed")
    rooms.run("dispatchEvent(new PageTransitionEvent('pagehide'))")
    rooms.wait_state("suspended")
    TeamPublisher(server).post(ROOM, "missed")
    rooms.run("dispatchEvent(new PageTransitionEvent('pageshow'))")
    rooms.wait_data(ROOM, "missed")


def test_retry_skips_the_delay(start, proxy):
    rooms = start(first_delay=10 ** 8, longest_delay=10 ** 8)
    rooms.wait_state("open")
    proxy.reset()
    rooms.wait_state("waiting")
    rooms.run("rooms.retry()")
    rooms.wait_state("open")


def test_closed_connection_stays_closed(start):
    rooms = start()
    rooms.wait_state("open")
    rooms.run("rooms.close(); rooms.retry(); rooms.resume()")
    assert rooms.run("return rooms.state") == "closed"
    assert rooms.events("state")[-1]["code"] == 1000
