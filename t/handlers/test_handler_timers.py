"""Timers of handlers."""

import pytest

import handler_log

LOCATION = "location /room { websocket probe room$arg_k; }"


@pytest.fixture(scope="module")
def server(module_nginx):
    yield from handler_log.checked_server(module_nginx, LOCATION)


def test_timer_fires_once(server):
    client = server.connect("/room?k=t1")
    client.text("after 20 all once")
    client.expect_text("once")
    client.expect_nothing(0.06)


def test_timer_of_no_time(server):
    client = server.connect("/room?k=t0")
    client.text("after 0 all now;self first")
    client.expect_text("first")
    client.expect_text("now")


def test_timer_that_stops_itself(server):
    client = server.connect("/room?k=t2")
    client.text("every 5 3 all tick")
    for _ in range(3):
        client.expect_text("tick")
    client.expect_nothing(0.03)
    assert handler_log.matching(server, "stopped") == ["stopped"]


def test_timer_that_is_stopped(server):
    client = server.connect("/room?k=t3")
    client.text("after 20 all never;stop;every 20 -1 all never;stop;self yes")
    client.expect_text("yes")
    client.expect_nothing(0.05)


def test_timers_end_with_the_resource(server):
    client = server.connect("/room?k=t4")
    client.text("after 30 noted too late;every 30 -1 noted too late;self x")
    client.expect_text("x")
    client.leave()
    client.disconnect()
    handler_log.wait_for_lines(server, "resource destroyed")
    client = server.connect("/room?k=t4")
    client.expect_nothing(0.07)
    assert not handler_log.matching(server, "noted.*")


def test_timer_closes_and_sends_after_its_client_is_gone(server):
    staying, going = (server.connect("/room?k=t5") for _ in range(2))
    going.text("after 30 close others 4005;after 20 others x")
    going.expect_alive()
    going.abort()
    staying.expect_text("x")
    staying.expect_failure(4005)


def test_many_timers(server):
    client = server.connect("/room?k=t6")
    client.text(";".join(f"after {n % 7} all t" for n in range(100)))
    for _ in range(100):
        client.expect_text("t")
