"""run_in_background: work in a thread, and its completion on the event loop."""

import os
import signal

import pytest

import plugin_builder
import wire
from nginx_server import seconds, wait_until
from preload import preloaded
from worker_probe import only_worker


# Makes malloc_countdown fail all calls after the one with the number
AND_LATER = 1 << 63


def start(nginx):
    plugin = plugin_builder.build_file("background.cpp")
    return nginx(
        "location ~ ^/job/(?<room>.+)$ {"
        "  websocket worker $room gate=%%PREFIX%%/gate; }",
        http=f"websocket_plugin {plugin};")


@pytest.fixture
def server(nginx):
    return start(nginx)


def open_gate(server):
    with open(os.path.join(server.prefix, "gate"), "w", encoding="ascii"):
        pass


def test_work_is_done_in_a_thread_and_answered_on_the_loop(server):
    client = server.connect("/job/a")
    client.text("one")
    client.expect_text("aside one")


def test_blocking_work_delays_no_client(server):
    client = server.connect("/job/a")
    client.text("slow")
    client.expect_alive()
    server.connect("/job/a").expect_alive()
    open_gate(server)
    client.expect_text("aside slow")


def test_resource_outlives_its_last_client_until_the_work_is_done(server):
    client = server.connect("/job/a")
    client.text("slow")
    client.expect_alive()
    client.disconnect()
    server.wait_for_access_log()
    open_gate(server)
    server.wait_for_log('websocket: worker "a": done slow')
    server.connect("/job/a").expect_alive()


def test_exception_in_the_work_is_logged_and_harmless(server):
    server.allow_errors("no such work")
    client = server.connect("/job/a")
    client.text("throw")
    server.wait_for_log("no such work")
    client.text("two")
    client.expect_text("aside two")


def test_exception_without_memory_ends_no_worker(run_folder, nginx):
    """The first exception of a thread needs memory of its own."""
    with preloaded(run_folder, "malloc_countdown") as countdown, \
            countdown.environment():
        server = start(nginx)
        server.allow_errors("bad_alloc|failed .12: Cannot allocate memory")
        pid = only_worker(server)
        client = server.connect("/job/a")
        client.text("full")
        begun = os.path.join(server.prefix, "gate.begun")
        wait_until(lambda: os.path.exists(begun), seconds(5), "the job")
        countdown.number = AND_LATER | 1
        open_gate(server)
        server.wait_for_log("bad_alloc")
        countdown.number = 0
        assert only_worker(server) == pid
        server.connect("/job/b").expect_alive()


def test_work_of_a_constructor(server):
    client = server.connect("/job/begins")
    open_gate(server)
    server.wait_for_log('websocket: worker "begins": begun')
    client.expect_alive()


def test_work_of_a_constructor_that_fails(server):
    """The work completes without clients. Later clients do not get its
    result."""
    server.allow_errors("no such worker")
    for _ in range(3):
        request = wire.upgrade_request("/job/fails")
        assert server.request(request).status == 500
    open_gate(server)
    over = os.path.join(server.prefix, "gate.over")
    wait_until(lambda: os.path.exists(over) and os.path.getsize(over) == 3,
               seconds(5), "the end of three jobs")
    server.connect("/job/a").expect_alive()
    assert "begun" not in server.log()
    assert server.request(request).status == 500


def test_work_of_a_destructor_is_not_taken(server):
    server.connect("/job/ends").disconnect()
    server.wait_for_log('websocket: worker "ends": ended without work')
    server.connect("/job/a").expect_alive()


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_worker_that_ends_waits_for_the_work_alone(server, number):
    client = server.connect("/job/a")
    client.text("slow")
    client.expect_alive()
    open_gate(server)
    server.send_signal(number)
    server.wait_for_exit(10)
